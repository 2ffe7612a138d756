/* SPDX-License-Identifier: Apache-2.0
 *
 * How often one token and one address may ask, and how they are told: RateLimit-Policy and RateLimit fields
 * (draft-ietf-httpapi-ratelimit-headers-10) on every answer, 429 with Retry-After when it was too often. */
#ifndef COLDFLEET_API_LIMITS_H
#define COLDFLEET_API_LIMITS_H

#include "api/http.h"

struct limits;

struct limits_options {
	int64_t per_token, token_burst; /* requests a second, and at once; 0 a second: no limit */
	int64_t per_address, address_burst;
};

struct limits *limits_new(const struct limits_options *options);
void limits_free(struct limits **l);

/* `token`: SHA-256 of the bearer token; NULL: there is none. False: `r` has been answered with 429. */
bool limits_allow(struct limits *l, struct http_request *r, const unsigned char token[32]);

#endif
