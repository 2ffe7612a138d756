/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts of a request target, and values out of them, read strictly: every byte has one meaning or is refused. */
#ifndef COLDFLEET_API_URL_H
#define COLDFLEET_API_URL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

bool url_is_utf8(const char *text, size_t len);

/* Decodes %XX of `len` bytes into `to` (NUL-terminated). False with ERR_REQUEST when an escape is broken, when the
 * result has a control character or is not UTF-8, or does not fit. '+' stays '+'. */
bool url_decode(const char *from, size_t len, char *to, size_t size, struct err *e);

/* Decimal, an optional '-', nothing around it; without leading zeros. */
bool url_int(const char *text, int64_t *to);

/* An RFC 3339 time with its offset ('Z' or +hh:mm): a real date, a second up to 59, at most 6 digits of fraction, years
 * 1970 to 9999, an offset below 16 hours. */
bool url_time(const char *text);

/* Has UTF-8 `min` to `max` characters, and unless none is enough, one that is no white space (as \S of ECMA-262 has it,
 * in which OpenAPI writes its patterns)? */
bool url_is_text(const char *text, int64_t min, int64_t max);

/* Is `text` one of `words` ("a,b,c")? */
bool url_is_word(const char *text, const char *words);

#endif
