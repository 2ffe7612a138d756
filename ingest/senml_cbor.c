/* SPDX-License-Identifier: Apache-2.0
 *
 * SenML in CBOR (RFC 8428 section 6), read item by item: no tree, no recursion, no allocation but for the base64url of
 * byte strings. Arrays and maps may have indefinite length (encoders for small devices like it so), strings may not.
 * Not with libcbor: its streaming decoder, a callback an item, made CBOR dearer to read than JSON. */
#include <endian.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/half.h"
#include "ingest/senml.h"
#include "ingest/senml_value.h"

#define TAG_DECIMAL  4       /* RFC 8949 section 3.4.4 */
#define EXPONENT_MAX 1000000 /* no 64-bit mantissa times 10 to this, or to minus this, is a double other than 0 */

enum item_type { UINT, NEGINT, BYTES, TEXT, ARRAY, MAP, TAG, FLOAT, BOOLEAN, NOTHING, BREAK, ENDLESS_STRING };

static const char *const item_names[] = {
	[UINT] = "a number",      [NEGINT] = "a number", [BYTES] = "a byte string",
	[TEXT] = "a text string", [ARRAY] = "an array",  [MAP] = "a map",
	[TAG] = "a tag",          [FLOAT] = "a number",  [BOOLEAN] = "a boolean",
	[NOTHING] = "null",       [BREAK] = "a break",   [ENDLESS_STRING] = "a string of indefinite length",
};

struct item {
	enum item_type type;
	bool endless; /* ARRAY, MAP: it goes on until a break */
	uint64_t n;   /* UINT; NEGINT: the value is -1 - n; ARRAY, MAP: length unless endless; TAG: its number */
	double number;
	bool boolean;
	struct senml_text bytes; /* BYTES, TEXT */
};

struct reader {
	const struct senml_input *in;
	size_t at;
	struct item item;
	size_t record; /* the one being read, from 1 */
	struct err *e;
};

static enum senml_status cut_off(struct reader *r)
{
	err_set(r->e, ERR_DECODE, "CBOR is cut off: record %zu goes on after the last of %zu bytes", r->record,
		r->in->len);
	return SENML_SYNTAX;
}

static enum senml_status malformed(struct reader *r)
{
	err_set(r->e, ERR_DECODE, "not valid CBOR: record %zu, byte %zu is 0x%02x", r->record, r->at + 1,
		r->in->bytes[r->at]);
	return SENML_SYNTAX;
}

/* The major types of RFC 8949 section 3.1, in their order. */
static const enum item_type majors[] = {UINT, NEGINT, BYTES, TEXT, ARRAY, MAP, TAG, FLOAT};

/* The number behind the first byte, of 0, 1, 2, 4 or 8 bytes: `info` below 28. */
static uint64_t argument(const uint8_t *at, unsigned info)
{
	uint16_t two;
	uint32_t four;
	uint64_t eight;

	switch (info) {
	case 24:
		return *at;
	case 25:
		memcpy(&two, at, sizeof(two));
		return be16toh(two);
	case 26:
		memcpy(&four, at, sizeof(four));
		return be32toh(four);
	case 27:
		memcpy(&eight, at, sizeof(eight));
		return be64toh(eight);
	default:
		return info;
	}
}

static double float_of(unsigned info, uint64_t bits)
{
	uint32_t narrow = (uint32_t)bits;
	float single;
	double number;

	if (info == 25)
		return half_value((uint16_t)bits);
	if (info == 27) {
		memcpy(&number, &bits, sizeof(number));
		return number;
	}
	memcpy(&single, &narrow, sizeof(single));
	return (double)single;
}

/* What of major type 7 is not a float: section 3.3. False for what has no meaning. */
static bool simple(struct item *item, unsigned info)
{
	switch (info) {
	case 20:
	case 21:
		item->type = BOOLEAN;
		item->boolean = info == 21;
		return true;
	case 22:
	case 23:
		item->type = NOTHING;
		return true;
	case 31:
		item->type = BREAK;
		return true;
	default:
		return info >= 25 && info <= 27;
	}
}

/* Section 3.2: it goes on until a break. */
static enum senml_status endless(struct reader *r, struct item *item)
{
	if (item->type == BYTES || item->type == TEXT)
		item->type = ENDLESS_STRING;
	else if (item->type != ARRAY && item->type != MAP)
		return malformed(r);
	item->endless = true;
	r->at++;
	return SENML_OK;
}

static enum senml_status next(struct reader *r)
{
	const uint8_t *at = r->in->bytes + r->at;
	size_t left = r->in->len - r->at;
	struct item *item = &r->item;

	if (left == 0)
		return cut_off(r);
	unsigned info = at[0] & 0x1f;
	item->type = majors[at[0] >> 5];
	item->endless = false;
	if (item->type == FLOAT && !simple(item, info))
		return malformed(r);
	if (info == 31 && item->type != BREAK)
		return endless(r, item);
	if (info >= 28 && info < 31)
		return malformed(r);
	size_t size = 1 + (info < 24 || info == 31 ? 0 : (size_t)1 << (info - 24));
	if (left < size)
		return cut_off(r);
	item->n = argument(at + 1, info);
	if (item->type == FLOAT)
		item->number = float_of(info, item->n);
	if (item->type == BYTES || item->type == TEXT) {
		if (item->n > left - size)
			return cut_off(r);
		item->bytes = (struct senml_text){(const char *)at + size, item->n};
		size += item->n;
	}
	r->at += size;
	return SENML_OK;
}

static enum senml_status wrong(struct reader *r, const char *label, const char *expected)
{
	err_set(r->e, ERR_DECODE, "record %zu: field '%s': expected %s, got %s", r->record, label, expected,
		item_names[r->item.type]);
	return SENML_INVALID;
}

/* The two integers after tag 4: exponent, mantissa. A negative CBOR integer n stands for -1 - n; -(2**64) does not fit
 * and is refused. */
static enum senml_status decimal_read(struct reader *r, const char *label, double *out)
{
	enum senml_status status = next(r);
	if (status != SENML_OK)
		return status;
	if (r->item.type != ARRAY || r->item.endless || r->item.n != 2)
		return wrong(r, label, "an array of exponent and mantissa after tag 4");
	uint64_t part[2];
	bool negative[2];
	for (int i = 0; i < 2; i++) {
		if ((status = next(r)) != SENML_OK)
			return status;
		negative[i] = r->item.type == NEGINT;
		if ((r->item.type != UINT && !negative[i]) || (negative[i] && r->item.n == UINT64_MAX))
			return wrong(r, label, "64-bit integers as exponent and mantissa after tag 4");
		part[i] = r->item.n + negative[i];
	}
	int64_t exponent = part[0] < EXPONENT_MAX ? (int64_t)part[0] : EXPONENT_MAX;
	*out = senml_decimal(negative[1], part[1], negative[0] ? -exponent : exponent);
	return SENML_OK;
}

static enum senml_status number_read(struct reader *r, const char *label, double *out)
{
	switch (r->item.type) {
	case UINT:
		*out = (double)r->item.n;
		return SENML_OK;
	case NEGINT:
		*out = -1.0 - (double)r->item.n;
		return SENML_OK;
	case FLOAT:
		*out = r->item.number;
		break;
	case TAG:
		if (r->item.n == TAG_DECIMAL) {
			enum senml_status status = decimal_read(r, label, out);
			if (status != SENML_OK)
				return status;
			break;
		}
		return wrong(r, label, "a number (integer, float or decimal fraction)");
	default:
		return wrong(r, label, "a number");
	}
	if (isfinite(*out))
		return SENML_OK;
	err_set(r->e, ERR_DECODE, "record %zu: field '%s' is %s: expected a finite number", r->record, label,
		isnan(*out) ? "not a number" : "infinite");
	return SENML_INVALID;
}

static enum senml_status text_check(struct reader *r, const char *label)
{
	if (senml_utf8_valid(r->item.bytes))
		return SENML_OK;
	err_set(r->e, ERR_DECODE, "record %zu: field '%s': its text is not UTF-8, or holds U+0000", r->record, label);
	return SENML_SYNTAX;
}

static enum senml_status value_read(struct reader *r, enum senml_label label, struct senml_record *record)
{
	enum senml_status status = next(r);
	if (status != SENML_OK)
		return status;
	const struct senml_field *f = &senml_fields[label];
	switch (f->type) {
	case SENML_NUMBER:
		return number_read(r, f->label, &record->field[label].number);
	case SENML_BOOLEAN:
		record->field[label].boolean = r->item.boolean;
		return r->item.type == BOOLEAN ? SENML_OK : wrong(r, f->label, f->expected);
	case SENML_DATA:
		if (r->item.type != BYTES)
			return wrong(r, f->label, "a byte string");
		record->field[label].text = senml_base64url(r->in->arena, r->item.bytes);
		return SENML_OK;
	case SENML_TEXT:
		break;
	}
	if (r->item.type != TEXT)
		return wrong(r, f->label, f->expected);
	record->field[label].text = r->item.bytes;
	return text_check(r, f->label);
}

/* The value of a field that RFC 8428 does not know: a plain one, tagged or not. */
static enum senml_status value_skip(struct reader *r, const char *label)
{
	enum senml_status status;
	double ignored;
	do {
		if ((status = next(r)) != SENML_OK)
			return status;
		if (r->item.type == TAG && r->item.n == TAG_DECIMAL)
			return decimal_read(r, label, &ignored);
	} while (r->item.type == TAG);
	if (r->item.type == ARRAY || r->item.type == MAP || r->item.type == ENDLESS_STRING || r->item.type == BREAK)
		return wrong(r, label, "a plain value");
	return r->item.type == TEXT ? text_check(r, label) : SENML_OK;
}

static bool key_equal(const struct item *a, const struct item *b)
{
	if (a->type != b->type)
		return false;
	if (a->type != TEXT)
		return a->n == b->n;
	return a->bytes.len == b->bytes.len && memcmp(a->bytes.at, b->bytes.at, a->bytes.len) == 0;
}

static enum senml_label label_of(const struct item *key)
{
	if (key->type == TEXT)
		return senml_label_find(key->bytes.at, key->bytes.len);
	if (key->type == UINT && key->n < SENML_LABELS - SENML_CBOR_LABEL_OFFSET)
		return (enum senml_label)(key->n + SENML_CBOR_LABEL_OFFSET);
	if (key->type == NEGINT && key->n < SENML_CBOR_LABEL_OFFSET)
		return (enum senml_label)(SENML_CBOR_LABEL_OFFSET - 1 - key->n);
	return SENML_LABELS;
}

static struct senml_shown key_show(const struct item *key)
{
	if (key->type == TEXT)
		return senml_show(key->bytes.at, key->bytes.len);
	struct senml_shown out;
	bool negative = key->type == NEGINT;
	snprintf(out.text, sizeof(out.text), "%s%llu", negative ? "-" : "", (unsigned long long)key->n + negative);
	return out;
}

static enum senml_status duplicate(struct reader *r, const struct item *key)
{
	err_set(r->e, ERR_DECODE, "record %zu: field '%s' comes twice", r->record, key_show(key).text);
	return SENML_INVALID;
}

struct unknown {
	struct item keys[SENML_FIELDS_MAX];
	size_t count;
};

static enum senml_status unknown_skip(struct reader *r, const struct item *key, struct unknown *seen)
{
	for (size_t i = 0; i < seen->count; i++)
		if (key_equal(&seen->keys[i], key))
			return duplicate(r, key);
	seen->keys[seen->count++] = *key;
	struct senml_shown label = key_show(key);
	if (key->type == TEXT) {
		if (!senml_utf8_valid(key->bytes))
			return text_check(r, label.text);
		if (!senml_label_ignorable(key->bytes.at, key->bytes.len, r->record, r->e))
			return SENML_INVALID;
	}
	return value_skip(r, label.text);
}

static enum senml_status field_read(struct reader *r, struct senml_record *record, struct unknown *unknown)
{
	const struct item key = r->item;
	if (key.type != UINT && key.type != NEGINT && key.type != TEXT) {
		err_set(r->e, ERR_DECODE, "record %zu: a label is %s: expected an integer or a text string", r->record,
			item_names[key.type]);
		return SENML_INVALID;
	}
	enum senml_label label = label_of(&key);
	if (label == SENML_LABELS)
		return unknown_skip(r, &key, unknown);
	if (record->has & 1U << label)
		return duplicate(r, &key);
	record->has |= 1U << label;
	return value_read(r, label, record);
}

/* True while another element follows; reads the break that ends one of indefinite length. The element's first item is
 * then in r->item. */
static bool more(struct reader *r, const struct item *container, uint64_t done, enum senml_status *status)
{
	if (!container->endless && done >= container->n)
		return false;
	if ((*status = next(r)) != SENML_OK)
		return false;
	return !container->endless || r->item.type != BREAK;
}

static enum senml_status record_read(struct reader *r, struct senml_record *record)
{
	if (r->item.type != MAP) {
		err_set(r->e, ERR_DECODE, "record %zu: expected a map, got %s", r->record, item_names[r->item.type]);
		return SENML_INVALID;
	}
	const struct item container = r->item;
	enum senml_status status = SENML_OK;
	struct unknown unknown;
	unknown.count = 0;
	record->has = 0;
	for (uint64_t i = 0; more(r, &container, i, &status); i++) {
		if (i == SENML_FIELDS_MAX) {
			err_set(r->e, ERR_DECODE, "record %zu has more fields than %d", r->record, SENML_FIELDS_MAX);
			return SENML_INVALID;
		}
		if ((status = field_read(r, record, &unknown)) != SENML_OK)
			return status;
	}
	return status;
}

static enum senml_status records_read(struct reader *r)
{
	const struct item container = r->item;
	enum senml_status status = SENML_OK;
	struct senml_resolver resolver = {0};
	struct senml_record record;
	for (r->record = 1; more(r, &container, r->record - 1, &status); r->record++) {
		if (r->record > r->in->max_records) {
			err_set(r->e, ERR_DECODE, "more than %zu records", r->in->max_records);
			return SENML_TOO_MANY;
		}
		if ((status = record_read(r, &record)) != SENML_OK)
			return status;
		if ((status = senml_push(&resolver, r->in, &record, r->e)) != SENML_OK)
			return status;
	}
	if (status == SENML_OK && r->record == 1) {
		err_set(r->e, ERR_DECODE, "expected an array of at least one record, got an empty one");
		return SENML_INVALID;
	}
	return status;
}

enum senml_status senml_cbor_decode(const struct senml_input *in, struct err *e)
{
	struct reader r = {.in = in, .record = 1, .e = e};
	enum senml_status status = next(&r);
	if (status != SENML_OK)
		return status;
	if (r.item.type != ARRAY) {
		err_set(e, ERR_DECODE, "expected an array of records, got %s", item_names[r.item.type]);
		return SENML_INVALID;
	}
	status = records_read(&r);
	if (status == SENML_OK && r.at < in->len) {
		err_set(e, ERR_DECODE, "%zu bytes after the end of the pack", in->len - r.at);
		return SENML_SYNTAX;
	}
	return status;
}
