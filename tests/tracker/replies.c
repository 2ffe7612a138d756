/* SPDX-License-Identifier: Apache-2.0
 *
 * A short array in order; replies that are held back do not hold up those behind them. */
#include "tests/tracker/replies.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/clock.h"

#define REPLIES_MAX 48  /* more than outcomes and pending commands together */
#define AGAIN_FIRST 1.0 /* seconds until a reply that nobody heard goes out again; doubles */
#define AGAIN_LIMIT 60.0

struct reply_job {
	uint8_t *bytes; /* owned */
	size_t len;
	int mid;      /* 0: not on its way */
	double due;   /* seconds of the monotonic clock */
	double again; /* seconds to wait if nobody hears it */
	bool final;
	uint8_t id[COMMAND_ID_BYTES];
};

struct replies {
	struct replies_calls calls;
	bool up;
	struct reply_job jobs[REPLIES_MAX];
	size_t count;
	struct event *late;
};

static void drop(struct replies *q, size_t at)
{
	free(q->jobs[at].bytes);
	q->count--;
	memmove(&q->jobs[at], &q->jobs[at + 1], (q->count - at) * sizeof(q->jobs[0]));
}

static void flush(struct replies *q)
{
	double now = clock_seconds(), next = INFINITY;
	for (size_t i = 0; i < q->count && q->up; i++) {
		struct reply_job *job = &q->jobs[i];
		if (job->mid == 0 && job->due > now)
			next = fmin(next, job->due);
		else if (job->mid == 0 && !q->calls.publish(job->bytes, job->len, &job->mid, q->calls.publish_arg))
			job->mid = 0;
	}
	if (isfinite(next)) {
		struct timeval tv = clock_timeval(next - now + 0.001);
		evtimer_add(q->late, &tv);
	}
}

static void on_late(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	flush(arg);
}

struct replies *replies_new(struct event_base *base, struct replies_calls calls)
{
	struct replies *q = calloc(1, sizeof(*q));
	if (q == NULL || (q->late = evtimer_new(base, on_late, q)) == NULL)
		abort();
	q->calls = calls;
	return q;
}

void replies_free(struct replies **q)
{
	if (*q == NULL)
		return;
	while ((*q)->count > 0)
		drop(*q, (*q)->count - 1);
	event_free((*q)->late);
	free(*q);
	*q = NULL;
}

bool replies_put(struct replies *q, const struct command_reply *r, double delay, struct err *e)
{
	uint8_t bytes[COMMAND_REPLY_MAX];
	size_t len;
	if (!command_reply_encode(r, bytes, sizeof(bytes), &len, e))
		return false;
	if (q->count == REPLIES_MAX)
		drop(q, 0);
	struct reply_job *job = &q->jobs[q->count++];
	*job = (struct reply_job){.bytes = malloc(len),
				  .len = len,
				  .due = delay > 0 ? clock_seconds() + delay : 0,
				  .again = AGAIN_FIRST,
				  .final = r->status != COMMAND_ACCEPTED};
	if (job->bytes == NULL)
		abort();
	memcpy(job->bytes, bytes, len);
	memcpy(job->id, r->id, sizeof(job->id));
	flush(q);
	return true;
}

void replies_up(struct replies *q)
{
	q->up = true;
	flush(q);
}

void replies_down(struct replies *q)
{
	q->up = false;
	for (size_t i = 0; i < q->count; i++)
		q->jobs[i].mid = 0;
}

bool replies_published(struct replies *q, int mid, int reason)
{
	for (size_t i = 0; i < q->count; i++) {
		struct reply_job job = q->jobs[i];
		if (job.mid != mid)
			continue;
		if (reason != 0) {
			q->jobs[i].mid = 0;
			q->jobs[i].due = clock_seconds() + job.again;
			q->jobs[i].again = fmin(job.again * 2, AGAIN_LIMIT);
			flush(q);
			return true;
		}
		drop(q, i);
		if (job.final)
			q->calls.told(job.id, q->calls.told_arg);
		return true;
	}
	return false;
}

bool replies_empty(const struct replies *q)
{
	return q->count == 0;
}
