/* SPDX-License-Identifier: Apache-2.0
 *
 * Take, look up devices that nobody knew, store, tell the outcome, and again while there are any. What is lost on the
 * way is offered again after a minute; storing twice is storing once. */
#include "ingest/replay.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/db.h"
#include "core/log.h"
#include "core/pg_array.h"
#include "ingest/batch.h"
#include "ingest/store.h"
#include "schema/queries.h"

#define LOOK_EVERY 60
#define TAKE_MAX   64 /* of ingest_replay_take */

enum replay_state { REPLAY_IDLE, REPLAY_TAKING, REPLAY_RESOLVING, REPLAY_STORING, REPLAY_TELLING };

struct replay {
	struct db *db;
	struct store *store;
	const struct ingest_config *config;
	struct directory *directory;
	struct event *timer;
	enum replay_state state;
	bool store_up, again;
	struct batch batch;
	int64_t ids[TAKE_MAX]; /* of the batch's messages, in their order */
};

static const char object[] = "replay";

static const struct statement *const statements[] = {&stmt_ingest_replay_take, &stmt_ingest_replay_done};

static void look(struct replay *r);

static void give_up(struct replay *r)
{
	batch_reset(&r->batch);
	r->state = REPLAY_IDLE;
}

/* ---- the outcome ---- */

static void on_told(struct db *db, bool ok, const char *sqlstate, const struct err *e, void *arg)
{
	struct replay *r = arg;
	(void)db, (void)sqlstate;
	give_up(r);
	if (!ok)
		log_warn(object, "outcome not kept: %s", e->detail);
	else
		look(r); /* there may be more than one batch of them */
}

static void tell(struct replay *r)
{
	/* An int8 has at most 20 characters, a reason word at most 14. */
	char ids[TAKE_MAX * 22 + 3] = "{", outcomes[TAKE_MAX * 20 + 3] = "{";
	size_t id_len = 1, outcome_len = 1;
	for (size_t i = 0; i < r->batch.count; i++) {
		const char *reason = r->batch.messages[i].quarantine, *comma = i > 0 ? "," : "";
		id_len += (size_t)snprintf(ids + id_len, sizeof(ids) - id_len, "%s%lld", comma, (long long)r->ids[i]);
		outcome_len += (size_t)snprintf(outcomes + outcome_len, sizeof(outcomes) - outcome_len, "%s%s", comma,
						reason != NULL ? reason : "stored");
		log_info(object, "message=%lld outcome=%s", (long long)r->ids[i], reason != NULL ? reason : "stored");
	}
	snprintf(ids + id_len, sizeof(ids) - id_len, "}");
	snprintf(outcomes + outcome_len, sizeof(outcomes) - outcome_len, "}");
	const char *const values[] = {ids, outcomes};
	const struct db_params params = {.count = 2, .values = values};
	r->state = REPLAY_TELLING;
	if (!db_query(r->db, &stmt_ingest_replay_done, &params, NULL, NULL) || !db_commit(r->db, on_told, r))
		give_up(r);
}

/* ---- the store ---- */

static void on_stored(bool ok, const struct receipt *receipts, size_t count, void *arg)
{
	struct replay *r = arg;
	(void)receipts, (void)count;
	if (ok && db_up(r->db))
		tell(r);
	else
		give_up(r);
}

static void on_store(enum store_event event, void *arg)
{
	struct replay *r = arg;
	r->store_up = event == STORE_UP;
	if (r->store_up)
		look(r);
}

/* ---- the list ---- */

static void take_row(struct replay *r, const PGresult *res, int row)
{
	const struct pack_limits limits = ingest_pack_limits(r->config);
	const struct mqtt_message m = {
		.topic = PQgetvalue(res, row, 1),
		.payload = (const uint8_t *)PQgetvalue(res, row, 2),
		.payload_len = (size_t)PQgetlength(res, row, 2),
		.content_type = PQgetisnull(res, row, 3) ? NULL : PQgetvalue(res, row, 3),
		.qos = 1,
	};
	r->ids[r->batch.count] = pg_read_int8(PQgetvalue(res, row, 0));
	batch_add(&r->batch, &m, pg_read_int8(PQgetvalue(res, row, 4)), directory_devices(r->directory), &limits);
}

static void on_rows(struct db *db, const PGresult *res, void *arg)
{
	struct replay *r = arg;
	(void)db;
	if (res == NULL || PQresultStatus(res) != PGRES_TUPLES_OK)
		return;
	for (int i = 0; i < PQntuples(res) && i < TAKE_MAX; i++)
		take_row(r, res, i);
}

static void store(struct replay *r)
{
	if (!r->store_up) {
		give_up(r);
		return;
	}
	r->state = REPLAY_STORING;
	store_batch(r->store, &r->batch, on_stored, r);
}

/* Devices registered before their message was replayed are known from here on. */
static void on_resolved(bool ok, void *arg)
{
	struct replay *r = arg;
	if (r->state != REPLAY_RESOLVING)
		return;
	if (!ok) {
		give_up(r);
		return;
	}
	batch_resolve(&r->batch, directory_devices(r->directory));
	store(r);
}

static void on_taken(struct db *db, bool ok, const char *sqlstate, const struct err *e, void *arg)
{
	struct replay *r = arg;
	(void)db, (void)sqlstate;
	if (!ok)
		log_warn(object, "not taken: %s", e->detail);
	if (!ok || r->batch.count == 0 || !r->store_up) {
		give_up(r);
		if (ok && r->again)
			look(r);
		return;
	}
	r->state = REPLAY_RESOLVING;
	if (r->batch.unresolved > 0)
		directory_refresh(r->directory, on_resolved, r);
	else
		store(r);
}

static void look(struct replay *r)
{
	const struct db_params binary = {.binary_result = true};
	r->again = r->state != REPLAY_IDLE;
	if (r->again || !r->store_up || !db_up(r->db) || !directory_loaded(r->directory))
		return;
	r->state = REPLAY_TAKING;
	if (!db_query(r->db, &stmt_ingest_replay_take, &binary, on_rows, r) || !db_commit(r->db, on_taken, r))
		give_up(r);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	look(arg);
}

static void on_db(struct db *db, enum db_event event, const char *text, void *arg)
{
	(void)db, (void)text;
	if (event != DB_LOST)
		look(arg);
}

/* ---- beginning and end ---- */

struct replay *replay_new(struct event_base *base, const struct ingest_config *config, struct directory *directory,
			  struct metrics *metrics)
{
	struct replay *r = calloc(1, sizeof(*r));
	if (r == NULL || (r->timer = event_new(base, -1, EV_PERSIST, on_timer, r)) == NULL)
		abort();
	r->config = config;
	r->directory = directory;
	batch_init(&r->batch);
	struct db_options options = {
		.name = object,
		.conninfo = config->database,
		.setup = "LISTEN telemetry_replay",
		.statements = statements,
		.statement_count = sizeof(statements) / sizeof(statements[0]),
		.reply_timeout = 30,
		.connect_timeout = 10,
	};
	r->db = db_new(base, &options, on_db, r);
	r->store = store_new(base, "replay-store", config->database, metrics, on_store, r);
	return r;
}

void replay_free(struct replay **rp)
{
	struct replay *r = *rp;
	if (r == NULL)
		return;
	store_free(&r->store);
	db_free(&r->db);
	event_free(r->timer);
	batch_fini(&r->batch);
	free(r);
	*rp = NULL;
}

void replay_start(struct replay *r)
{
	static const struct timeval period = {.tv_sec = LOOK_EVERY};
	event_add(r->timer, &period);
	db_start(r->db);
	store_start(r->store);
}
