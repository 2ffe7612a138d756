/* SPDX-License-Identifier: Apache-2.0
 *
 * A pull asks first for the token of the next one (the oldest transaction still running), then for the devices changed
 * since the token of the last one, in chunks. Rows may come twice, never be missed. */
#include "ingest/directory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/db.h"
#include "core/log.h"
#include "core/pg_array.h"
#include "schema/queries.h"

#define PULL_CHUNK      10000
#define PULL_CHUNK_TEXT "10000"
#define PULL_EVERY      60
#define MAINTAIN_EVERY  3600
#define WAITERS_MAX     64
#define TOKEN_MAX       24

struct waiter {
	directory_done_cb *done;
	void *arg;
};

struct directory {
	struct db *db;
	struct devices *devices;
	directory_cb *cb;
	void *arg;
	struct event *pull_timer;
	struct event *maintain_timer;
	bool loaded;
	bool pulling;
	bool again;                 /* asked for while one was running */
	char token[TOKEN_MAX];      /* rows changed since here are not yet known */
	char next_token[TOKEN_MAX]; /* becomes `token` when the running pull is complete */
	int32_t after;              /* last device_id of the running pull */
	size_t chunk_rows;
	struct waiter now[WAITERS_MAX], later[WAITERS_MAX]; /* waiting for the running pull, for the one after it */
	size_t now_count, later_count;
};

static const char object[] = "directory";

static const struct statement *const statements[] = {&stmt_ingest_devices_token, &stmt_ingest_devices_pull,
						     &stmt_ingest_maintain};

static void pull_start(struct directory *d);
static void pull_chunk(struct directory *d);

static void answer(struct waiter *waiters, size_t *count, bool ok)
{
	struct waiter copy[WAITERS_MAX];
	size_t n = *count;
	memcpy(copy, waiters, n * sizeof(*copy));
	*count = 0;
	for (size_t i = 0; i < n; i++)
		copy[i].done(ok, copy[i].arg);
}

static void pull_done(struct directory *d)
{
	d->pulling = false;
	memcpy(d->token, d->next_token, sizeof(d->token));
	if (!d->loaded) {
		d->loaded = true;
		log_info(object, "loaded devices=%zu bytes=%zu", devices_count(d->devices), devices_bytes(d->devices));
		d->cb(DIRECTORY_LOADED, d->arg);
	}
	answer(d->now, &d->now_count, true);
	if (d->again || d->later_count > 0)
		pull_start(d);
}

static void chunk_rows(struct db *db, const PGresult *res, void *arg)
{
	struct directory *d = arg;
	(void)db;
	if (res == NULL || PQresultStatus(res) != PGRES_TUPLES_OK)
		return;
	int rows = PQntuples(res);
	d->chunk_rows = (size_t)rows;
	for (int i = 0; i < rows; i++) {
		int32_t id = pg_read_int4(PQgetvalue(res, i, 0));
		devices_put(d->devices, PQgetvalue(res, i, 1), (size_t)PQgetlength(res, i, 1), id);
		d->after = id;
	}
}

static void chunk_done(struct db *db, bool ok, const char *sqlstate, const struct err *e, void *arg)
{
	struct directory *d = arg;
	(void)sqlstate;
	if (!ok) {
		db_drop(db, e->detail);
		return;
	}
	if (d->chunk_rows == PULL_CHUNK)
		pull_chunk(d);
	else
		pull_done(d);
}

static void pull_chunk(struct directory *d)
{
	char after[16];
	snprintf(after, sizeof(after), "%d", d->after);
	struct pg_params p = {0};
	pg_params_text(&p, d->token);
	pg_params_text(&p, after);
	pg_params_text(&p, PULL_CHUNK_TEXT);
	struct db_params params = pg_params_borrow(&p);
	d->chunk_rows = 0;
	if (db_query(d->db, &stmt_ingest_devices_pull, &params, chunk_rows, d))
		db_commit(d->db, chunk_done, d);
}

static void token_row(struct db *db, const PGresult *res, void *arg)
{
	struct directory *d = arg;
	(void)db;
	if (res != NULL && PQresultStatus(res) == PGRES_TUPLES_OK && PQntuples(res) == 1)
		snprintf(d->next_token, sizeof(d->next_token), "%s", PQgetvalue(res, 0, 0));
}

static void token_done(struct db *db, bool ok, const char *sqlstate, const struct err *e, void *arg)
{
	struct directory *d = arg;
	(void)sqlstate;
	if (ok)
		pull_chunk(d);
	else
		db_drop(db, e->detail);
}

static void pull_start(struct directory *d)
{
	if (d->pulling) {
		d->again = true;
		return;
	}
	static const struct timeval period = {.tv_sec = PULL_EVERY};
	event_add(d->pull_timer, &period);
	d->pulling = true;
	d->again = false;
	d->after = 0;
	memcpy(d->now, d->later, d->later_count * sizeof(*d->now));
	d->now_count = d->later_count;
	d->later_count = 0;
	if (db_query(d->db, &stmt_ingest_devices_token, NULL, token_row, d))
		db_commit(d->db, token_done, d);
}

static void on_pull_timer(evutil_socket_t fd, short what, void *arg)
{
	struct directory *d = arg;
	(void)fd, (void)what;
	if (db_up(d->db))
		pull_start(d);
}

static void maintained(struct db *db, bool ok, const char *sqlstate, const struct err *e, void *arg)
{
	(void)db, (void)sqlstate, (void)arg;
	if (!ok)
		log_error(object, "upkeep of the tables failed: %s", e->detail);
}

static void maintain(struct directory *d)
{
	static const struct timeval period = {.tv_sec = MAINTAIN_EVERY};
	event_add(d->maintain_timer, &period);
	if (db_query(d->db, &stmt_ingest_maintain, NULL, NULL, NULL))
		db_commit(d->db, maintained, d);
}

static void on_maintain_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	maintain(arg);
}

static void on_db(struct db *db, enum db_event event, const char *text, void *arg)
{
	struct directory *d = arg;
	(void)db, (void)text;
	switch (event) {
	case DB_UP:
		maintain(d);
		pull_start(d);
		break;
	case DB_NOTIFY:
		pull_start(d);
		break;
	case DB_LOST:
		d->pulling = d->again = false;
		event_del(d->pull_timer);
		event_del(d->maintain_timer);
		answer(d->now, &d->now_count, false);
		answer(d->later, &d->later_count, false);
		d->cb(DIRECTORY_LOST, d->arg);
		break;
	}
}

struct directory *directory_new(struct event_base *base, const char *conninfo, directory_cb *cb, void *arg)
{
	struct directory *d = calloc(1, sizeof(*d));
	if (d == NULL)
		abort();
	d->cb = cb;
	d->arg = arg;
	d->devices = devices_new();
	snprintf(d->token, sizeof(d->token), "0");
	d->pull_timer = evtimer_new(base, on_pull_timer, d);
	d->maintain_timer = evtimer_new(base, on_maintain_timer, d);
	if (d->pull_timer == NULL || d->maintain_timer == NULL)
		abort();
	struct db_options options = {
		.name = object,
		.conninfo = conninfo,
		.setup = "LISTEN fleet_device",
		.statements = statements,
		.statement_count = sizeof(statements) / sizeof(statements[0]),
		.reply_timeout = 120,
		.connect_timeout = 10,
	};
	d->db = db_new(base, &options, on_db, d);
	return d;
}

void directory_free(struct directory **dp)
{
	struct directory *d = *dp;
	if (d == NULL)
		return;
	db_free(&d->db);
	event_free(d->pull_timer);
	event_free(d->maintain_timer);
	devices_free(&d->devices);
	free(d);
	*dp = NULL;
}

void directory_start(struct directory *d)
{
	db_start(d->db);
}

bool directory_loaded(const struct directory *d)
{
	return d->loaded;
}

const struct devices *directory_devices(const struct directory *d)
{
	return d->devices;
}

void directory_refresh(struct directory *d, directory_done_cb *done, void *arg)
{
	if (!db_up(d->db) || d->later_count == WAITERS_MAX) {
		done(false, arg);
		return;
	}
	d->later[d->later_count++] = (struct waiter){.done = done, .arg = arg};
	if (!d->pulling)
		pull_start(d);
}
