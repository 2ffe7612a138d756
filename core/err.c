/* SPDX-License-Identifier: Apache-2.0
 *
 * Error values, and the one table that says how each looks over HTTP. */
#include "core/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct err_http http_table[ERR_CODES] = {
	[ERR_NONE] = {200, "none", "No error"},
	[ERR_INTERNAL] = {500, "internal", "Internal error"},
	[ERR_SYSTEM] = {500, "internal", "Internal error"},
	[ERR_CONFIG] = {500, "internal", "Internal error"},
	[ERR_DB_LOST] = {503, "database-unavailable", "The database is not reachable"},
	[ERR_DB_REFUSED] = {500, "database-refused", "The database refused the statement"},
	[ERR_BROKER_LOST] = {503, "broker-unavailable", "The broker is not reachable"},
	[ERR_DECODE] = {400, "malformed", "Malformed input"},
	[ERR_REQUEST] = {400, "bad-request", "Malformed request"},
	[ERR_UNAUTHORIZED] = {401, "unauthorized", "A valid bearer token is required"},
	[ERR_FORBIDDEN] = {403, "forbidden", "The token's role does not allow this"},
	[ERR_NOT_FOUND] = {404, "not-found", "No such resource"},
	[ERR_METHOD] = {405, "method-not-allowed", "The resource does not know this method"},
	[ERR_CONFLICT] = {409, "conflict", "The resource's state does not allow this"},
	[ERR_TOO_LARGE] = {413, "too-large", "The request is too large"},
	[ERR_INVALID] = {422, "invalid", "A value is out of its bounds"},
	[ERR_PRECONDITION] = {412, "precondition-failed", "The resource has changed"},
	[ERR_PRECONDITION_REQUIRED] = {428, "precondition-required", "A change needs If-Match"},
	[ERR_MEDIA] = {415, "unsupported-media-type", "The type of the body is not taken here"},
	[ERR_RATE] = {429, "rate-limited", "Too many requests"},
	[ERR_OVERLOADED] = {503, "overloaded", "Too many requests at once"},
};

/* Cutting off may leave a part of a UTF-8 character at the end: it goes too. */
static void drop_partial_character(char *text)
{
	size_t end = strlen(text), start = end;
	while (start > 0 && end - start < 3 && ((unsigned char)text[start - 1] & 0xc0) == 0x80)
		start--;
	if (start == 0)
		return;
	unsigned char lead = (unsigned char)text[start - 1];
	size_t size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
	if (end - (start - 1) < size)
		text[start - 1] = '\0';
}

bool err_set(struct err *e, enum err_code code, const char *fmt, ...)
{
	if (e != NULL) {
		va_list ap;
		e->code = code;
		va_start(ap, fmt);
		vsnprintf(e->detail, sizeof(e->detail), fmt, ap);
		va_end(ap);
		drop_partial_character(e->detail);
	}
	return false;
}

bool err_prefix(struct err *e, const char *fmt, ...)
{
	if (e != NULL) {
		char was[sizeof(e->detail)];
		va_list ap;
		memcpy(was, e->detail, sizeof(was));
		va_start(ap, fmt);
		int n = vsnprintf(e->detail, sizeof(e->detail), fmt, ap);
		va_end(ap);
		if (n >= 0 && (size_t)n < sizeof(e->detail))
			snprintf(e->detail + n, sizeof(e->detail) - (size_t)n, "%s", was);
		drop_partial_character(e->detail);
	}
	return false;
}

const struct err_http *err_http(enum err_code code)
{
	if ((int)code < 0 || code >= ERR_CODES)
		code = ERR_INTERNAL;
	return &http_table[code];
}
