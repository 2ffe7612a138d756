/* SPDX-License-Identifier: Apache-2.0
 *
 * Token buckets by key: each key may spend `burst` at once and gets `per_second` back. The table has a fixed size; the
 * key that was not seen for longest makes room, and has a full bucket when it comes back. */
#ifndef COLDFLEET_API_RATE_H
#define COLDFLEET_API_RATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RATE_KEY 32 /* bytes: a SHA-256; shorter keys are padded with zeros */

struct rate;

struct rate_verdict {
	bool allowed;
	int64_t remaining; /* whole requests that are left now */
	double full_in;    /* seconds until the bucket is full */
	double next_in;    /* seconds until one request is allowed; 0: now */
};

/* `keys`: how many the table holds, at least 1. */
struct rate *rate_new(double per_second, double burst, size_t keys);
void rate_free(struct rate **r);

/* `now`: seconds of a clock that never goes back. */
struct rate_verdict rate_take(struct rate *r, const unsigned char key[RATE_KEY], double now);
size_t rate_keys(const struct rate *r);

#endif
