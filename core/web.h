/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests to web servers of others, many at once, without ever holding up the loop: libcurl on libevent. A server may
 * be slow, endless or hostile: time and size are bounded, and redirects are not followed. Where the address of each
 * socket is checked as it is made, no name server can get around that, and no proxy is asked. */
#ifndef COLDFLEET_CORE_WEB_H
#define COLDFLEET_CORE_WEB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <event2/event.h>

#include "core/networks.h"

struct web;

struct web_options {
	const char *ca;                 /* PEM; empty: those of the system */
	const struct networks *allowed; /* besides the public Internet; NULL: any address */
	bool allow_http;                /* false: HTTPS only */
};

struct web_request {
	int64_t number; /* what web_done calls it */
	const char *url;
	const char *const *headers; /* "Name: value", as many as `header_count` */
	size_t header_count;
	const char *body; /* of a POST; NULL: it is a GET */
	size_t body_len;
	double timeout; /* seconds for all of it */
	size_t most; /* bytes of the answer's body that are wanted; a longer one is a failure. 0: the status is enough
		      */
};

struct web_answer {
	int64_t number;
	long status;      /* 0: no whole answer */
	double wait;      /* seconds that the server asked for (Retry-After); 0: none */
	double took;      /* seconds */
	bool refused;     /* its URL or its address is not allowed: nothing was sent */
	const char *body; /* until the callback returns; NULL: none, or not wanted */
	size_t body_len;
	char why[200]; /* there is no answer; says no more of the URL than its host */
};
typedef void web_done(const struct web_answer *answer, void *arg);

/* What the options point to is borrowed. */
struct web *web_new(struct event_base *base, const struct web_options *options, web_done *done, void *arg);
void web_free(struct web **w); /* what is under way is dropped, without a callback */

/* Texts are copied. Never calls back from within. */
void web_send(struct web *w, const struct web_request *request);
size_t web_count(const struct web *w); /* under way */

#endif
