/* SPDX-License-Identifier: Apache-2.0
 *
 * Asks the database for one piece of work after the other, and rests when there is none. Several processes may do so:
 * the database hands each piece to one of them. Before each piece, in a transaction of its own, the lists of the fleet
 * are swept on; the database does so once a second, however often it is asked. */
#include "api/worker.h"

#include <stdlib.h>
#include <string.h>

#include "core/db.h"
#include "core/log.h"
#include "schema/queries.h"

#define REST       1 /* seconds, when nothing was left to do */
#define AFTER_FAIL 5
#define PATIENCE   65 /* seconds for one piece; the statement gives up before */

struct worker {
	struct db *db;
	struct event *timer;
	bool again; /* the last piece said that there may be more */
};

static const struct statement *const statements[] = {&stmt_api_sweep, &stmt_api_work};

static void rest(struct worker *w, time_t seconds)
{
	const struct timeval tv = {.tv_sec = seconds};
	event_add(w->timer, &tv);
}

static void on_result(struct db *db, const PGresult *res, void *arg)
{
	struct worker *w = arg;
	(void)db;
	w->again = res != NULL && PQresultStatus(res) == PGRES_TUPLES_OK && PQntuples(res) == 1 &&
		   strcmp(PQgetvalue(res, 0, 0), "t") == 0;
}

static void on_commit(struct db *db, bool ok, const char *sqlstate, const struct err *e, void *arg)
{
	struct worker *w = arg;
	(void)db, (void)sqlstate, (void)e; /* the connection has logged it */
	rest(w, !ok ? AFTER_FAIL : w->again ? 0 : REST);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct worker *w = arg;
	const struct db_params none = {0};
	(void)fd, (void)what;
	/* Not up: the connection comes back with an event. Half sent: it is dropped, and comes back. */
	if (db_up(w->db) && !(db_query(w->db, &stmt_api_sweep, &none, NULL, NULL) && db_commit(w->db, NULL, NULL) &&
			      db_query(w->db, &stmt_api_work, &none, on_result, w) && db_commit(w->db, on_commit, w)))
		db_drop(w->db, "a piece of work could not be sent whole");
}

static void on_db(struct db *db, enum db_event event, const char *text, void *arg)
{
	struct worker *w = arg;
	(void)db, (void)text;
	if (event == DB_UP)
		rest(w, 0);
	else if (event == DB_LOST)
		event_del(w->timer);
}

struct worker *worker_new(struct event_base *base, const char *conninfo)
{
	const struct db_options o = {.name = "api-worker",
				     .conninfo = conninfo,
				     .setup = "SET statement_timeout = '60s'; SET jit = off",
				     .statements = statements,
				     .statement_count = sizeof(statements) / sizeof(statements[0]),
				     .reply_timeout = PATIENCE,
				     .connect_timeout = 5};
	struct worker *w = calloc(1, sizeof(*w));
	if (w == NULL || (w->timer = evtimer_new(base, on_timer, w)) == NULL)
		abort();
	w->db = db_new(base, &o, on_db, w);
	db_start(w->db);
	return w;
}

void worker_free(struct worker **wp)
{
	struct worker *w = *wp;
	if (w == NULL)
		return;
	db_free(&w->db);
	event_free(w->timer);
	free(w);
	*wp = NULL;
}
