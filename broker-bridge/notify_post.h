/* SPDX-License-Identifier: Apache-2.0
 *
 * POST requests to webhooks, many at once, without ever holding up the loop: libcurl on libevent. Redirects are not
 * followed and no proxy is asked; the address of each socket is checked as it is made. Each request is signed as
 * Standard Webhooks says (standardwebhooks.com): headers webhook-id, webhook-timestamp and webhook-signature, "v1," and
 * base64 of HMAC-SHA256 over id, '.', timestamp, '.', body. */
#ifndef COLDFLEET_BROKER_BRIDGE_NOTIFY_POST_H
#define COLDFLEET_BROKER_BRIDGE_NOTIFY_POST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <event2/event.h>

#include "broker-bridge/notify_config.h"

struct post;

struct post_request {
	int64_t number; /* what post_done calls it */
	const char *url, *id, *body;
	size_t url_len, id_len, body_len;
	const uint8_t *secret;
	size_t secret_len;
};

struct post_result {
	int64_t number;
	long status;   /* 0: no answer */
	double wait;   /* seconds that the receiver asked for; 0: none */
	double took;   /* seconds */
	bool refused;  /* its address is not allowed, or its URL: nothing was sent */
	char why[200]; /* empty: answered with 2xx */
};
typedef void post_done(const struct post_result *result, void *arg);

/* `config` is borrowed. */
struct post *post_new(struct event_base *base, const struct notify_config *config, post_done *done, void *arg);
void post_free(struct post **p); /* what is under way is dropped, without a callback */

/* Texts are copied. Never calls back from within. */
void post_send(struct post *p, const struct post_request *request);
size_t post_count(const struct post *p); /* under way */

#endif
