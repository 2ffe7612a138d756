/* SPDX-License-Identifier: Apache-2.0
 *
 * Origins are compared byte by byte: browsers write them in one way. */
#include "api/cors.h"

#include <string.h>

#define FIELDS_TAKEN                                                                                                   \
	"Authorization, Content-Type, If-Match, If-None-Match, Idempotency-Key, X-Request-Id, Last-Event-ID"
#define FIELDS_SHOWN     "ETag, Location, Retry-After, RateLimit, RateLimit-Policy, Idempotency-Replayed, X-Request-Id"
#define REMEMBER_SECONDS 600

static bool is_origin(const char *text, size_t len)
{
	static const char host[] = "abcdefghijklmnopqrstuvwxyz0123456789.-:[]";
	size_t scheme = len > 8 && memcmp(text, "https://", 8) == 0  ? 8
			: len > 7 && memcmp(text, "http://", 7) == 0 ? 7
								     : 0;
	return scheme > 0 && strspn(text + scheme, host) >= len - scheme;
}

bool cors_check(const char *origins, struct err *e)
{
	if (origins[0] == '\0' || strcmp(origins, "*") == 0)
		return true;
	for (const char *p = origins; *p != '\0';) {
		p += strspn(p, ", ");
		size_t len = strcspn(p, ", ");
		if (len > 0 && !is_origin(p, len))
			return err_set(e, ERR_CONFIG,
				       "cors_origins: expected https://HOST or https://HOST:PORT in small letters, got "
				       "'%.*s'",
				       (int)(len < 80 ? len : 80), p);
		p += len;
	}
	return true;
}

bool cors_allows(const char *origins, const char *origin)
{
	if (origin == NULL || origins[0] == '\0')
		return false;
	if (strcmp(origins, "*") == 0)
		return true;
	size_t wanted = strlen(origin);
	for (const char *p = origins; *p != '\0';) {
		p += strspn(p, ", ");
		size_t len = strcspn(p, ", ");
		if (len > 0 && len == wanted && memcmp(p, origin, len) == 0)
			return true;
		p += len;
	}
	return false;
}

void cors_mark(const char *origins, struct http_request *r)
{
	const char *origin = http_field(r, HTTP_ORIGIN);
	bool any = strcmp(origins, "*") == 0;
	if (origins[0] == '\0')
		return;
	if (!any)
		http_add_field(r, "Vary", "Origin");
	if (!cors_allows(origins, origin))
		return;
	http_add_field(r, "Access-Control-Allow-Origin", "%s", any ? "*" : origin);
	http_add_field(r, "Access-Control-Expose-Headers", "%s", FIELDS_SHOWN);
}

bool cors_is_preflight(const char *origins, const struct http_request *r)
{
	return strcmp(http_method(r), "OPTIONS") == 0 && http_field(r, HTTP_CORS_METHOD) != NULL &&
	       cors_allows(origins, http_field(r, HTTP_ORIGIN));
}

void cors_preflight(struct http_request *r, const char *methods)
{
	http_add_field(r, "Access-Control-Allow-Methods", "%s", methods);
	http_add_field(r, "Access-Control-Allow-Headers", "%s", FIELDS_TAKEN);
	http_add_field(r, "Access-Control-Max-Age", "%d", REMEMBER_SECONDS);
	http_reply(r, 204, NULL, NULL);
}
