/* SPDX-License-Identifier: Apache-2.0
 *
 * libevent base, two signals, two timers. */
#include "tests/tracker/loop.h"

#include <signal.h>
#include <stdlib.h>
#include <time.h>

#define PROGRESS_SECONDS 3

struct loop {
	struct event_base *base;
	struct event *interrupt, *terminate, *deadline, *tick;
	enum loop_end end;
	void (*progress)(void *arg);
	void *arg;
};

static void on_signal(evutil_socket_t number, short what, void *arg)
{
	struct loop *l = arg;

	(void)number;
	(void)what;
	l->end = LOOP_SIGNAL;
	event_base_loopbreak(l->base);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct loop *l = arg;

	(void)fd;
	(void)what;
	l->end = LOOP_DEADLINE;
	event_base_loopbreak(l->base);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct loop *l = arg;

	(void)fd;
	(void)what;
	l->progress(l->arg);
}

struct loop *loop_new(void (*progress)(void *arg), void *arg)
{
	struct loop *l = calloc(1, sizeof(*l));

	if (l == NULL || (l->base = event_base_new()) == NULL)
		abort();
	l->progress = progress;
	l->arg = arg;
	l->interrupt = evsignal_new(l->base, SIGINT, on_signal, l);
	l->terminate = evsignal_new(l->base, SIGTERM, on_signal, l);
	l->deadline = evtimer_new(l->base, on_deadline, l);
	l->tick = event_new(l->base, -1, EV_PERSIST, on_tick, l);
	if (l->interrupt == NULL || l->terminate == NULL || l->deadline == NULL || l->tick == NULL)
		abort();
	signal(SIGPIPE, SIG_IGN);
	evsignal_add(l->interrupt, NULL);
	evsignal_add(l->terminate, NULL);
	event_add(l->tick, &(struct timeval){.tv_sec = PROGRESS_SECONDS});
	return l;
}

void loop_free(struct loop **l)
{
	if (*l == NULL)
		return;
	event_free((*l)->interrupt);
	event_free((*l)->terminate);
	event_free((*l)->deadline);
	event_free((*l)->tick);
	event_base_free((*l)->base);
	free(*l);
	*l = NULL;
}

struct event_base *loop_base(const struct loop *l)
{
	return l->base;
}

enum loop_end loop_run(struct loop *l, double seconds)
{
	struct timeval tv = {.tv_sec = (time_t)seconds,
			     .tv_usec = (suseconds_t)((seconds - (double)(time_t)seconds) * 1e6)};

	l->end = LOOP_DONE;
	if (seconds > 0)
		evtimer_add(l->deadline, &tv);
	event_base_dispatch(l->base);
	evtimer_del(l->deadline);
	return l->end;
}

void loop_done(struct loop *l)
{
	event_base_loopbreak(l->base);
}

static double seconds_of(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

double loop_seconds(void)
{
	return seconds_of(CLOCK_MONOTONIC);
}

double loop_cpu_seconds(void)
{
	return seconds_of(CLOCK_PROCESS_CPUTIME_ID);
}
