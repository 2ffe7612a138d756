/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes application/problem+json. */
#include "api/problem.h"

#include <stdlib.h>
#include <string.h>

#include "api/url.h"
#include "core/log.h"

void json_text(struct evbuffer *to, const char *text)
{
	bool utf8 = url_is_utf8(text, strlen(text));
	evbuffer_add(to, "\"", 1);
	for (const char *p = text; *p != '\0'; p++) {
		unsigned char c = (unsigned char)*p;
		if (c == '"' || c == '\\')
			evbuffer_add_printf(to, "\\%c", c);
		else if (c < 0x20)
			evbuffer_add_printf(to, "\\u%04x", c);
		else
			evbuffer_add(to, c < 0x80 || utf8 ? p : "?", 1);
	}
	evbuffer_add(to, "\"", 1);
}

void http_problem(struct http_request *r, int status, const char *slug, const char *title, const char *detail)
{
	struct evbuffer *body = evbuffer_new();
	if (body == NULL)
		abort();
	evbuffer_add_printf(body, "{\"type\":\"urn:coldfleet:problem:%s\",\"title\":", slug);
	json_text(body, title);
	evbuffer_add_printf(body, ",\"status\":%d,\"detail\":", status);
	json_text(body, detail);
	evbuffer_add_printf(body, ",\"instance\":\"urn:coldfleet:request:%s\"}\n", http_id(r));
	http_reply(r, status, "application/problem+json", body);
	evbuffer_free(body);
}

void http_problem_err(struct http_request *r, const struct err *e)
{
	const struct err_http *h = err_http(e->code);
	const char *detail = e->detail;
	if (h->status == 401)
		http_add_field(r, "WWW-Authenticate", "Bearer realm=\"coldfleet\"");
	if (h->status == 503 || h->status == 429)
		http_add_field(r, "Retry-After", "1");
	if (h->status == 500) {
		log_error("api", "request=%s failed: %s", http_id(r), e->detail);
		detail = "the log of coldfleet-api has the cause, under the id of this request";
	}
	http_problem(r, h->status, h->slug, h->title, detail);
}
