/* SPDX-License-Identifier: Apache-2.0
 *
 * The steps of a tick, each one statement for all readers that it concerns: events of before for those who resume, new
 * events for the others, states of devices that somebody named, states of the next stretch of all others. A reader is
 * in one of the first two, so it gets each event once; states come after the events, so an id says both. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/feed_internal.h"
#include "core/clock.h"
#include "schema/queries.h"

#define EVENTS_MOST   "200"
#define LOOK_MOST     "20000" /* devices of a sweep that are looked at in one statement, some 20 ms */
#define STATE_BYTES   1024    /* of a state as text, about, at most */
#define STATE_SECONDS 1.0     /* from one sweep to the next */
#define NOTHING_SEEN  "1:1:"  /* a snapshot */

/* ---- whom it concerns ---- */

typedef bool test_reader(const struct reader *r);

/* Who has taken all that came before gets more; others at their own pace. */
static bool is_catching(const struct reader *r)
{
	return r->state == READER_CATCHING && http_live_waiting(r->request) == 0;
}

static bool is_live(const struct reader *r)
{
	return r->state == READER_LIVE;
}

static bool is_watching(const struct reader *r)
{
	return is_live(r) && feed_named(r->view) && reader_wants(r, STATE_TYPE);
}

static bool is_sweeping(const struct reader *r)
{
	return is_live(r) && !feed_named(r->view) && reader_wants(r, STATE_TYPE);
}

/* Marks the readers that meet it and numbers their views; false: none does. */
static bool choose(struct feed *f, test_reader *meets)
{
	size_t total = 0;
	struct view *v;
	struct reader *r;
	TAILQ_FOREACH(v, &f->views, next)
	total++;
	arena_reset(f->arena);
	f->asked = arena_alloc(f->arena, (total + 1) * sizeof(struct view *));
	f->asked_count = 0;
	TAILQ_FOREACH(r, &f->readers, next)
	r->in_step = meets(r);
	TAILQ_FOREACH(v, &f->views, next)
	{
		bool any = false;
		TAILQ_FOREACH(r, &v->readers, of_view)
		any = any || r->in_step;
		if (any)
			f->asked[f->asked_count++] = v;
	}
	return f->asked_count > 0;
}

/* ---- parameters ---- */

typedef const char *text_of(const struct feed *f, const struct view *v);

static const char *scope_of(const struct feed *f, const struct view *v)
{
	(void)f;
	return v->scope;
}

static const char *serial_of(const struct feed *f, const struct view *v)
{
	(void)f;
	return v->serial;
}

static const char *team_of(const struct feed *f, const struct view *v)
{
	(void)f;
	return v->team;
}

static const char *seen_of(const struct feed *f, const struct view *v)
{
	const struct reader *r;
	TAILQ_FOREACH(r, &v->readers, of_view)
	if (r->in_step && r->fresh)
		return NOTHING_SEEN;
	return f->watched != NULL ? snapshot_text(f->watched) : NOTHING_SEEN;
}

static void put_texts(struct feed *f, struct pg_params *p, text_of *of)
{
	size_t bytes = 0;
	for (size_t i = 0; i < f->asked_count; i++)
		bytes += strlen(of(f, f->asked[i]));
	struct pg_array a = pg_array_new(f->arena, PG_TEXT, f->asked_count, bytes);
	for (size_t i = 0; i < f->asked_count; i++)
		pg_array_bytes(&a, of(f, f->asked[i]), strlen(of(f, f->asked[i])));
	pg_params_array(p, &a);
}

/* ---- sending and answers ---- */

static void take_end(struct feed *f, const PGresult *res)
{
	int last = PQntuples(res) - 1;
	bool has_id = !PQgetisnull(res, last, 1);
	if (f->step == STEP_BACKLOG || f->step == STEP_EVENTS) {
		f->reached.xid = strtoull(PQgetvalue(res, last, 0), NULL, 10);
		f->reached.id = strtoll(PQgetvalue(res, last, 1), NULL, 10);
		return;
	}
	snapshot_free(&f->looked);
	f->looked = snapshot_new(PQgetvalue(res, last, 0));
	if (f->step == STEP_SWEEP)
		f->sweep_next = has_id ? (int32_t)strtol(PQgetvalue(res, last, 1), NULL, 10) : 0;
}

static void on_rows(struct db *db, const PGresult *res, void *arg)
{
	struct feed *f = arg;
	(void)db;
	if (res == NULL || PQresultStatus(res) != PGRES_TUPLES_OK || PQntuples(res) == 0)
		return;
	feed_deal(f, res);
	take_end(f, res);
}

static void on_end(struct db *db, bool ok, const char *sqlstate, const struct err *e, void *arg)
{
	struct feed *f = arg;
	(void)db, (void)sqlstate, (void)e; /* the connection has logged it */
	if (ok)
		feed_step_done(f);
	else
		feed_failed(f);
}

static bool ask(struct feed *f, const struct statement *st, struct pg_params *p)
{
	struct db_params params = pg_params_borrow(p);
	params.binary_result = false;
	if (!db_query(f->db, st, &params, on_rows, f))
		return false;
	if (db_commit(f->db, on_end, f))
		return true;
	db_drop(f->db, "a step could not be sent whole");
	return false;
}

/* ---- events ---- */

static bool send_events(struct feed *f, test_reader *meets)
{
	char xid[24], id[24];
	struct pg_params p = {0};
	const struct reader *r;
	const struct sse_place *first = NULL;
	if (!choose(f, meets))
		return false;
	TAILQ_FOREACH(r, &f->readers, next)
	if (r->in_step && (first == NULL || reader_is_new(r, first->xid, first->id)))
		first = &r->place;
	snprintf(xid, sizeof(xid), "%" PRIu64, first->xid);
	snprintf(id, sizeof(id), "%" PRId64, first->id);
	pg_params_text(&p, xid);
	pg_params_text(&p, id);
	pg_params_text(&p, EVENTS_MOST);
	put_texts(f, &p, scope_of);
	put_texts(f, &p, serial_of);
	put_texts(f, &p, team_of);
	return ask(f, &stmt_api_feed_events, &p);
}

static bool send_backlog(struct feed *f)
{
	return send_events(f, is_catching);
}

static bool send_new(struct feed *f)
{
	return send_events(f, is_live);
}

/* Who asked has got all up to there; an id of 0 stands for all events of before that transaction. */
static bool advance(struct feed *f)
{
	struct reader *r;
	bool all = f->reached.id == 0;
	TAILQ_FOREACH(r, &f->readers, next)
	{
		if (!r->in_step)
			continue;
		if (reader_is_new(r, f->reached.xid, f->reached.id)) {
			r->place.xid = f->reached.xid;
			r->place.id = f->reached.id;
		}
		if (all)
			r->state = READER_LIVE;
	}
	return all;
}

static bool backlog_done(struct feed *f)
{
	f->again = !advance(f) || f->again;
	return true;
}

/* ---- states ---- */

static bool send_watched(struct feed *f)
{
	struct pg_params p = {0};
	if (!choose(f, is_watching))
		return false;
	put_texts(f, &p, seen_of);
	put_texts(f, &p, scope_of);
	put_texts(f, &p, serial_of);
	put_texts(f, &p, team_of);
	return ask(f, &stmt_api_feed_watched, &p);
}

static void replace(struct snapshot **old, struct snapshot **by)
{
	snapshot_free(old);
	*old = *by;
	*by = NULL;
}

static bool watched_done(struct feed *f)
{
	struct reader *r;
	replace(&f->watched, &f->looked);
	TAILQ_FOREACH(r, &f->readers, next)
	r->fresh = r->fresh && !r->in_step;
	return true;
}

/* What all who sweep have seen: of the last sweep, or of longer ago when somebody resumes. */
static void put_seen(struct feed *f, struct pg_params *p)
{
	const struct reader *r;
	bool all_own = true;
	uint64_t least = UINT64_MAX;
	TAILQ_FOREACH(r, &f->readers, next)
	{
		if (!r->in_step)
			continue;
		all_own = all_own && r->place.since != 0;
		if (r->place.since != 0 && r->place.since < least)
			least = r->place.since;
	}
	bool last = !all_own && f->swept != NULL;
	if (last && least >= snapshot_xmin(f->swept))
		pg_params_text(p, snapshot_text(f->swept));
	else
		pg_params_text(p, arena_format(f->arena, "%" PRIu64 ":%" PRIu64 ":", least, least));
}

static bool send_sweep(struct feed *f)
{
	struct pg_params p = {0};
	struct reader *r;
	bool begins = f->sweep_after == 0;
	if ((begins && clock_seconds() - f->swept_at < STATE_SECONDS) || !choose(f, is_sweeping))
		return false;
	if (begins)
		TAILQ_FOREACH(r, &f->readers, next)
	r->in_round = r->in_step;
	size_t most = f->options.buffer / 2 / STATE_BYTES;
	put_seen(f, &p);
	pg_params_text(&p, arena_format(f->arena, "%" PRId32, f->sweep_after));
	pg_params_text(&p, LOOK_MOST);
	pg_params_text(&p, arena_format(f->arena, "%zu", most > 0 ? most : 1));
	put_texts(f, &p, scope_of);
	put_texts(f, &p, team_of);
	return ask(f, &stmt_api_feed_sweep, &p);
}

static bool sweep_done(struct feed *f)
{
	struct reader *r;
	if (f->sweep_after == 0)
		replace(&f->sweeping, &f->looked);
	f->sweep_after = f->sweep_next;
	f->again = f->again || f->sweep_after != 0;
	if (f->sweep_after != 0)
		return true;
	replace(&f->swept, &f->sweeping);
	f->swept_at = clock_seconds();
	TAILQ_FOREACH(r, &f->readers, next)
	if (r->in_round)
		r->place.since = 0;
	return true;
}

const struct feed_step feed_steps[STEPS] = {
	[STEP_PROVE] = {"PROVE", feed_send_proofs, NULL}, [STEP_BACKLOG] = {"BACKLOG", send_backlog, backlog_done},
	[STEP_EVENTS] = {"EVENTS", send_new, advance},    [STEP_WATCHED] = {"WATCHED", send_watched, watched_done},
	[STEP_SWEEP] = {"SWEEP", send_sweep, sweep_done},
};
