/* SPDX-License-Identifier: Apache-2.0
 *
 * A histogram of durations with buckets that grow by a sixteenth of each power of two: percentiles to within 6 %. */
#ifndef COLDFLEET_TRACKER_LATENCY_H
#define COLDFLEET_TRACKER_LATENCY_H

#include <stdint.h>

#define LATENCY_BUCKETS (40 * 16)

struct latency {
	uint64_t buckets[LATENCY_BUCKETS];
	uint64_t count;
	int64_t max; /* microseconds */
};

void latency_add(struct latency *l, int64_t us);
/* Milliseconds that the part `q` (0..1) of all does not exceed; 0 when there is none. */
double latency_at(const struct latency *l, double q);

#endif
