/* SPDX-License-Identifier: Apache-2.0
 *
 * What is posted to a webhook, an event or a transfer of cce-interop, signed as Standard Webhooks says
 * (standardwebhooks.com): headers webhook-id, webhook-timestamp and webhook-signature, "v1," and base64 of HMAC-SHA256
 * over id, '.', timestamp, '.', body. */
#ifndef COLDFLEET_BROKER_BRIDGE_NOTIFY_POST_H
#define COLDFLEET_BROKER_BRIDGE_NOTIFY_POST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/web.h"

struct post {
	int64_t number; /* what the answer calls it */
	const char *url, *id, *body;
	size_t body_len;
	const char *credentials; /* its Authorization; NULL: none */
	bool is_transfer;
	const uint8_t *secret;
	size_t secret_len;
	double timeout; /* seconds */
};

/* Texts are copied. */
void post_send(struct web *web, const struct post *post);

#endif
