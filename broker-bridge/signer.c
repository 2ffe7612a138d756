/* SPDX-License-Identifier: Apache-2.0
 *
 * IDLE until something is announced or the sweep's time has come; TAKING; then, when a request names its devices only
 * by a hash, FETCHING their serials; STORING what was signed and what was refused; and again while there is more. */
#include "broker-bridge/signer.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "broker-bridge/signer_check.h"
#include "core/arena.h"
#include "core/clock.h"
#include "core/db.h"
#include "core/log.h"
#include "core/pg_array.h"
#include "schema/queries.h"

#define REPLY_TIMEOUT 60

enum signer_state { SIGNER_IDLE, SIGNER_TAKING, SIGNER_FETCHING, SIGNER_STORING };

struct signer {
	const struct signer_config *config;
	const struct cose_key *key;
	struct metrics *metrics;
	signer_cb *cb;
	void *arg;
	signer_stopped_cb *stopped;
	struct db *db;
	struct event *sweep;
	enum signer_state state;
	bool again; /* announced while at work */
	double taken_at;
	struct arena *arena;       /* all that belongs to the batch */
	struct sign_order *orders; /* those not yet signed or refused */
	size_t count;
	bool full;                   /* there may be more to take */
	struct sign_request request; /* what was read of the one seen last */
	char *targets_text;          /* the devices of the one seen last that names them by a hash */
};

static const char object[] = "signer";

static const struct statement *const statements[] = {&stmt_signer_take_to_sign, &stmt_signer_targets,
						     &stmt_signer_store_signed, &stmt_signer_refuse_to_sign};

static void take(struct signer *s);
static void fetch_or_sign(struct signer *s);

/* ---- the end of a batch ---- */

static void idle(struct signer *s)
{
	arena_reset(s->arena);
	s->orders = NULL;
	s->count = 0;
	s->state = SIGNER_IDLE;
	if (s->stopped != NULL)
		s->stopped(s->arg);
}

static void next(struct signer *s, bool more)
{
	more = more || s->again;
	idle(s);
	if (more && s->stopped == NULL)
		take(s);
}

/* ---- storing ---- */

struct outcome {
	struct pg_array ids, generations, texts; /* messages or reasons */
	size_t count;
};

static void outcome_init(struct outcome *o, struct arena *arena, enum pg_type type, size_t count, size_t bytes)
{
	o->ids = pg_array_new(arena, PG_UUID, count, count * COMMAND_ID_BYTES);
	o->generations = pg_array_new(arena, PG_INT4, count, count * 4);
	o->texts = pg_array_new(arena, type, count, bytes);
	o->count = 0;
}

static void outcome_add(struct outcome *o, const struct sign_order *order, const void *text, size_t len)
{
	pg_array_bytes(&o->ids, order->id, COMMAND_ID_BYTES);
	pg_array_int4(&o->generations, order->generation);
	pg_array_bytes(&o->texts, text, len);
	o->count++;
}

static void on_stored(struct db *db, bool ok, const char *sqlstate, const struct err *e, void *arg)
{
	struct signer *s = arg;
	(void)db, (void)sqlstate;
	if (ok)
		metric_observe(s->metrics, SM_SIGN_SECONDS, clock_seconds() - s->taken_at);
	else
		log_warn(object, "signatures not stored, the commands will be taken again: %s", e->detail);
	if (ok && s->count > 0)
		fetch_or_sign(s);
	else
		next(s, ok && s->full);
}

/* Rows: command_id, and whether the outcome was kept. */
static void count_rows(struct signer *s, const PGresult *res, enum signer_metric kept)
{
	if (res == NULL || PQresultStatus(res) != PGRES_TUPLES_OK)
		return;
	for (int i = 0; i < PQntuples(res); i++)
		metric_add(s->metrics, PQgetvalue(res, i, 1)[0] == 't' ? kept : SM_STALE, 1);
}

static void on_signed_rows(struct db *db, const PGresult *res, void *arg)
{
	(void)db;
	count_rows(arg, res, SM_SIGNED);
}

static void on_refused_rows(struct db *db, const PGresult *res, void *arg)
{
	(void)db;
	count_rows(arg, res, SM_REFUSED);
}

static bool send_outcome(struct signer *s, const struct statement *statement, struct outcome *o, const char *kid,
			 db_result_cb *rows)
{
	struct pg_params p = {0};
	if (o->count == 0)
		return true;
	pg_params_array(&p, &o->ids);
	pg_params_array(&p, &o->generations);
	pg_params_array(&p, &o->texts);
	if (kid != NULL)
		pg_params_text(&p, kid);
	struct db_params params = pg_params_borrow(&p);
	return db_query(s->db, statement, &params, rows, s);
}

static void store(struct signer *s, struct outcome *signatures, struct outcome *refusals)
{
	char kid[2 + 2 * COSE_KID_BYTES + 1] = "\\x";
	const uint8_t *bytes = cose_key_kid(s->key);
	for (size_t i = 0; i < COSE_KID_BYTES; i++)
		snprintf(kid + 2 + 2 * i, 3, "%02x", bytes[i]);
	s->state = SIGNER_STORING;
	if (!send_outcome(s, &stmt_signer_store_signed, signatures, kid, on_signed_rows) ||
	    !send_outcome(s, &stmt_signer_refuse_to_sign, refusals, NULL, on_refused_rows) ||
	    !db_commit(s->db, on_stored, s))
		idle(s);
}

/* ---- signing ---- */

static bool sign(struct signer *s, const struct sign_order *order, uint8_t *out, size_t *len, struct err *e)
{
	struct sign_draft draft;
	int64_t now = clock_now_us() / 1000000;
	return signer_check(order, &s->request, s->config->issuer, now, &draft, e) &&
	       command_sign(s->key, &draft.message, out, COMMAND_BYTES_MAX, len, e);
}

static void sign_one(struct signer *s, const struct sign_order *order, struct outcome *signatures,
		     struct outcome *refusals)
{
	uint8_t message[COMMAND_BYTES_MAX];
	char id[COMMAND_ID_TEXT];
	struct err e = {0};
	size_t len;
	if (sign(s, order, message, &len, &e)) {
		outcome_add(signatures, order, message, len);
		return;
	}
	command_id_text(order->id, id);
	log_error(object, "not signed command=%s device=%s: %s", id, order->serial, e.detail);
	outcome_add(refusals, order, e.detail, strlen(e.detail));
}

/* The first, and those whose devices are at hand; the others stay for the next round. The first is judged in any case,
 * so that a round ends with fewer than it began with, whatever the database said of its devices: without them it is
 * refused. */
static void sign_batch(struct signer *s)
{
	struct outcome signatures, refusals;
	size_t left = 0;
	outcome_init(&signatures, s->arena, PG_BYTEA, s->count, s->count * COMMAND_BYTES_MAX);
	outcome_init(&refusals, s->arena, PG_TEXT, s->count, s->count * sizeof(((struct err *)0)->detail));
	for (size_t i = 0; i < s->count; i++) {
		if (i == 0 || signer_targets_known(&s->orders[i], &s->request))
			sign_one(s, &s->orders[i], &signatures, &refusals);
		else
			s->orders[left++] = s->orders[i];
	}
	s->count = left;
	store(s, &signatures, &refusals);
}

/* ---- the serials behind a hash ---- */

static void targets_row(struct db *db, const PGresult *res, void *arg)
{
	struct signer *s = arg;
	(void)db;
	if (res == NULL || PQresultStatus(res) != PGRES_TUPLES_OK || PQntuples(res) != 1)
		return;
	free(s->targets_text);
	s->targets_text = strdup(PQgetvalue(res, 0, 0));
	if (s->targets_text == NULL)
		abort();
	signer_targets_set(&s->request, &s->orders[0], s->targets_text);
}

static void targets_done(struct db *db, bool ok, const char *sqlstate, const struct err *e, void *arg)
{
	struct signer *s = arg;
	(void)db, (void)sqlstate;
	if (!ok) {
		log_warn(object, "devices of a request not read: %s", e->detail);
		idle(s);
		return;
	}
	sign_batch(s);
}

/* One request with devices behind a hash at a time; its commands are mostly together in a batch. */
static void fetch_or_sign(struct signer *s)
{
	char id[COMMAND_ID_TEXT];
	if (signer_targets_known(&s->orders[0], &s->request)) {
		sign_batch(s);
		return;
	}
	command_id_text(s->orders[0].id, id);
	const char *const values[] = {id};
	const struct db_params params = {.count = 1, .values = values};
	s->state = SIGNER_FETCHING;
	if (!db_query(s->db, &stmt_signer_targets, &params, targets_row, s) || !db_commit(s->db, targets_done, s))
		idle(s);
}

/* ---- taking ---- */

static struct cbor_view bytes_of(struct signer *s, const PGresult *res, int row, int column)
{
	size_t len = (size_t)PQgetlength(res, row, column);
	return (struct cbor_view){.at = arena_copy(s->arena, PQgetvalue(res, row, column), len), .len = len};
}

static const char *text_of(struct signer *s, const PGresult *res, int row, int column)
{
	if (PQgetisnull(res, row, column))
		return NULL;
	return arena_text(s->arena, PQgetvalue(res, row, column), (size_t)PQgetlength(res, row, column));
}

static int64_t int8_of(const PGresult *res, int row, int column)
{
	return PQgetisnull(res, row, column) ? 0 : pg_read_int8(PQgetvalue(res, row, column));
}

/* The columns of signer_take_to_sign.sql, in its order. */
static void take_row(struct signer *s, const PGresult *res, int row, struct sign_order *o)
{
	memcpy(o->id, PQgetvalue(res, row, 0), COMMAND_ID_BYTES);
	o->generation = pg_read_int4(PQgetvalue(res, row, 1));
	o->serial = text_of(s, res, row, 2);
	o->epoch = int8_of(res, row, 3);
	o->counter = int8_of(res, row, 4);
	o->class = pg_read_int4(PQgetvalue(res, row, 5));
	o->operation = text_of(s, res, row, 6);
	o->arguments = text_of(s, res, row, 7);
	o->issued_at = int8_of(res, row, 8);
	o->not_before = int8_of(res, row, 9);
	o->expires_at = int8_of(res, row, 10);
	o->requested_by = text_of(s, res, row, 11);
	o->canonical = bytes_of(s, res, row, 12);
	o->request_sha256 = bytes_of(s, res, row, 13);
	o->approver = text_of(s, res, row, 14);
	o->approved_sha256 = bytes_of(s, res, row, 15);
	o->approved_at = int8_of(res, row, 16);
}

static void on_rows(struct db *db, const PGresult *res, void *arg)
{
	struct signer *s = arg;
	(void)db;
	if (res == NULL || PQresultStatus(res) != PGRES_TUPLES_OK)
		return;
	s->count = (size_t)PQntuples(res);
	s->full = s->count == (size_t)s->config->batch;
	s->orders = arena_alloc(s->arena, (s->count + 1) * sizeof(*s->orders));
	for (size_t i = 0; i < s->count; i++)
		take_row(s, res, (int)i, &s->orders[i]);
}

static void on_taken(struct db *db, bool ok, const char *sqlstate, const struct err *e, void *arg)
{
	struct signer *s = arg;
	(void)db, (void)sqlstate;
	if (!ok) {
		log_warn(object, "nothing taken: %s", e->detail);
		idle(s);
	} else if (s->count == 0) {
		next(s, false);
	} else {
		fetch_or_sign(s);
	}
}

static void take(struct signer *s)
{
	char max[24];
	s->again = s->state != SIGNER_IDLE;
	if (s->again || s->stopped != NULL || !db_up(s->db))
		return;
	snprintf(max, sizeof(max), "%lld", (long long)s->config->batch);
	const char *const values[] = {max};
	const struct db_params params = {.count = 1, .values = values, .binary_result = true};
	s->state = SIGNER_TAKING;
	s->taken_at = clock_seconds();
	if (!db_query(s->db, &stmt_signer_take_to_sign, &params, on_rows, s) || !db_commit(s->db, on_taken, s))
		idle(s);
}

/* ---- events ---- */

static void on_sweep(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	take(arg);
}

static void on_db(struct db *db, enum db_event event, const char *text, void *arg)
{
	struct signer *s = arg;
	(void)db, (void)text;
	switch (event) {
	case DB_UP:
		s->cb(true, s->arg);
		take(s);
		break;
	case DB_NOTIFY:
		take(s);
		break;
	case DB_LOST:
		s->cb(false, s->arg);
		break;
	}
}

/* ---- the interface ---- */

struct signer *signer_new(struct event_base *base, const struct signer_config *config, const struct cose_key *key,
			  struct metrics *metrics, signer_cb *cb, void *arg)
{
	struct signer *s = calloc(1, sizeof(*s));
	if (s == NULL)
		abort();
	s->config = config;
	s->key = key;
	s->metrics = metrics;
	s->cb = cb;
	s->arg = arg;
	s->arena = arena_new(4 << 20);
	s->sweep = event_new(base, -1, EV_PERSIST, on_sweep, s);
	if (s->sweep == NULL)
		abort();
	const struct db_options options = {
		.name = object,
		.conninfo = config->database,
		.setup = "LISTEN command_sign",
		.statements = statements,
		.statement_count = sizeof(statements) / sizeof(statements[0]),
		.reply_timeout = REPLY_TIMEOUT,
		.connect_timeout = 10,
	};
	s->db = db_new(base, &options, on_db, s);
	return s;
}

void signer_free(struct signer **sp)
{
	struct signer *s = *sp;
	if (s == NULL)
		return;
	db_free(&s->db);
	event_free(s->sweep);
	arena_free(&s->arena);
	signer_request_fini(&s->request);
	free(s->targets_text);
	free(s);
	*sp = NULL;
}

void signer_start(struct signer *s)
{
	const struct timeval every = clock_timeval(s->config->sweep);
	event_add(s->sweep, &every);
	db_start(s->db);
}

void signer_stop(struct signer *s, signer_stopped_cb *stopped)
{
	s->stopped = stopped;
	if (s->state == SIGNER_IDLE)
		stopped(s->arg);
}
