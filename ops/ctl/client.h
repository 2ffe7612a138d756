/* SPDX-License-Identifier: Apache-2.0
 *
 * One conversation with the API at a time, over libcurl. A request that may have been received is sent again only when
 * that does no harm: GET, and anything that carries an Idempotency-Key, which every POST does. */
#ifndef COLDFLEET_CTL_CLIENT_H
#define COLDFLEET_CTL_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "ops/ctl/settings.h"

#define CLIENT_ID_MAX   80
#define CLIENT_BODY_MAX ((size_t)64 << 20)

struct client;

struct call {
	const char *method; /* NULL: GET */
	const char *target; /* "/v1/devices?limit=5" */
	const char *accept; /* NULL: JSON */
	const char *content_type, *if_match, *last_event_id;
	const char *body; /* borrowed; NULL: none */
	size_t body_len;
	/* The body of a 2xx in pieces as they come, without limit of time; NULL: it is collected. False ends the
	 * call, well. */
	bool (*sink)(void *arg, const char *data, size_t len);
	void (*sent)(void *arg, size_t sent, size_t total); /* progress of the request's body; NULL: nobody asks */
	void *arg;
};

struct reply {
	long status;
	char *body; /* NUL-terminated, never NULL after a call; empty when it went to the sink */
	size_t len;
	char request_id[CLIENT_ID_MAX];
	char etag[CLIENT_ID_MAX];
	char location[256];
};

/* NULL with ERR_CONFIG when there is no such certificate file. `s` is borrowed. */
struct client *client_new(const struct settings *s, struct err *e);
void client_free(struct client **c);

/* False when there was no answer (ERR_SYSTEM) or none of 2xx; then `e` says what the problem document said, in one
 * line. The reply has to be given back either way; it may be filled again by another call. */
bool client_call(struct client *c, const struct call *call, struct reply *r, struct err *e);
void reply_free(struct reply *r);

#endif
