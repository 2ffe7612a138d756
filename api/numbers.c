/* SPDX-License-Identifier: Apache-2.0
 *
 * One pass over the bytes: texts are passed over, and the last one is remembered as the name of what follows. */
#include "api/numbers.h"

#include <stdlib.h>
#include <string.h>

#define SHOWN 40 /* characters of a name or number in an error */

static size_t text_end(const char *json, size_t len, size_t at)
{
	for (at++; at < len && json[at] != '"'; at++)
		at += json[at] == '\\';
	return at < len ? at : len;
}

static size_t number_end(const char *json, size_t len, size_t at)
{
	while (at < len && json[at] != '\0' && strchr("+-.0123456789eE", json[at]) != NULL)
		at++;
	return at;
}

static bool number_fits(const char *number, size_t len)
{
	char text[NUMBERS_MOST + 1];
	if (len > NUMBERS_MOST)
		return false;
	memcpy(text, number, len);
	text[len] = '\0';
	const char *e = strpbrk(text, "eE");
	return e == NULL || labs(strtol(e + 1, NULL, 10)) <= NUMBERS_MOST;
}

bool numbers_check(const char *json, size_t len, struct err *e)
{
	size_t name = 0, name_len = 0;
	for (size_t at = 0; at < len; at++) {
		if (json[at] == '"') {
			size_t end = text_end(json, len, at);
			name = at + 1;
			name_len = end - name < SHOWN ? end - name : SHOWN;
			at = end;
		} else if (json[at] == '-' || (json[at] >= '0' && json[at] <= '9')) {
			size_t end = number_end(json, len, at), shown = end - at < SHOWN ? end - at : SHOWN;
			if (!number_fits(json + at, end - at))
				return err_set(e, ERR_INVALID,
					       "%.*s: byte %zu: expected a number of at most %d characters and an "
					       "exponent of -%d to %d, got %.*s",
					       name_len > 0 ? (int)name_len : 4, name_len > 0 ? json + name : "body",
					       at, NUMBERS_MOST, NUMBERS_MOST, NUMBERS_MOST, (int)shown, json + at);
			at = end - 1;
		}
	}
	return true;
}
