/* SPDX-License-Identifier: Apache-2.0
 *
 * The time of day as the tables keep it, and spans of time as a loop takes them. */
#ifndef COLDFLEET_CORE_CLOCK_H
#define COLDFLEET_CORE_CLOCK_H

#include <stdint.h>
#include <sys/time.h>
#include <time.h>

/* Microseconds since 1970-01-01T00:00:00Z by this machine's clock, which may be set and so go back. */
static inline int64_t clock_now_us(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* Seconds since some moment, by a clock that only goes forward. */
static inline double clock_seconds(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* For timers; not below 0. */
static inline struct timeval clock_timeval(double seconds)
{
	time_t whole = (time_t)seconds;
	return (struct timeval){.tv_sec = whole, .tv_usec = (suseconds_t)((seconds - (double)whole) * 1e6)};
}

#endif
