/* SPDX-License-Identifier: Apache-2.0
 *
 * A strict UTF-8 decoder and the widths of the C library. The widths come from C.UTF-8, so that they do not depend on
 * the locale of whoever calls. */
#include "ops/ctl/text.h"

#include <locale.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#define REPLACEMENT 0xfffdU

/* One character; how many bytes it takes. Broken ones are one byte, U+FFFD. */
static size_t decode(const char *text, uint32_t *c)
{
	const unsigned char *s = (const unsigned char *)text;
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t len = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : s[0] < 0xf5 ? 4 : 0;

	*c = len == 1 ? s[0] : (uint32_t)(s[0] & (0xff >> (len + 1)));
	for (size_t i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			len = 0;
		else
			*c = *c << 6 | (s[i] & 0x3fU);
	}
	if (len == 0 || *c < least[len] || *c > 0x10ffff || (*c >= 0xd800 && *c < 0xe000)) {
		*c = REPLACEMENT;
		return 1;
	}
	return len;
}

/* Controls (C0, DEL, C1), line and paragraph separators, and what changes direction or joins invisibly (UAX 9). */
static int is_harmful(uint32_t c)
{
	static const struct {
		uint32_t first, last;
	} table[] = {
		{0x00, 0x1f},     {0x7f, 0x9f},     {0xad, 0xad},     {0x61c, 0x61c},   {0x200b, 0x200f},
		{0x2028, 0x202e}, {0x2060, 0x206f}, {0xfeff, 0xfeff}, {0xfff9, 0xfffb}, {0xe0000, 0xe007f},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (c >= table[i].first && c <= table[i].last)
			return 1;
	return 0;
}

char *text_clean(const char *text)
{
	size_t len = strlen(text);
	char *clean = malloc(3 * len + 1), *at = clean; /* U+FFFD takes three bytes */

	if (clean == NULL)
		abort();
	while (*text != '\0') {
		uint32_t c;
		size_t size = decode(text, &c);
		if (c == REPLACEMENT || is_harmful(c)) {
			memcpy(at, "\xef\xbf\xbd", 3);
			at += 3;
		} else {
			memcpy(at, text, size);
			at += size;
		}
		text += size;
	}
	*at = '\0';
	return clean;
}

static size_t columns(uint32_t c)
{
	static locale_t utf8;
	if (c < 0x7f)
		return 1;
	if (utf8 == (locale_t)0)
		utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	if (utf8 == (locale_t)0)
		return 1;
	locale_t before = uselocale(utf8);
	int width = wcwidth((wchar_t)c);
	uselocale(before);
	return width >= 0 ? (size_t)width : 1;
}

size_t text_width(const char *text)
{
	size_t width = 0;

	while (*text != '\0') {
		uint32_t c;
		text += decode(text, &c);
		width += columns(c);
	}
	return width;
}

void text_put(FILE *to, const char *text, size_t width, int right)
{
	size_t all = text_width(text), room = all > width ? width - 1 : width, used = 0;
	const char *end = text;

	while (*end != '\0') {
		uint32_t c;
		size_t size = decode(end, &c), wide = columns(c);
		if (used + wide > room)
			break;
		used += wide;
		end += size;
	}
	size_t cut = all > width;
	if (right)
		fprintf(to, "%*s", (int)(width - used - cut), "");
	fprintf(to, "%.*s%s", (int)(end - text), text, cut ? "\xe2\x80\xa6" : "");
	if (!right)
		fprintf(to, "%*s", (int)(width - used - cut), "");
}
