/* SPDX-License-Identifier: Apache-2.0
 *
 * Patched fields have a fixed width: JSON numbers are padded with spaces behind, CBOR numbers take their longest form.
 */
#include "tests/tracker/template.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLE_BYTES 192
#define HEAD_BYTES   192
#define SEQ_WIDTH    10
#define TIME_WIDTH   17 /* 1790000000.123456 */

struct template
{
	enum encoding encoding;
	size_t samples, len;
	bool full;
	int degrees;
	size_t seq_at, time_at;
	size_t *value_at;
	uint8_t *bytes;
};

static void add(struct template *t, const void *bytes, size_t len)
{
	memcpy(t->bytes + t->len, bytes, len);
	t->len += len;
}

static void add_text(struct template *t, const char *text)
{
	add(t, text, strlen(text));
}

static void big_endian(uint8_t *out, uint64_t value, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		out[i] = (uint8_t)(value >> (8 * (bytes - 1 - i)));
}

static void put_double(uint8_t *out, double value)
{
	uint64_t bits;

	memcpy(&bits, &value, sizeof(bits));
	big_endian(out, bits, sizeof(bits));
}

static void build_json(struct template *t, int32_t epoch)
{
	char text[HEAD_BYTES];

	snprintf(text, sizeof(text), "[{\"n\":\"epoch\",\"v\":%" PRId32 "},{\"bt\":", epoch);
	add_text(t, text);
	t->time_at = t->len;
	snprintf(text, sizeof(text), "%*s,\"n\":\"seq\",\"v\":", TIME_WIDTH, "");
	add_text(t, text);
	t->seq_at = t->len;
	snprintf(text, sizeof(text), "%*s},{\"bu\":\"Cel\"", SEQ_WIDTH, "");
	add_text(t, text);
	for (size_t i = 0; i < t->samples; i++) {
		snprintf(text, sizeof(text), "%s\"n\":\"temp\",\"v\":%d.", i == 0 ? "," : ",{", t->degrees);
		add_text(t, text);
		t->value_at[i] = t->len;
		double at = (double)i * TEMPLATE_STEP_US / 1e6;
		snprintf(text, sizeof(text), "0,\"t\":%.5f}", at);
		add_text(t, text);
		if (!t->full)
			continue;
		snprintf(text, sizeof(text),
			 ",{\"n\":\"hum\",\"u\":\"%%RH\",\"v\":48.5,\"t\":%.5f},{\"n\":\"batt\",\"u\":\"%%EL\",\"v\":"
			 "87,\"t\":%.5f}",
			 at, at);
		add_text(t, text);
	}
	add_text(t, "]");
}

/* Labels as in RFC 8428 section 6: n 0, u 1, v 2, t 6, bt -3 (0x22), bu -4 (0x23). */
static void build_cbor(struct template *t, int32_t epoch)
{
	uint8_t number[9] = {0};

	size_t records = t->samples * (t->full ? 3 : 1) + 2;
	add(t, (uint8_t[]){0x99, (uint8_t)(records >> 8), (uint8_t)records}, 3);
	add(t,
	    "\xa2\x00\x65"
	    "epoch\x02\x19",
	    10);
	add(t, (uint8_t[]){(uint8_t)(epoch >> 8), (uint8_t)epoch}, 2);
	add(t, "\xa3\x00\x63seq\x02\x1a", 8);
	t->seq_at = t->len;
	add(t, number, 4);
	add(t, "\x22\xfb", 2);
	t->time_at = t->len;
	add(t, number, 8);
	for (size_t i = 0; i < t->samples; i++) {
		add(t, i == 0 ? "\xa4" : "\xa3", 1);
		add(t, "\x00\x64temp\x02\xfb", 8);
		t->value_at[i] = t->len;
		add(t, number, 8);
		add(t, "\x06\xfb", 2);
		put_double(number, (double)i * TEMPLATE_STEP_US / 1e6);
		add(t, number, 8);
		if (i == 0)
			add(t,
			    "\x23\x63"
			    "Cel",
			    5);
		if (!t->full)
			continue;
		add(t, "\xa4\x00\x63hum\x01\x63%RH\x02\xfb\x40\x48\x40\x00\x00\x00\x00\x00\x06\xfb", 23);
		add(t, number, 8);
		add(t,
		    "\xa4\x00\x64"
		    "batt\x01\x63%EL\x02\x18\x57\x06\xfb",
		    17);
		add(t, number, 8);
	}
}

struct template *template_new(enum encoding encoding, int32_t epoch, size_t samples, bool full, int degrees)
{
	struct template *t = calloc(1, sizeof(*t));

	if (t == NULL || (t->value_at = calloc(samples, sizeof(*t->value_at))) == NULL ||
	    (t->bytes = calloc(1, HEAD_BYTES + samples * SAMPLE_BYTES)) == NULL)
		abort();
	t->encoding = encoding;
	t->samples = samples;
	t->full = full;
	t->degrees = degrees;
	if (encoding == ENCODING_JSON)
		build_json(t, epoch);
	else
		build_cbor(t, epoch);
	return t;
}

void template_free(struct template **t)
{
	if (*t == NULL)
		return;
	free((*t)->value_at);
	free((*t)->bytes);
	free(*t);
	*t = NULL;
}

static void put_digits(uint8_t *out, int64_t value, size_t width)
{
	for (size_t i = width; i-- > 0; value /= 10)
		out[i] = (uint8_t)('0' + value % 10);
}

static void patch_json(struct template *t, int32_t seq, int64_t ts)
{
	char text[SEQ_WIDTH + 2];
	int n = snprintf(text, sizeof(text), "%" PRId32, seq);

	memcpy(t->bytes + t->seq_at, text, (size_t)n);
	memset(t->bytes + t->seq_at + n, ' ', (size_t)(SEQ_WIDTH - n));
	put_digits(t->bytes + t->time_at, ts / 1000000, 10);
	t->bytes[t->time_at + 10] = '.';
	put_digits(t->bytes + t->time_at + 11, ts % 1000000, 6);
	for (size_t i = 0; i < t->samples; i++)
		t->bytes[t->value_at[i]] = (uint8_t)('0' + ((size_t)seq + i) % 10);
}

static void patch_cbor(struct template *t, int32_t seq, int64_t ts)
{
	big_endian(t->bytes + t->seq_at, (uint64_t)seq, 4);
	put_double(t->bytes + t->time_at, (double)ts / 1e6);
	for (size_t i = 0; i < t->samples; i++)
		put_double(t->bytes + t->value_at[i], (double)((size_t)t->degrees * 10 + ((size_t)seq + i) % 10) / 10);
}

void template_patch(struct template *t, int32_t seq, int64_t ts)
{
	if (t->encoding == ENCODING_JSON)
		patch_json(t, seq, ts);
	else
		patch_cbor(t, seq, ts);
}

const uint8_t *template_bytes(const struct template *t, size_t *len)
{
	*len = t->len;
	return t->bytes;
}
