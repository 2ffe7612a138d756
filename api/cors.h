/* SPDX-License-Identifier: Apache-2.0
 *
 * Which web pages may call the API from a browser (CORS, Fetch standard): those of the configured origins. Credentials
 * of the browser are never asked for: a page brings its own bearer token. */
#ifndef COLDFLEET_API_CORS_H
#define COLDFLEET_API_CORS_H

#include "api/http.h"

/* Is `origins` empty, "*", or a list of scheme://host[:port] with commas between? */
bool cors_check(const char *origins, struct err *e);

/* May pages of `origin` (NULL: no browser asked) call? */
bool cors_allows(const char *origins, const char *origin);

/* Adds what the browser wants to see on the answer to `r`, whatever the answer will be. */
void cors_mark(const char *origins, struct http_request *r);
/* Is `r` the question that a browser asks before the request proper? */
bool cors_is_preflight(const char *origins, const struct http_request *r);
/* Answers it; `methods` as in Allow. */
void cors_preflight(struct http_request *r, const char *methods);

#endif
