/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading: one strict pass over everything (cbor_open), then a cursor that may rely on it. */
#include "core/cbor.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "core/half.h"
#include "core/utf8.h"

enum major { MAJOR_UINT, MAJOR_NEGATIVE, MAJOR_BYTES, MAJOR_TEXT, MAJOR_ARRAY, MAJOR_MAP, MAJOR_TAG, MAJOR_SIMPLE };

#define SIMPLE_FALSE 20
#define SIMPLE_TRUE  21
#define SIMPLE_NULL  22
#define INFO_HALF    25
#define INFO_DOUBLE  27

/* The first byte of an item and the number behind it. */
struct head {
	unsigned major, info;
	uint64_t n;
	size_t size;
};

/* ---- writing ---- */

static void put(struct cbor_writer *w, const void *bytes, size_t len)
{
	if (w->len <= w->cap && len <= w->cap - w->len && len > 0)
		memcpy(w->out + w->len, bytes, len);
	w->len += len;
}

static void put_head(struct cbor_writer *w, unsigned major, uint64_t n)
{
	uint8_t head[9] = {(uint8_t)(major << 5)};
	size_t bytes = n < 24 ? 0 : n <= UINT8_MAX ? 1 : n <= UINT16_MAX ? 2 : n <= UINT32_MAX ? 4 : 8;
	head[0] |= (uint8_t)(bytes == 0 ? n : bytes == 1 ? 24 : bytes == 2 ? 25 : bytes == 4 ? 26 : 27);
	for (size_t i = 0; i < bytes; i++)
		head[1 + i] = (uint8_t)(n >> 8 * (bytes - 1 - i));
	put(w, head, 1 + bytes);
}

void cbor_writer_init(struct cbor_writer *w, void *out, size_t cap)
{
	*w = (struct cbor_writer){out, cap, 0};
}

void cbor_put_uint(struct cbor_writer *w, uint64_t value)
{
	put_head(w, MAJOR_UINT, value);
}

void cbor_put_int(struct cbor_writer *w, int64_t value)
{
	if (value < 0)
		put_head(w, MAJOR_NEGATIVE, (uint64_t)(-1 - value));
	else
		put_head(w, MAJOR_UINT, (uint64_t)value);
}

void cbor_put_bytes_head(struct cbor_writer *w, size_t len)
{
	put_head(w, MAJOR_BYTES, len);
}

void cbor_put_bytes(struct cbor_writer *w, const void *bytes, size_t len)
{
	put_head(w, MAJOR_BYTES, len);
	put(w, bytes, len);
}

void cbor_put_text(struct cbor_writer *w, const char *text)
{
	cbor_put_text_view(w, (struct cbor_view){(const uint8_t *)text, strlen(text)});
}

void cbor_put_text_view(struct cbor_writer *w, struct cbor_view text)
{
	put_head(w, MAJOR_TEXT, text.len);
	put(w, text.at, text.len);
}

void cbor_put_array(struct cbor_writer *w, size_t items)
{
	put_head(w, MAJOR_ARRAY, items);
}

void cbor_put_map(struct cbor_writer *w, size_t pairs)
{
	put_head(w, MAJOR_MAP, pairs);
}

void cbor_put_bool(struct cbor_writer *w, bool value)
{
	put_head(w, MAJOR_SIMPLE, value ? SIMPLE_TRUE : SIMPLE_FALSE);
}

void cbor_put_null(struct cbor_writer *w)
{
	put_head(w, MAJOR_SIMPLE, SIMPLE_NULL);
}

void cbor_put_raw(struct cbor_writer *w, struct cbor_view item)
{
	put(w, item.at, item.len);
}

bool cbor_written(const struct cbor_writer *w, struct err *e)
{
	if (w->len <= w->cap)
		return true;
	return err_set(e, ERR_TOO_LARGE, "%zu bytes of CBOR, expected at most %zu", w->len, w->cap);
}

/* ---- floats (IEEE 754: 16, 32, 64 bits) ---- */

/* False when the value has no exact form in 16 bits. */
static bool half_of(double value, uint16_t *half)
{
	int exponent;
	uint16_t sign = signbit(value) ? 0x8000 : 0;
	double size = fabs(value), scaled;
	if (isnan(value) || isinf(value) || size == 0) {
		*half = isnan(value) ? 0x7e00 : (uint16_t)(sign | (isinf(value) ? 0x7c00 : 0));
		return true;
	}
	frexp(size, &exponent); /* size = 0.5..1 times 2 to the exponent */
	int lowest = exponent - 11 > -24 ? exponent - 11 : -24;
	scaled = ldexp(size, -lowest); /* a whole number below 2048 when it fits */
	if (exponent > 16 || scaled != floor(scaled))
		return false;
	unsigned mantissa = (unsigned)scaled;
	*half = (uint16_t)(sign | (mantissa < 1024 ? mantissa : (unsigned)(lowest + 25) << 10 | (mantissa & 0x3ff)));
	return true;
}

static size_t encode_float(double value, uint8_t out[9])
{
	uint16_t half;
	uint64_t bits;
	float single = fabs(value) <= (double)3.4028234663852886e38f ? (float)value : 0;
	size_t bytes = half_of(value, &half) ? 2 : (double)single == value ? 4 : 8;
	if (bytes == 2) {
		bits = half;
	} else if (bytes == 4) {
		uint32_t small;
		memcpy(&small, &single, sizeof(small));
		bits = small;
	} else {
		memcpy(&bits, &value, sizeof(bits));
	}
	out[0] = (uint8_t)(MAJOR_SIMPLE << 5 | (bytes == 2 ? 25 : bytes == 4 ? 26 : 27));
	for (size_t i = 0; i < bytes; i++)
		out[1 + i] = (uint8_t)(bits >> 8 * (bytes - 1 - i));
	return 1 + bytes;
}

void cbor_put_double(struct cbor_writer *w, double value)
{
	uint8_t bytes[9];
	put(w, bytes, encode_float(value, bytes));
}

static double float_value(const struct head *h)
{
	if (h->info == INFO_HALF)
		return half_value((uint16_t)h->n);
	if (h->info == INFO_DOUBLE) {
		double value;
		memcpy(&value, &h->n, sizeof(value));
		return value;
	}
	uint32_t bits = (uint32_t)h->n;
	float single;
	memcpy(&single, &bits, sizeof(single));
	return (double)single;
}

/* ---- the strict pass ---- */

struct scan {
	const uint8_t *bytes;
	size_t len, at;
	struct err *e;
};

static bool refuse(const struct scan *s, size_t at, const char *what)
{
	return err_set(s->e, ERR_DECODE, "CBOR byte %zu: %s", at, what);
}

/* Without any check of its form. False: cut off, or a length that does not exist. */
static bool read_head(const uint8_t *p, size_t left, struct head *h)
{
	*h = (struct head){.size = 0};
	if (left == 0)
		return false;
	*h = (struct head){.major = p[0] >> 5, .info = p[0] & 0x1f, .n = p[0] & 0x1f, .size = 1};
	if (h->info < 24)
		return true;
	if (h->info > 27)
		return false;
	size_t bytes = (size_t)1 << (h->info - 24);
	if (left - 1 < bytes)
		return false;
	h->n = 0;
	for (size_t i = 0; i < bytes; i++)
		h->n = h->n << 8 | p[1 + i];
	h->size = 1 + bytes;
	return true;
}

static bool check_simple(const struct scan *s, const struct head *h)
{
	uint8_t shortest[9];
	if (h->info < INFO_HALF) {
		bool known = h->size == 1 && h->n >= SIMPLE_FALSE && h->n <= SIMPLE_NULL;
		return known || refuse(s, s->at, "expected false, true, null or a number");
	}
	size_t size = encode_float(float_value(h), shortest);
	return (size == h->size && memcmp(shortest, s->bytes + s->at, size) == 0) ||
	       refuse(s, s->at, "a float that is not in its shortest form");
}

static bool check_head(const struct scan *s, struct head *h)
{
	static const uint64_t least[] = {24, 1u << 8, 1u << 16, UINT64_C(1) << 32};
	if (!read_head(s->bytes + s->at, s->len - s->at, h)) {
		bool endless = s->at < s->len && (s->bytes[s->at] & 0x1f) == 31;
		return refuse(s, s->at, endless ? "an indefinite length" : "cut off, or a length that does not exist");
	}
	if (h->major == MAJOR_SIMPLE)
		return check_simple(s, h);
	if (h->major == MAJOR_TAG)
		return refuse(s, s->at, "a tag, expected none");
	if (h->info >= 24 && h->n < least[h->info - 24])
		return refuse(s, s->at, "a number that is not in its shortest form");
	return true;
}

static bool check_string(struct scan *s, const struct head *h)
{
	if (h->n > s->len - s->at)
		return refuse(s, s->at, "a string that is cut off");
	if (h->major == MAJOR_TEXT && !utf8_valid(s->bytes + s->at, (size_t)h->n))
		return refuse(s, s->at, "text that is not UTF-8");
	s->at += (size_t)h->n;
	return true;
}

/* Is the key at `a` before the one at `b`, by bytes? An encoding is never the beginning of another. */
static bool ascending(const struct scan *s, size_t a, size_t a_len, size_t b, size_t b_len)
{
	return memcmp(s->bytes + a, s->bytes + b, a_len < b_len ? a_len : b_len) < 0;
}

static bool check_item(struct scan *s, unsigned depth);

static bool check_map(struct scan *s, uint64_t pairs, unsigned depth)
{
	size_t before = 0, before_len = 0;
	for (uint64_t i = 0; i < pairs; i++) {
		size_t key = s->at;
		if (!check_item(s, depth))
			return false;
		if (i > 0 && !ascending(s, before, before_len, key, s->at - key))
			return refuse(s, key, "a key that is there twice, or out of order");
		before = key;
		before_len = s->at - key;
		if (!check_item(s, depth))
			return false;
	}
	return true;
}

static bool check_item(struct scan *s, unsigned depth)
{
	struct head h;
	if (!check_head(s, &h))
		return false;
	if ((h.major == MAJOR_ARRAY || h.major == MAJOR_MAP) && depth >= CBOR_DEPTH_MAX)
		return refuse(s, s->at, "nested too deeply");
	s->at += h.size;
	if (h.major == MAJOR_BYTES || h.major == MAJOR_TEXT)
		return check_string(s, &h);
	if (h.major == MAJOR_MAP)
		return check_map(s, h.n, depth + 1);
	for (uint64_t i = 0; h.major == MAJOR_ARRAY && i < h.n; i++)
		if (!check_item(s, depth + 1))
			return false;
	return true;
}

bool cbor_open(struct cbor_reader *r, const void *bytes, size_t len, struct err *e)
{
	struct scan s = {bytes, len, 0, e};
	*r = (struct cbor_reader){bytes, len, 0};
	if (!check_item(&s, 0))
		return false;
	return s.at == len || refuse(&s, s.at, "bytes behind the end");
}

/* ---- the cursor ---- */

static const char *const kind_names[] = {
	[CBOR_UINT] = "a number",       [CBOR_NEGATIVE] = "a negative number",
	[CBOR_BYTES] = "a byte string", [CBOR_TEXT] = "text",
	[CBOR_ARRAY] = "an array",      [CBOR_MAP] = "a map",
	[CBOR_BOOL] = "a boolean",      [CBOR_NULL] = "null",
	[CBOR_FLOAT] = "a float",       [CBOR_END] = "the end",
};

const char *cbor_kind_name(enum cbor_kind kind)
{
	return kind_names[kind];
}

static enum cbor_kind kind_of(const struct head *h)
{
	if (h->major < MAJOR_TAG)
		return (enum cbor_kind)h->major; /* the same order */
	if (h->info >= INFO_HALF)
		return CBOR_FLOAT;
	return h->n == SIMPLE_NULL ? CBOR_NULL : CBOR_BOOL;
}

enum cbor_kind cbor_peek(const struct cbor_reader *r)
{
	struct head h;
	return read_head(r->bytes + r->at, r->len - r->at, &h) ? kind_of(&h) : CBOR_END;
}

static bool take(struct cbor_reader *r, enum cbor_kind kind, struct head *h, struct err *e)
{
	bool some = read_head(r->bytes + r->at, r->len - r->at, h);
	enum cbor_kind found = some ? kind_of(h) : CBOR_END;
	if (found != kind)
		return err_set(e, ERR_DECODE, "CBOR byte %zu: %s, expected %s", r->at, kind_names[found],
			       kind_names[kind]);
	r->at += h->size;
	return true;
}

bool cbor_take_uint(struct cbor_reader *r, uint64_t *value, struct err *e)
{
	struct head h;
	if (!take(r, CBOR_UINT, &h, e))
		return false;
	*value = h.n;
	return true;
}

bool cbor_take_int(struct cbor_reader *r, int64_t *value, struct err *e)
{
	struct head h;
	bool negative = cbor_peek(r) == CBOR_NEGATIVE;
	if (!take(r, negative ? CBOR_NEGATIVE : CBOR_UINT, &h, e))
		return false;
	if (h.n > INT64_MAX)
		return err_set(e, ERR_DECODE, "CBOR byte %zu: a number beyond 64 bits with sign", r->at - h.size);
	*value = negative ? -1 - (int64_t)h.n : (int64_t)h.n;
	return true;
}

static bool take_string(struct cbor_reader *r, enum cbor_kind kind, struct cbor_view *view, struct err *e)
{
	struct head h;
	if (!take(r, kind, &h, e))
		return false;
	*view = (struct cbor_view){r->bytes + r->at, (size_t)h.n};
	r->at += (size_t)h.n;
	return true;
}

bool cbor_take_bytes(struct cbor_reader *r, struct cbor_view *bytes, struct err *e)
{
	return take_string(r, CBOR_BYTES, bytes, e);
}

bool cbor_take_text(struct cbor_reader *r, struct cbor_view *text, struct err *e)
{
	return take_string(r, CBOR_TEXT, text, e);
}

bool cbor_take_array(struct cbor_reader *r, size_t *items, struct err *e)
{
	struct head h;
	if (!take(r, CBOR_ARRAY, &h, e))
		return false;
	*items = (size_t)h.n;
	return true;
}

bool cbor_take_map(struct cbor_reader *r, size_t *pairs, struct err *e)
{
	struct head h;
	if (!take(r, CBOR_MAP, &h, e))
		return false;
	*pairs = (size_t)h.n;
	return true;
}

bool cbor_take_bool(struct cbor_reader *r, bool *value, struct err *e)
{
	struct head h;
	if (!take(r, CBOR_BOOL, &h, e))
		return false;
	*value = h.n == SIMPLE_TRUE;
	return true;
}

bool cbor_take_null(struct cbor_reader *r, struct err *e)
{
	struct head h;
	return take(r, CBOR_NULL, &h, e);
}

bool cbor_take_double(struct cbor_reader *r, double *value, struct err *e)
{
	struct head h;
	if (!take(r, CBOR_FLOAT, &h, e))
		return false;
	*value = float_value(&h);
	return true;
}

/* Items still to pass over: a count instead of a recursion, as cbor_open() has seen that they are all there. */
bool cbor_take_item(struct cbor_reader *r, struct cbor_view *item, struct err *e)
{
	size_t start = r->at;
	struct head h;
	for (uint64_t left = 1; left > 0; left--) {
		if (!read_head(r->bytes + r->at, r->len - r->at, &h))
			return err_set(e, ERR_DECODE, "CBOR byte %zu: the end, expected an item", r->at);
		r->at += h.size;
		if (h.major == MAJOR_BYTES || h.major == MAJOR_TEXT)
			r->at += (size_t)h.n;
		else if (h.major == MAJOR_ARRAY)
			left += h.n;
		else if (h.major == MAJOR_MAP)
			left += 2 * h.n;
	}
	if (item != NULL)
		*item = (struct cbor_view){r->bytes + start, r->at - start};
	return true;
}

bool cbor_text_is(struct cbor_view view, const char *text)
{
	return view.len == strlen(text) && memcmp(view.at, text, view.len) == 0;
}
