/* SPDX-License-Identifier: Apache-2.0
 *
 * Bucket of a value: its highest bit and the four bits behind it. */
#include "tests/tracker/latency.h"

#include <stddef.h>

static size_t bucket_of(uint64_t us)
{
	if (us < 16)
		return us;
	unsigned high = 63 - (unsigned)__builtin_clzll(us);
	size_t bucket = (size_t)(high - 3) * 16 + ((us >> (high - 4)) & 15);
	return bucket < LATENCY_BUCKETS ? bucket : LATENCY_BUCKETS - 1;
}

/* The largest value that falls into the bucket. */
static uint64_t top_of(size_t bucket)
{
	if (bucket < 16)
		return bucket;
	size_t shift = bucket / 16 - 1;
	return ((16 + bucket % 16 + 1) << shift) - 1;
}

void latency_add(struct latency *l, int64_t us)
{
	if (us < 0)
		us = 0;
	l->buckets[bucket_of((uint64_t)us)]++;
	l->count++;
	if (us > l->max)
		l->max = us;
}

double latency_at(const struct latency *l, double q)
{
	uint64_t seen = 0;

	for (size_t i = 0; i < LATENCY_BUCKETS && l->count > 0; i++) {
		seen += l->buckets[i];
		if ((double)seen >= q * (double)l->count) {
			uint64_t top = top_of(i);
			return (double)(top < (uint64_t)l->max ? top : (uint64_t)l->max) / 1e3;
		}
	}
	return 0;
}
