/* SPDX-License-Identifier: Apache-2.0
 *
 * A ring that doubles when it is full. */
#include "tests/tracker/jobs.h"

#include <stdlib.h>

static void grow(struct jobs *q)
{
	size_t room = q->room > 0 ? q->room * 2 : 4;
	struct job *ring = calloc(room, sizeof(*ring));

	if (ring == NULL)
		abort();
	for (size_t i = 0; i < q->count; i++)
		ring[i] = q->ring[(q->first + i) % q->room];
	free(q->ring);
	*q = (struct jobs){ring, room, 0, q->count};
}

void jobs_push(struct jobs *q, struct job job)
{
	if (q->count == q->room)
		grow(q);
	q->ring[(q->first + q->count++) % q->room] = job;
}

void jobs_push_front(struct jobs *q, struct job job)
{
	if (q->count == q->room)
		grow(q);
	q->first = (q->first + q->room - 1) % q->room;
	q->ring[q->first] = job;
	q->count++;
}

void jobs_put_back(struct jobs *q, struct job job)
{
	jobs_push_front(q, job);
	for (size_t i = 0; i + 1 < q->count; i++) {
		struct job *here = &q->ring[(q->first + i) % q->room], *next = &q->ring[(q->first + i + 1) % q->room];
		if (next->samples.first >= job.samples.first)
			break;
		*here = *next;
		*next = job;
	}
}

struct job jobs_pop(struct jobs *q)
{
	struct job job = q->ring[q->first];

	q->first = (q->first + 1) % q->room;
	q->count--;
	return job;
}

void jobs_free(struct jobs *q)
{
	free(q->ring);
	*q = (struct jobs){0};
}
