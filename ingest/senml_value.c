/* SPDX-License-Identifier: Apache-2.0
 *
 * Decimal numbers, UTF-8 and base64url. */
#include "ingest/senml_value.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define TENS_MAX 22 /* the largest power of ten that a double holds exactly */

double senml_decimal(bool negative, uint64_t mantissa, int64_t exponent)
{
	static const double tens[TENS_MAX + 1] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
						  1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
						  1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
	double value;
	if (mantissa <= UINT64_C(1) << 53 && exponent >= -TENS_MAX && exponent <= TENS_MAX) {
		/* Both factors are exact, so there is one rounding. */
		value = exponent < 0 ? (double)mantissa / tens[-exponent] : (double)mantissa * tens[exponent];
	} else {
		char text[48]; /* 20 digits, 'e', sign, 19 digits; no decimal point, so any locale reads it alike */
		snprintf(text, sizeof(text), "%" PRIu64 "e%" PRId64, mantissa, exponent);
		value = strtod(text, NULL);
	}
	return negative ? -value : value;
}

bool senml_utf8_valid(struct senml_text text)
{
	const uint8_t *b = (const uint8_t *)text.at, *end = b + text.len;
	while (b < end) {
		if (*b >= 0x01 && *b < 0x80) {
			b++;
			continue;
		}
		size_t more = *b >= 0xc2 && *b < 0xe0 ? 1 : (*b & 0xf0) == 0xe0 ? 2 : *b >= 0xf0 && *b < 0xf5 ? 3 : 0;
		if (more == 0 || (size_t)(end - b) <= more)
			return false;
		if ((*b == 0xe0 && b[1] < 0xa0) || (*b == 0xed && b[1] > 0x9f) || (*b == 0xf0 && b[1] < 0x90) ||
		    (*b == 0xf4 && b[1] > 0x8f))
			return false;
		for (size_t i = 1; i <= more; i++)
			if ((b[i] & 0xc0) != 0x80)
				return false;
		b += more + 1;
	}
	return true;
}

struct senml_text senml_base64url(struct arena *arena, struct senml_text bytes)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	const uint8_t *b = (const uint8_t *)bytes.at;
	char *out = arena_alloc(arena, bytes.len / 3 * 4 + 4);
	size_t n = 0;
	for (size_t i = 0; i < bytes.len; i += 3) {
		size_t left = bytes.len - i;
		uint32_t bits =
			(uint32_t)b[i] << 16 | (left > 1 ? (uint32_t)b[i + 1] << 8 : 0) | (left > 2 ? b[i + 2] : 0);
		for (size_t k = 0; k <= (left > 3 ? 3 : left); k++)
			out[n++] = digits[bits >> (18 - 6 * k) & 63];
	}
	return (struct senml_text){out, n};
}

bool senml_base64url_valid(struct senml_text text)
{
	for (size_t i = 0; i < text.len; i++) {
		char c = text.at[i];
		if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
		      c == '_'))
			return false;
	}
	return text.len % 4 != 1; /* no number of bytes has that length */
}
