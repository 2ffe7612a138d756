/* SPDX-License-Identifier: Apache-2.0
 *
 * The time of day as the tables keep it. */
#ifndef COLDFLEET_CORE_CLOCK_H
#define COLDFLEET_CORE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Microseconds since 1970-01-01T00:00:00Z by this machine's clock, which may be set and so go back. */
static inline int64_t clock_now_us(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

#endif
