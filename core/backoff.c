/* SPDX-License-Identifier: Apache-2.0
 *
 * Back-off with jitter, from libevent's secure random numbers, so that processes started together part ways. */
#include "core/backoff.h"

#include <stdint.h>

#include <event2/util.h>

#include "core/clock.h"

struct timeval backoff_fail(struct backoff *b)
{
	double step = b->next > 0 ? b->next : b->first;
	b->next = step * 2 < b->limit ? step * 2 : b->limit;
	uint32_t random;
	evutil_secure_rng_get_bytes(&random, sizeof(random));
	return clock_timeval(step / 2 + step / 2 * ((double)random / (double)UINT32_MAX));
}

void backoff_reset(struct backoff *b)
{
	b->next = 0;
}
