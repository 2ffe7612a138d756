/* SPDX-License-Identifier: Apache-2.0
 *
 * Six bits a character. */
#include "core/base64url.h"

#include <string.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

size_t base64url_encode(const void *bytes, size_t len, char *out)
{
	const uint8_t *p = bytes;
	size_t n = 0;
	for (size_t i = 0; i < len; i += 3) {
		size_t left = len - i < 3 ? len - i : 3;
		unsigned group = (unsigned)p[i] << 16 | (left > 1 ? (unsigned)p[i + 1] << 8 : 0) |
				 (left > 2 ? (unsigned)p[i + 2] : 0);
		for (size_t k = 0; k <= left; k++)
			out[n++] = digits[group >> (18 - 6 * k) & 63];
	}
	out[n] = '\0';
	return n;
}

bool base64url_decode(const char *text, size_t text_len, uint8_t *out, size_t cap, size_t *len)
{
	unsigned bits = 0, held = 0;
	*len = 0;
	for (size_t i = 0; i < text_len; i++) {
		const char *digit = text[i] != '\0' ? strchr(digits, text[i]) : NULL;
		if (digit == NULL)
			return false;
		bits = (bits << 6 | (unsigned)(digit - digits)) & 0xffff;
		held += 6;
		if (held < 8)
			continue;
		held -= 8;
		if (*len == cap)
			return false;
		out[(*len)++] = (uint8_t)(bits >> held);
	}
	return held < 6 && (bits & ((1u << held) - 1)) == 0;
}
