/* SPDX-License-Identifier: Apache-2.0
 *
 * The records of a message are made once, as values; two small writers turn each record into JSON or CBOR. */
#include "tests/tracker/encode.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RECORD_MAX 112 /* bytes that the longest record of a measure can take in either form */
_Static_assert(MEASURES_MAX *RECORD_MAX + 64 * (LOST_MAX + 4) < ENCODE_MAX, "a sample always fits into a message");

static const struct {
	const char *name;
	const char *unit; /* RFC 8428 section 12.1 */
} quantity_table[QUANTITIES] = {
	[Q_TEMP] = {"temp", "Cel"},    [Q_HUM] = {"hum", "%RH"},   [Q_LUX] = {"lux", "lux"},
	[Q_SHOCK] = {"shock", "m/s2"}, [Q_BATT] = {"batt", "%EL"}, [Q_RSRP] = {"rsrp", "dBm"},
	[Q_LAT] = {"lat", "lat"},      [Q_LON] = {"lon", "lon"},   [Q_ALT] = {"alt", "m"},
	[Q_ACC] = {"acc", "m"},        [Q_DOOR] = {"door", NULL},  [Q_TAMPER] = {"tamper", NULL},
	[Q_POWER] = {"power", NULL},
};

/* RFC 8428 section 6, table 4; in the order in which deterministic CBOR sorts the keys. */
enum field { F_NAME, F_UNIT, F_VALUE, F_STRING, F_BOOL, F_TIME, F_BASE_TIME, F_BASE_UNIT, FIELDS };
static const struct {
	const char *json;
	int label;
} field_table[FIELDS] = {
	[F_NAME] = {"n", 0},  [F_UNIT] = {"u", 1}, [F_VALUE] = {"v", 2},       [F_STRING] = {"vs", 3},
	[F_BOOL] = {"vb", 4}, [F_TIME] = {"t", 6}, [F_BASE_TIME] = {"bt", -3}, [F_BASE_UNIT] = {"bu", -4},
};

struct record {
	unsigned has; /* bit f: field f is present */
	const char *text[FIELDS];
	double number[FIELDS]; /* F_BOOL: 0 or 1 */
};

struct writer {
	enum encoding encoding;
	uint8_t *out;
	size_t len;
	size_t records;
};

const char *encode_quantity(uint16_t quantity)
{
	return quantity_table[quantity].name;
}

size_t encode_number(char out[ENCODE_NUMBER_MAX], double value)
{
	for (int digits = 15; digits <= 17; digits++) {
		snprintf(out, ENCODE_NUMBER_MAX, "%.*g", digits, value);
		if (strtod(out, NULL) == value)
			break;
	}
	return strlen(out);
}

static void record_text(struct record *r, enum field field, const char *text)
{
	r->has |= 1u << field;
	r->text[field] = text;
}

static void record_number(struct record *r, enum field field, double value)
{
	r->has |= 1u << field;
	r->number[field] = value;
}

static void put(struct writer *w, const void *bytes, size_t len)
{
	memcpy(w->out + w->len, bytes, len);
	w->len += len;
}

static void put_text(struct writer *w, const char *text)
{
	put(w, text, strlen(text));
}

/* RFC 8949 section 4.2.1: the shortest form of the argument. */
static void cbor_head(struct writer *w, unsigned major, uint64_t value)
{
	unsigned bytes = value < 24            ? 0
			 : value <= UINT8_MAX  ? 1
			 : value <= UINT16_MAX ? 2
			 : value <= UINT32_MAX ? 4
					       : 8;
	unsigned info = bytes == 0 ? (unsigned)value : bytes == 1 ? 24 : bytes == 2 ? 25 : bytes == 4 ? 26 : 27;

	w->out[w->len++] = (uint8_t)(major << 5 | info);
	for (unsigned i = bytes; i-- > 0;)
		w->out[w->len++] = (uint8_t)(value >> (8 * i));
}

static void cbor_text(struct writer *w, const char *text)
{
	cbor_head(w, 3, strlen(text));
	put_text(w, text);
}

/* Halves only for values that a sensor can say: integers go out as integers, so .5 and its like remain. */
static bool cbor_half(double value, uint16_t *half)
{
	int exponent;
	double fraction = frexp(fabs(value), &exponent);
	double mantissa = ldexp(fraction, 11);

	if (exponent < -13 || exponent > 16 || mantissa != floor(mantissa))
		return false;
	*half = (uint16_t)((value < 0 ? 0x8000u : 0u) | (unsigned)(exponent + 14) << 10 |
			   ((unsigned)mantissa & 0x3ffu));
	return true;
}

static void cbor_float(struct writer *w, double value)
{
	uint64_t bits;
	uint32_t bits32;
	uint16_t bits16;
	float single = (float)value;
	unsigned bytes = 8;

	memcpy(&bits, &value, sizeof(bits));
	memcpy(&bits32, &single, sizeof(bits32));
	if (cbor_half(value, &bits16)) {
		bytes = 2;
		bits = bits16;
	} else if ((double)single == value) {
		bytes = 4;
		bits = bits32;
	}
	w->out[w->len++] = bytes == 2 ? 0xf9 : bytes == 4 ? 0xfa : 0xfb;
	for (unsigned i = bytes; i-- > 0;)
		w->out[w->len++] = (uint8_t)(bits >> (8 * i));
}

static void cbor_number(struct writer *w, double value)
{
	if (value != floor(value) || fabs(value) > 9007199254740992.0 || (value == 0 && signbit(value)))
		cbor_float(w, value);
	else if (value < 0)
		cbor_head(w, 1, (uint64_t)(-1 - (int64_t)value));
	else
		cbor_head(w, 0, (uint64_t)value);
}

static void cbor_record(struct writer *w, const struct record *r)
{
	cbor_head(w, 5, (uint64_t)__builtin_popcount(r->has));
	for (unsigned f = 0; f < FIELDS; f++) {
		if (!(r->has & 1u << f))
			continue;
		cbor_number(w, field_table[f].label);
		if (r->text[f] != NULL)
			cbor_text(w, r->text[f]);
		else if (f == F_BOOL)
			w->out[w->len++] = r->number[f] != 0 ? 0xf5 : 0xf4;
		else
			cbor_number(w, r->number[f]);
	}
}

/* No text of ours needs escapes: names come from the table, ranges are digits. */
static void json_record(struct writer *w, const struct record *r)
{
	char number[ENCODE_NUMBER_MAX];
	const char *open = w->records == 0 ? "[{" : ",{";

	for (unsigned f = 0; f < FIELDS; f++) {
		if (!(r->has & 1u << f))
			continue;
		put_text(w, open);
		open = ",";
		put_text(w, "\"");
		put_text(w, field_table[f].json);
		put_text(w, "\":");
		if (r->text[f] != NULL) {
			put_text(w, "\"");
			put_text(w, r->text[f]);
			put_text(w, "\"");
		} else if (f == F_BOOL) {
			put_text(w, r->number[f] != 0 ? "true" : "false");
		} else {
			encode_number(number, r->number[f]);
			put_text(w, number);
		}
	}
	put_text(w, "}");
}

static void write_record(struct writer *w, const struct record *r)
{
	if (w->encoding == ENCODING_JSON)
		json_record(w, r);
	else
		cbor_record(w, r);
	w->records++;
}

/* The array's length stands before its records, so room for the longest head is kept and closed up at the end. */
#define CBOR_HEAD_MAX 5
static size_t close_array(struct writer *w)
{
	if (w->encoding == ENCODING_JSON) {
		put_text(w, "]");
		return w->len;
	}
	size_t body = w->len - CBOR_HEAD_MAX;
	w->len = 0;
	cbor_head(w, 4, w->records);
	memmove(w->out + w->len, w->out + CBOR_HEAD_MAX, body);
	return w->len + body;
}

static void write_number(struct writer *w, const char *name, const char *unit, double value)
{
	struct record r = {0};

	record_text(&r, F_NAME, name);
	if (unit != NULL)
		record_text(&r, F_UNIT, unit);
	record_number(&r, F_VALUE, value);
	write_record(w, &r);
}

static void write_preamble(struct writer *w, const struct message *m)
{
	struct record ask = {0};

	if (m->epoch != 0 || m->sample_count == 0)
		write_number(w, "epoch", NULL, m->epoch);
	if (m->sample_count == 0)
		write_number(w, "seq", NULL, m->next);
	if (m->clock >= 0)
		write_number(w, "clock", "s", m->clock);
	for (size_t i = 0; i < m->lost_count; i++) {
		struct record r = {0};
		char words[ENCODE_NUMBER_MAX];
		snprintf(words, sizeof(words), "%" PRId32 "-%" PRId32, m->lost[i].first, m->lost[i].last);
		record_text(&r, F_NAME, "lost");
		record_text(&r, F_STRING, words);
		write_record(w, &r);
	}
	record_text(&ask, F_NAME, "rr");
	record_number(&ask, F_BOOL, 1);
	if (m->ask)
		write_record(w, &ask);
}

/* The unit of most records is a base unit, said once; temperatures are most of them. */
static void write_measure(struct writer *w, const struct measure *measure, double t, bool first)
{
	struct record r = {0};
	char name[24];
	const char *unit = quantity_table[measure->quantity].unit;

	if (measure->probe > 0)
		snprintf(name, sizeof(name), "p%u/%s", measure->probe, quantity_table[measure->quantity].name);
	else
		snprintf(name, sizeof(name), "%s", quantity_table[measure->quantity].name);
	record_text(&r, F_NAME, name);
	if (first)
		record_text(&r, F_BASE_UNIT, quantity_table[Q_TEMP].unit);
	if (unit != NULL && measure->quantity != Q_TEMP)
		record_text(&r, F_UNIT, unit);
	record_number(&r, measure->quantity < Q_NUMBERS ? F_VALUE : F_BOOL, measure->value);
	if (t != 0)
		record_number(&r, F_TIME, t);
	write_record(w, &r);
}

static void write_base(struct writer *w, const struct sample *first)
{
	struct record r = {0};

	record_number(&r, F_BASE_TIME, (double)first->ts / 1e6);
	record_text(&r, F_NAME, "seq");
	record_number(&r, F_VALUE, first->seq);
	write_record(w, &r);
}

static bool belongs(const struct message *m, size_t i)
{
	return i == 0 ||
	       (m->samples[i]->seq == m->samples[0]->seq + (int32_t)i && m->samples[i]->ts >= m->samples[i - 1]->ts);
}

size_t encode_message(enum encoding encoding, const struct message *m, uint8_t out[ENCODE_MAX], size_t *taken)
{
	struct writer w = {.encoding = encoding, .out = out, .len = encoding == ENCODING_CBOR ? CBOR_HEAD_MAX : 0};
	size_t i;

	write_preamble(&w, m);
	if (m->sample_count > 0)
		write_base(&w, m->samples[0]);
	for (i = 0; i < m->sample_count && i < ENCODE_SAMPLES_MAX && belongs(m, i); i++) {
		const struct sample *s = m->samples[i];
		if (w.len + s->count * (size_t)RECORD_MAX + 1 > ENCODE_MAX)
			break;
		for (uint16_t j = 0; j < s->count; j++)
			write_measure(&w, &s->measures[j], (double)(s->ts - m->samples[0]->ts) / 1e6, i == 0 && j == 0);
	}
	*taken = i;
	return close_array(&w);
}

const char *encoding_content_type(enum encoding encoding)
{
	return encoding == ENCODING_JSON ? "application/senml+json" : "application/senml+cbor";
}
