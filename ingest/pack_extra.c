/* SPDX-License-Identifier: Apache-2.0
 *
 * A record outside the table of known names as text of a JSON object's member, the way telemetry.reading.extra keeps
 * it: "co2":{"v":412,"u":"ppm"}. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ingest/pack_build.h"

#define NUMBER_MAX 32 /* %.17g: at most 24 characters */

struct writer {
	char *at;
	size_t len;
};

static void put(struct writer *w, const char *text, size_t len)
{
	memcpy(w->at + w->len, text, len);
	w->len += len;
}

/* Integers as such, anything else with the fewest of 15 to 17 digits that read back as the same double. */
static void put_number(struct writer *w, double v)
{
	char text[NUMBER_MAX];
	int n = 0;
	if (fabs(v) < 1e15 && v == trunc(v)) {
		n = snprintf(text, sizeof(text), "%" PRId64, (int64_t)v);
		put(w, text, (size_t)n);
		return;
	}
	for (int digits = 15; digits <= 17; digits++) {
		n = snprintf(text, sizeof(text), "%.*g", digits, v);
		if (strtod(text, NULL) == v)
			break;
	}
	put(w, text, (size_t)n);
}

/* Bytes that `c` takes within a JSON string (RFC 8259 section 7). */
static size_t escaped_size(unsigned char c)
{
	return c == '"' || c == '\\' ? 2 : c < 0x20 ? 6 : 1;
}

static size_t string_size(struct senml_text t)
{
	size_t size = 2;
	for (size_t i = 0; i < t.len; i++)
		size += escaped_size((unsigned char)t.at[i]);
	return size;
}

static void put_string(struct writer *w, struct senml_text t)
{
	put(w, "\"", 1);
	for (size_t i = 0; i < t.len; i++) {
		unsigned char c = (unsigned char)t.at[i];
		switch (escaped_size(c)) {
		case 2:
			put(w, (const char[]){'\\', (char)c}, 2);
			break;
		case 6:
			put(w, (const char[]){'\\', 'u', '0', '0', (char)('0' + (c >> 4)), "0123456789abcdef"[c & 15]},
			    6);
			break;
		default:
			put(w, &t.at[i], 1);
		}
	}
	put(w, "\"", 1);
}

static void put_key(struct writer *w, const char *key)
{
	if (w->at[w->len - 1] != '{')
		put(w, ",", 1);
	put(w, "\"", 1);
	put(w, key, strlen(key));
	put(w, "\":", 2);
}

static void put_value(struct writer *w, const struct senml_resolved *r)
{
	put_key(w, senml_fields[r->value].label);
	if (r->value == SENML_V)
		put_number(w, r->v);
	else if (r->value == SENML_VB)
		put(w, r->vb ? "true" : "false", r->vb ? 4 : 5);
	else
		put_string(w, r->text);
}

struct senml_text pack_extra_member(struct arena *arena, struct senml_text name, const struct senml_resolved *r,
				    bool sum_only)
{
	static const size_t punctuation = sizeof(":{'vs':,'s':,'u':}");
	bool valued = !sum_only && r->value != SENML_S;
	bool textual = valued && (r->value == SENML_VS || r->value == SENML_VD);
	size_t size = string_size(name) + punctuation + (size_t)2 * NUMBER_MAX;
	size += textual ? string_size(r->text) : 0;
	size += r->unit.at != NULL ? string_size(r->unit) : 0;

	struct writer w = {arena_alloc(arena, size), 0};
	put_string(&w, name);
	put(&w, ":{", 2);
	if (valued)
		put_value(&w, r);
	if (r->has_sum) {
		put_key(&w, "s");
		put_number(&w, r->sum);
	}
	if (r->unit.at != NULL) {
		put_key(&w, "u");
		put_string(&w, r->unit);
	}
	put(&w, "}", 1);
	return (struct senml_text){w.at, w.len};
}
