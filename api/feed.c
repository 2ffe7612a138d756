/* SPDX-License-Identifier: Apache-2.0
 *
 * Readers come and go; while there are any, ticks go round. Between ticks the feed rests nine times as long as it
 * worked, so however large the fleet, it keeps a core of the database busy for a tenth of the time at most. */
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "api/feed_internal.h"
#include "core/clock.h"
#include "core/log.h"
#include "schema/queries.h"

#define TICK_SECONDS 0.25
#define AFTER_FAIL   5.0
#define REST_SHARE   9
#define REST_MOST    5.0

static void set_timer(struct event *ev, double seconds)
{
	struct timeval tv = clock_timeval(seconds);
	event_add(ev, &tv);
}

/* ---- views ---- */

static char *copy_text(const char *text)
{
	char *c = strdup(text);
	if (c == NULL)
		abort();
	return c;
}

static struct view *find_view(struct feed *f, const char *scope, const char *serial, const char *team)
{
	struct view *v;
	TAILQ_FOREACH(v, &f->views, next)
	if (strcmp(v->serial, serial) == 0 && strcmp(v->team, team) == 0 && strcmp(v->scope, scope) == 0)
		return v;
	v = calloc(1, sizeof(*v));
	if (v == NULL)
		abort();
	v->scope = copy_text(scope);
	v->serial = copy_text(serial);
	v->team = copy_text(team);
	TAILQ_INIT(&v->readers);
	TAILQ_INSERT_TAIL(&f->views, v, next);
	return v;
}

/* Only between ticks: a statement under way may name them. */
static void drop_views(struct feed *f, bool all)
{
	for (struct view *v = TAILQ_FIRST(&f->views), *after; v != NULL; v = after) {
		after = TAILQ_NEXT(v, next);
		if (!all && !TAILQ_EMPTY(&v->readers))
			continue;
		TAILQ_REMOVE(&f->views, v, next);
		free(v->scope);
		free(v->serial);
		free(v->team);
		free(v);
	}
}

void feed_set_view(struct feed *f, struct reader *r, const char *scope)
{
	if (r->view != NULL)
		TAILQ_REMOVE(&r->view->readers, r, of_view);
	r->view = find_view(f, scope, r->serial != NULL ? r->serial : "", r->team != NULL ? r->team : "");
	TAILQ_INSERT_TAIL(&r->view->readers, r, of_view);
}

bool feed_named(const struct view *v)
{
	return v->serial[0] != '\0';
}

/* ---- readers ---- */

static void count_readers(struct feed *f, int more)
{
	f->count += (size_t)more;
	metric_set(service_metrics(f->service), M_STREAM_READERS, (double)f->count);
}

void feed_end_reader(struct feed *f, struct reader *r, bool whole)
{
	http_stream_end(r->request, whole);
	TAILQ_REMOVE(&f->readers, r, next);
	TAILQ_REMOVE(&r->view->readers, r, of_view);
	count_readers(f, -1);
	reader_free(&r);
}

void feed_cut_off(struct feed *f, struct reader *r)
{
	metric_add(service_metrics(f->service), M_STREAM_CUT, 1);
	log_info("feed", "request=%s cut off, too slow: waiting=%zu", http_id(r->request),
		 http_live_waiting(r->request));
	feed_end_reader(f, r, false);
}

bool feed_admit(struct feed *f, struct err *e)
{
	if (f->stopping)
		return err_set(e, ERR_OVERLOADED, "the process stops, try again");
	if (f->count >= f->options.readers)
		return err_set(e, ERR_OVERLOADED, "%zu streams are being sent, try again", f->count);
	count_readers(f, 1);
	return true;
}

void feed_turned_away(struct feed *f)
{
	count_readers(f, -1);
}

void feed_leave(struct feed *f, struct reader *r)
{
	feed_end_reader(f, r, false);
}

void feed_join(struct feed *f, struct reader *r, const char *scope, const struct sse_place *place)
{
	r->state = READER_CATCHING;
	r->place = *place;
	r->fresh = true;
	r->proved = clock_seconds();
	TAILQ_INSERT_TAIL(&f->readers, r, next);
	feed_set_view(f, r, scope);
	if (feed_named(r->view))
		r->place.since = 0;
	if (f->stopping)
		feed_end_reader(f, r, true);
	else if (f->step == STEPS && db_up(f->db) && !event_pending(f->tick, EV_TIMEOUT, NULL))
		set_timer(f->tick, 0);
}

static void on_beat(evutil_socket_t fd, short what, void *arg)
{
	struct feed *f = arg;
	struct evbuffer *text = evbuffer_new();
	uint64_t since = feed_states_since(f);
	(void)fd, (void)what;
	if (text == NULL)
		abort();
	for (struct reader *r = TAILQ_FIRST(&f->readers), *after; r != NULL; r = after) {
		after = TAILQ_NEXT(r, next);
		/* What a step under way has sent is behind the place until the step is done. */
		sse_beat(text, f->step == STEPS ? &(struct sse_place){r->place.xid, r->place.id, since} : NULL);
		if (!http_live_write(r->request, text, f->options.buffer))
			feed_cut_off(f, r);
	}
	evbuffer_free(text);
	set_timer(f->beat, f->options.heartbeat);
}

/* ---- ticks ---- */

static void rest(struct feed *f)
{
	double least = f->again ? 0 : TICK_SECONDS, seconds = (clock_seconds() - f->began) * REST_SHARE;
	seconds = seconds < least ? least : seconds > REST_MOST ? REST_MOST : seconds;
	f->step = STEPS;
	if (!TAILQ_EMPTY(&f->readers) && db_up(f->db))
		set_timer(f->tick, seconds);
}

/* From this step on. */
static void walk(struct feed *f, enum step step)
{
	for (f->step = step; f->step < STEPS; f->step++)
		if (feed_steps[f->step].send(f))
			return;
	rest(f);
}

void feed_step_done(struct feed *f)
{
	bool whole = feed_steps[f->step].done == NULL || feed_steps[f->step].done(f);
	walk(f, whole ? f->step + 1 : f->step);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct feed *f = arg;
	(void)fd, (void)what;
	drop_views(f, false);
	f->began = clock_seconds();
	f->again = false;
	walk(f, STEP_PROVE);
}

void feed_failed(struct feed *f)
{
	f->step = STEPS;
	f->proofs_owed = 0;
	set_timer(f->tick, AFTER_FAIL);
}

/* While the database was away tokens may have been revoked. */
static void prove_all(struct feed *f)
{
	struct reader *r;
	TAILQ_FOREACH(r, &f->readers, next)
	r->proved = 0;
}

static void on_db(struct db *db, enum db_event event, const char *text, void *arg)
{
	struct feed *f = arg;
	(void)db, (void)text;
	if (event == DB_UP) {
		prove_all(f);
		set_timer(f->tick, 0);
	} else if (event == DB_LOST) {
		event_del(f->tick);
		f->step = STEPS;
	}
}

/* ---- beginning and end ---- */

static const struct statement *const statements[] = {&stmt_api_begin,        &stmt_api_begin_oidc,
						     &stmt_api_stream,       &stmt_api_feed_events,
						     &stmt_api_feed_watched, &stmt_api_feed_sweep};

struct feed *feed_new(struct service *s, const struct feed_options *options)
{
	const struct db_options o = {.name = "api-feed",
				     .conninfo = options->conninfo,
				     .setup = "SET statement_timeout = '20s'; SET jit = off; "
					      "SET max_parallel_workers_per_gather = 0",
				     .statements = statements,
				     .statement_count = sizeof(statements) / sizeof(statements[0]),
				     .reply_timeout = 25,
				     .connect_timeout = 5};
	struct feed *f = calloc(1, sizeof(*f));
	if (f == NULL)
		abort();
	f->service = s;
	f->options = *options;
	f->step = STEPS;
	f->arena = arena_new(1 << 16);
	TAILQ_INIT(&f->readers);
	TAILQ_INIT(&f->views);
	f->tick = evtimer_new(service_base(s), on_tick, f);
	f->beat = evtimer_new(service_base(s), on_beat, f);
	if (f->tick == NULL || f->beat == NULL)
		abort();
	set_timer(f->beat, options->heartbeat);
	f->db = db_new(service_base(s), &o, on_db, f);
	db_start(f->db);
	return f;
}

static void end_all(struct feed *f)
{
	for (struct reader *r = TAILQ_FIRST(&f->readers); r != NULL; r = TAILQ_FIRST(&f->readers))
		feed_end_reader(f, r, http_live_waiting(r->request) == 0);
}

void feed_stop(struct feed *f)
{
	f->stopping = true;
	end_all(f);
}

void feed_free(struct feed **fp)
{
	struct feed *f = *fp;
	if (f == NULL)
		return;
	db_free(&f->db);
	end_all(f);
	drop_views(f, true);
	event_free(f->tick);
	event_free(f->beat);
	arena_free(&f->arena);
	for (size_t i = 0; i < PROOFS_MOST; i++) {
		free(f->proofs[i].scope);
		free(f->proofs[i].reset);
	}
	snapshot_free(&f->looked);
	snapshot_free(&f->watched);
	snapshot_free(&f->swept);
	snapshot_free(&f->sweeping);
	free(f);
	*fp = NULL;
}
