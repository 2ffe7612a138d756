/* SPDX-License-Identifier: Apache-2.0
 *
 * Back-off with jitter, from libevent's secure random numbers, so that processes started together part ways. */
#include "core/backoff.h"

#include <stdint.h>

#include <event2/util.h>

struct timeval backoff_fail(struct backoff *b)
{
	double step = b->next > 0 ? b->next : b->first;
	b->next = step * 2 < b->limit ? step * 2 : b->limit;
	uint32_t random;
	evutil_secure_rng_get_bytes(&random, sizeof(random));
	double wait = step / 2 + step / 2 * ((double)random / (double)UINT32_MAX);
	struct timeval tv = {.tv_sec = (time_t)wait};
	tv.tv_usec = (suseconds_t)((wait - (double)tv.tv_sec) * 1e6);
	return tv;
}

void backoff_reset(struct backoff *b)
{
	b->next = 0;
}
