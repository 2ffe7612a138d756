/* SPDX-License-Identifier: Apache-2.0
 *
 * Each heartbeat every token is proved anew, with what its readers want: one that was revoked or has expired, or whose
 * device has left its scope, gets no more. A token that several readers with the same wish share is proved once. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/call.h"
#include "api/feed_internal.h"
#include "core/clock.h"
#include "core/log.h"
#include "schema/queries.h"

static bool is_of(const struct reader *r, const struct proof *p)
{
	return r->view == p->view && memcmp(r->token_sha256, p->token_sha256, sizeof(r->token_sha256)) == 0;
}

/* Events are missing, or the place is of another database: says so, and goes on where the proof says. */
static void send_reset(struct feed *f, struct reader *r, const struct proof *p)
{
	struct evbuffer *text = evbuffer_new();
	if (text == NULL)
		abort();
	r->place = p->place;
	r->state = READER_CATCHING;
	r->fresh = true;
	sse_event(text, &r->place, "reset", p->reset);
	if (!http_live_write(r->request, text, f->options.buffer))
		feed_cut_off(f, r);
	evbuffer_free(text);
}

static void apply(struct feed *f, struct reader *r, const struct proof *p)
{
	if (p->refused.code != ERR_NONE) {
		log_info("feed", "request=%s ends: %s", http_id(r->request), p->refused.detail);
		feed_end_reader(f, r, http_live_waiting(r->request) == 0);
		return;
	}
	r->proved = clock_seconds();
	if (strcmp(r->view->scope, p->scope) != 0)
		feed_set_view(f, r, p->scope);
	if (p->reset != NULL)
		send_reset(f, r, p);
}

static void on_begun(struct db *db, const PGresult *res, void *arg)
{
	struct proof *p = arg;
	(void)db;
	if (res == NULL || PQresultStatus(res) != PGRES_FATAL_ERROR || p->refused.code != ERR_NONE)
		return;
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	const char *message = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
	err_set(&p->refused, call_code(state != NULL ? state : ""), "%s", message != NULL ? message : "no message");
}

static char *copy(const char *text)
{
	char *c = strdup(text);
	if (c == NULL)
		abort();
	return c;
}

static void on_place(struct db *db, const PGresult *res, void *arg)
{
	struct proof *p = arg;
	on_begun(db, res, arg);
	if (res == NULL || PQresultStatus(res) != PGRES_TUPLES_OK || PQntuples(res) != 1)
		return;
	p->scope = copy(PQgetvalue(res, 0, 0));
	p->place = (struct sse_place){.xid = strtoull(PQgetvalue(res, 0, 1), NULL, 10),
				      .id = strtoll(PQgetvalue(res, 0, 2), NULL, 10),
				      .since = strtoull(PQgetvalue(res, 0, 3), NULL, 10)};
	p->reset = PQgetisnull(res, 0, 4) ? NULL : copy(PQgetvalue(res, 0, 4));
}

static void on_proved(struct db *db, bool ok, const char *sqlstate, const struct err *e, void *arg)
{
	struct proof *p = arg;
	struct feed *f = p->feed;
	(void)db, (void)ok, (void)sqlstate, (void)e;
	/* A database that cannot answer refuses nobody, and without it nothing is sent either. */
	bool refused = p->refused.code != ERR_NONE && p->refused.code != ERR_DB_LOST;
	for (struct reader *r = TAILQ_FIRST(&f->readers), *after; r != NULL && (refused || p->scope != NULL);
	     r = after) {
		after = TAILQ_NEXT(r, next);
		if (is_of(r, p))
			apply(f, r, p);
	}
	free(p->scope);
	free(p->reset);
	memset(p, 0, sizeof(*p));
	if (--f->proofs_owed == 0 && f->step == STEP_PROVE && db_up(f->db))
		feed_step_done(f);
}

static bool is_due(const struct feed *f, const struct reader *r)
{
	bool asked = false;
	for (size_t i = 0; i < f->proofs_owed; i++)
		asked = asked || is_of(r, &f->proofs[i]);
	return !asked && clock_seconds() - r->proved >= f->options.heartbeat;
}

static bool prove(struct feed *f, const struct reader *r)
{
	struct proof *p = &f->proofs[f->proofs_owed];
	char place[80];
	snprintf(place, sizeof(place), "%" PRIu64 "-%" PRId64 "-%" PRIu64, r->place.xid, r->place.id, r->place.since);
	const char *const values[] = {r->serial, r->team, NULL, place};
	const struct db_params params = {.count = 4, .values = values};
	*p = (struct proof){.feed = f, .view = r->view};
	memcpy(p->token_sha256, r->token_sha256, sizeof(p->token_sha256));
	if (call_begin(f->db, r->token_sha256, "viewer", http_id(r->request), on_begun, p) &&
	    db_query(f->db, &stmt_api_stream, &params, on_place, p) && db_commit(f->db, on_proved, p)) {
		f->proofs_owed++;
		return true;
	}
	db_drop(f->db, "a proof could not be sent whole");
	return false;
}

bool feed_send_proofs(struct feed *f)
{
	const struct reader *r;
	bool ok = true;
	TAILQ_FOREACH(r, &f->readers, next)
	if (ok && f->proofs_owed < PROOFS_MOST && is_due(f, r))
		ok = prove(f, r);
	return f->proofs_owed > 0;
}
