/* SPDX-License-Identifier: Apache-2.0
 *
 * The queue of messages that a tracker is to send, each a range of sample numbers. */
#ifndef COLDFLEET_TRACKER_JOBS_H
#define COLDFLEET_TRACKER_JOBS_H

#include <stddef.h>

#include "tests/tracker/sample.h"

enum job_kind { JOB_NEW, JOB_DUPLICATE, JOB_RESEND };

struct job {
	struct range samples;
	enum job_kind kind;
};

/* All zero is empty. */
struct jobs {
	struct job *ring;
	size_t room, first, count;
};

void jobs_push(struct jobs *q, struct job job);
void jobs_push_front(struct jobs *q, struct job job);
/* Before the first job with later samples: several that are put back stand in the order of their samples. */
void jobs_put_back(struct jobs *q, struct job job);
struct job jobs_pop(struct jobs *q); /* not when count is 0 */
void jobs_free(struct jobs *q);

#endif
