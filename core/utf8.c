/* SPDX-License-Identifier: Apache-2.0
 *
 * One row a length of sequence: its first byte, and the least character that needs it. */
#include "core/utf8.h"

#include <stdint.h>

static size_t sequence(const unsigned char *p, size_t left)
{
	static const struct {
		unsigned char mask, lead;
		size_t len;
		uint32_t least;
	} rows[] = {{0x80, 0x00, 1, 0}, {0xe0, 0xc0, 2, 0x80}, {0xf0, 0xe0, 3, 0x800}, {0xf8, 0xf0, 4, 0x10000}};
	for (size_t r = 0; r < 4; r++) {
		if ((p[0] & rows[r].mask) != rows[r].lead || rows[r].len > left)
			continue;
		uint32_t point = p[0] & (unsigned char)~rows[r].mask;
		for (size_t i = 1; i < rows[r].len; i++) {
			if ((p[i] & 0xc0) != 0x80)
				return 0;
			point = point << 6 | (p[i] & 0x3f);
		}
		bool surrogate = point >= 0xd800 && point <= 0xdfff;
		return point >= rows[r].least && point <= 0x10ffff && !surrogate ? rows[r].len : 0;
	}
	return 0;
}

bool utf8_valid(const void *text, size_t len)
{
	for (size_t i = 0, n; i < len; i += n) {
		n = sequence((const unsigned char *)text + i, len - i);
		if (n == 0)
			return false;
	}
	return true;
}
