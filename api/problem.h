/* SPDX-License-Identifier: Apache-2.0
 *
 * Errors as RFC 9457 problem details: the one place where an error value becomes an answer. */
#ifndef COLDFLEET_API_PROBLEM_H
#define COLDFLEET_API_PROBLEM_H

#include "api/http.h"
#include "core/err.h"

/* Answers `r`, which is gone afterwards. The type is urn:coldfleet:problem:SLUG. */
void http_problem(struct http_request *r, int status, const char *slug, const char *title, const char *detail);

/* The same for an error value; its code says status, slug and title. A 401 asks for a bearer token, a 503 says when to
 * come back; details of a failure of ours (500) are logged under the request's id and not told. */
void http_problem_err(struct http_request *r, const struct err *e);

/* Appends a JSON string with its quotes. Bytes that are not UTF-8 become '?'. */
void json_text(struct evbuffer *to, const char *text);

#endif
