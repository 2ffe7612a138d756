/* SPDX-License-Identifier: Apache-2.0
 *
 * How long to wait before trying again: doubles from `first` to `limit` seconds, with full jitter over the upper half,
 * so that a fleet of clients does not come back in step. */
#ifndef COLDFLEET_CORE_BACKOFF_H
#define COLDFLEET_CORE_BACKOFF_H

#include <sys/time.h>

struct backoff {
	double first, limit; /* seconds */
	double next;         /* seconds; 0 before the first failure */
};

/* The wait after one more failure, at least half of the step it stands for. */
struct timeval backoff_fail(struct backoff *b);
/* After a success the next failure starts from `first` again. */
void backoff_reset(struct backoff *b);

#endif
