/* SPDX-License-Identifier: Apache-2.0
 *
 * One timer, set to the earliest of what asks for it. */
#include "broker-bridge/bridge_sweep.h"

#include <stdlib.h>
#include <time.h>

#include "broker-bridge/bridge_metrics.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/pg_array.h"
#include "schema/queries.h"

#define SOONEST 0.05 /* seconds; a moment that is always due must not become a busy loop */
#define NEWS    1.0  /* after NOTIFY: what came may expire before the moment that the last sweep named */
#define IDLE    60.0

static const char object[] = "sweep";

struct bridge_sweep {
	struct db *db;
	const struct bridge_config *config;
	struct metrics *metrics;
	bridge_sweep_cb *cb;
	void *arg;
	struct event *timer;
	double at;        /* monotonic seconds; when the timer is set */
	bool running;     /* a segment is under way */
	bool outstanding; /* commands may be under way */
	bool news;        /* NOTIFY came while a sweep was under way: its answer is older */
};

static void within(struct bridge_sweep *s, double seconds)
{
	double at = clock_seconds() + seconds;
	if (event_pending(s->timer, EV_TIMEOUT, NULL) && s->at <= at)
		return;
	struct timeval tv = clock_timeval(seconds);
	s->at = at;
	event_add(s->timer, &tv);
}

static void on_row(struct db *db, const PGresult *res, void *arg)
{
	struct bridge_sweep *s = arg;
	(void)db;
	if (res == NULL || PQresultStatus(res) != PGRES_TUPLES_OK || PQntuples(res) != 1)
		return;
	bool due = !PQgetisnull(res, 0, 0);
	s->outstanding = s->news || due;
	double wait = s->outstanding ? s->config->look_every : IDLE;
	if (due) {
		double left = (double)pg_read_int8(PQgetvalue(res, 0, 0)) / 1000;
		wait = left < wait ? left : wait;
	}
	within(s, wait > SOONEST ? wait : SOONEST);
}

static void on_end(struct db *db, bool ok, const char *sqlstate, const struct err *e, void *arg)
{
	struct bridge_sweep *s = arg;
	(void)db, (void)sqlstate;
	s->running = false;
	if (ok) {
		metric_add(s->metrics, M_SWEEPS, 1);
	} else {
		log_warn(object, "failed: %s", e->detail);
		within(s, s->config->look_every);
	}
	s->cb(s->arg);
}

void bridge_sweep_now(struct bridge_sweep *s)
{
	static const struct db_params binary = {.binary_result = true};
	if (s->running || !db_up(s->db))
		return;
	s->news = false;
	s->running = db_query(s->db, &stmt_bridge_sweep, &binary, on_row, s) && db_commit(s->db, on_end, s);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	bridge_sweep_now(arg);
}

struct bridge_sweep *bridge_sweep_new(struct event_base *base, struct db *db, const struct bridge_config *config,
				      struct metrics *metrics, bridge_sweep_cb *cb, void *arg)
{
	struct bridge_sweep *s = calloc(1, sizeof(*s));
	if (s == NULL)
		abort();
	*s = (struct bridge_sweep){
		.db = db, .config = config, .metrics = metrics, .cb = cb, .arg = arg, .outstanding = true};
	s->timer = evtimer_new(base, on_timer, s);
	if (s->timer == NULL)
		abort();
	return s;
}

void bridge_sweep_free(struct bridge_sweep **sp)
{
	struct bridge_sweep *s = *sp;
	if (s == NULL)
		return;
	event_free(s->timer);
	free(s);
	*sp = NULL;
}

void bridge_sweep_news(struct bridge_sweep *s)
{
	s->outstanding = s->news = true;
	within(s, NEWS);
}

void bridge_sweep_soon(struct bridge_sweep *s)
{
	s->outstanding = true;
	within(s, s->config->look_every);
}

void bridge_sweep_halt(struct bridge_sweep *s)
{
	event_del(s->timer);
}

bool bridge_sweep_outstanding(const struct bridge_sweep *s)
{
	return s->outstanding;
}

void bridge_sweep_expect(struct bridge_sweep *s)
{
	s->outstanding = true;
}
