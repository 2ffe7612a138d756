/* SPDX-License-Identifier: Apache-2.0
 *
 * A batch is a stack of ranges of messages, at first one. Each range is one segment, that is, one transaction:
 * committed, or refused and split in halves. After a commit that stored fewer readings than were sent, a second segment
 * looks for those whose key was taken by other values. */
#include "ingest/store.h"

#include <stdlib.h>
#include <string.h>

#include "core/db.h"
#include "core/log.h"
#include "ingest/metrics.h"
#include "ingest/rows.h"
#include "schema/queries.h"

#define RANGES_MAX     64 /* halving goes at most log2(batch) + 1 deep */
#define RETRIES_MAX    5
#define PARTITIONS_MAX 4096
#define ARENA_KEEP     ((size_t)8 * 1024 * 1024)

struct range {
	size_t from, to;
};

struct span {
	int64_t from, to; /* microseconds since 1970, half-open */
};

struct store {
	struct db *db;
	const char *name;
	struct metrics *metrics;
	store_event_cb *cb;
	void *arg;

	struct span partitions[PARTITIONS_MAX]; /* ascending */
	size_t partition_count;

	struct batch *batch; /* in work; NULL: none */
	store_done_cb *done;
	struct event *kick; /* starts a batch from the loop */
	struct arena *arena;
	struct range ranges[RANGES_MAX];
	size_t range_count;
	struct range current;
	struct rows rows;
	size_t inserted;         /* readings that the current segment stored */
	size_t statuses, news;   /* sent with the current segment; of these newer than what was known */
	unsigned retries;        /* of the current range */
	bool partitions_retried; /* of the current range: they were looked up again */
	size_t conflicts;

	struct receipt *receipts;
	size_t receipt_count, receipt_limit;
	size_t receipts_kept; /* of ranges that are committed */
};

static const struct statement *const statements[] = {
	&stmt_ingest_store_readings, &stmt_ingest_advance,    &stmt_ingest_find_conflicts,
	&stmt_ingest_quarantine,     &stmt_ingest_partitions, &stmt_ingest_ensure_partitions,
	&stmt_ingest_store_status,
};

static void next_range(struct store *s);
static void send_range(struct store *s);

/* ---- the end of a batch ---- */

static void finish(struct store *s, bool ok)
{
	store_done_cb *done = s->done;
	s->batch = NULL;
	s->range_count = 0;
	done(ok, s->receipts, ok ? s->receipts_kept : 0, s->arg);
	arena_reset(s->arena);
}

static void fail(struct store *s, const char *why)
{
	if (s->batch == NULL)
		return;
	log_warn(s->name, "batch not stored, its messages will come again: %s", why);
	finish(s, false);
}

static void push_range(struct store *s, size_t from, size_t to)
{
	if (s->range_count == RANGES_MAX)
		abort();
	s->ranges[s->range_count++] = (struct range){from, to};
}

/* ---- partitions ---- */

static void partition_rows(struct db *db, const PGresult *res, void *arg)
{
	struct store *s = arg;
	(void)db;
	if (res == NULL || PQresultStatus(res) != PGRES_TUPLES_OK)
		return;
	s->partition_count = 0;
	for (int i = 0; i < PQntuples(res) && s->partition_count < PARTITIONS_MAX; i++) {
		struct span *span = &s->partitions[s->partition_count++];
		span->from = pg_read_int8(PQgetvalue(res, i, 0)) + PG_EPOCH_US;
		span->to = pg_read_int8(PQgetvalue(res, i, 1)) + PG_EPOCH_US;
	}
}

static bool covered(const struct store *s, int64_t ts)
{
	for (size_t i = 0; i < s->partition_count; i++) {
		if (ts >= s->partitions[i].from && ts < s->partitions[i].to)
			return true;
	}
	return false;
}

static void query_partitions(struct store *s, db_commit_cb *done)
{
	static const struct db_params binary = {.binary_result = true};
	if (db_query(s->db, &stmt_ingest_partitions, &binary, partition_rows, s))
		db_commit(s->db, done, s);
}

static void partitions_made(struct db *db, bool ok, const char *sqlstate, const struct err *e, void *arg)
{
	struct store *s = arg;
	(void)db, (void)sqlstate;
	if (ok)
		send_range(s);
	else
		fail(s, e->detail);
}

/* Asks for the partitions that the rows of the current range need and that are not known. False: none are missing. */
static bool make_partitions(struct store *s)
{
	size_t missing = 0;
	int64_t asked_day = INT64_MIN;
	struct pg_array times = pg_array_new(s->arena, PG_TIMESTAMPTZ, s->rows.count, s->rows.count * 8);
	for (size_t i = 0; i < s->rows.count; i++) {
		int64_t ts = s->rows.rows[i].reading->ts, day = ts / INT64_C(86400000000);
		if (day == asked_day || covered(s, ts))
			continue;
		asked_day = day;
		pg_array_time(&times, ts);
		missing++;
	}
	if (missing == 0)
		return false;
	struct pg_params p = {0};
	pg_params_array(&p, &times);
	struct db_params params = pg_params_borrow(&p);
	if (db_query(s->db, &stmt_ingest_ensure_partitions, &params, NULL, NULL))
		query_partitions(s, partitions_made);
	return true;
}

/* ---- conflicts ---- */

static void conflict_rows(struct db *db, const PGresult *res, void *arg)
{
	struct store *s = arg;
	(void)db;
	if (res == NULL || PQresultStatus(res) != PGRES_TUPLES_OK)
		return;
	for (int i = 0; i < PQntuples(res); i++) {
		int32_t place = pg_read_int4(PQgetvalue(res, i, 0));
		if (place < 1 || (size_t)place > s->rows.count)
			continue;
		const struct row *row = &s->rows.rows[place - 1];
		struct message *m = &s->batch->messages[row->message];
		m->store = false;
		if (m->quarantine != NULL)
			continue;
		message_quarantine(
			s->batch, m, REASON_CONFLICT,
			arena_format(
				s->batch->arena,
				"sample epoch=%d seq=%d probe=%d unix_time=%.6f is already stored with other values",
				row->reading->epoch, row->reading->seq, row->reading->probe,
				(double)row->reading->ts / 1e6));
		s->conflicts++;
	}
}

static void quarantined(struct db *db, bool ok, const char *sqlstate, const struct err *e, void *arg)
{
	struct store *s = arg;
	(void)db, (void)sqlstate;
	if (ok)
		next_range(s);
	else
		fail(s, e->detail);
}

static void conflicts_found(struct db *db, bool ok, const char *sqlstate, const struct err *e, void *arg)
{
	struct store *s = arg;
	struct pg_params p;
	(void)sqlstate;
	if (!ok) {
		fail(s, e->detail);
		return;
	}
	if (s->conflicts == 0) {
		next_range(s);
		return;
	}
	metric_add(s->metrics, M_QUARANTINED_CONFLICT, (double)s->conflicts);
	rows_quarantine_params(&p, s->batch, s->current.from, s->current.to, s->arena);
	struct db_params params = pg_params_borrow(&p);
	if (!db_query(db, &stmt_ingest_quarantine, &params, NULL, NULL) || !db_commit(db, quarantined, s))
		fail(s, "connection lost");
}

static void find_conflicts(struct store *s)
{
	struct pg_params p;
	s->conflicts = 0;
	rows_readings_params(&p, &s->rows, s->arena);
	struct db_params params = pg_params_borrow(&p);
	if (!db_query(s->db, &stmt_ingest_find_conflicts, &params, conflict_rows, s) ||
	    !db_commit(s->db, conflicts_found, s))
		fail(s, "connection lost");
}

/* ---- one range, one transaction ---- */

static void readings_stored(struct db *db, const PGresult *res, void *arg)
{
	struct store *s = arg;
	(void)db;
	if (res != NULL && PQresultStatus(res) == PGRES_TUPLES_OK)
		s->inserted = (size_t)pg_read_int4(PQgetvalue(res, 0, 0));
}

static void statuses_stored(struct db *db, const PGresult *res, void *arg)
{
	struct store *s = arg;
	(void)db;
	if (res != NULL && PQresultStatus(res) == PGRES_TUPLES_OK)
		s->news = (size_t)pg_read_int4(PQgetvalue(res, 0, 0));
}

static struct receipt *next_receipt(struct store *s)
{
	if (s->receipt_count == s->receipt_limit) {
		s->receipt_limit = s->receipt_limit ? s->receipt_limit * 2 : 64;
		s->receipts = realloc(s->receipts, s->receipt_limit * sizeof(*s->receipts));
		if (s->receipts == NULL)
			abort();
	}
	return &s->receipts[s->receipt_count++];
}

static void advanced(struct db *db, const PGresult *res, void *arg)
{
	struct store *s = arg;
	(void)db;
	if (res == NULL || PQresultStatus(res) != PGRES_TUPLES_OK)
		return;
	for (int i = 0; i < PQntuples(res); i++) {
		int32_t bounds[RECEIPT_RANGES * 2];
		struct receipt *r = next_receipt(s);
		*r = (struct receipt){.device_id = pg_read_int4(PQgetvalue(res, i, 0)),
				      .epoch = pg_read_int2(PQgetvalue(res, i, 1)),
				      .through = pg_read_int4(PQgetvalue(res, i, 2))};
		int n = pg_array_read_int4((const uint8_t *)PQgetvalue(res, i, 3), (size_t)PQgetlength(res, i, 3),
					   bounds, RECEIPT_RANGES * 2);
		if (n < 0) {
			/* Saying less than is true is safe; saying "nothing is missing" is not. */
			s->receipt_count--;
			log_error(s->name, "receipt of device_id=%d cannot be read", r->device_id);
			continue;
		}
		r->missing_count = n / 2;
		for (int k = 0; k < r->missing_count; k++)
			r->missing[k] = (struct seq_range){bounds[2 * k], bounds[2 * k + 1]};
	}
}

static void note_committed(struct store *s)
{
	size_t messages = s->current.to - s->current.from;
	s->receipts_kept = s->receipt_count;
	metric_add(s->metrics, M_MESSAGES, (double)messages);
	metric_add(s->metrics, M_READINGS, (double)s->inserted);
	metric_add(s->metrics, M_DUPLICATES, (double)(s->rows.count - s->inserted));
	metric_add(s->metrics, M_STATUSES_STORED, (double)s->news);
	metric_add(s->metrics, M_STATUSES_OLDER, (double)(s->statuses - s->news));
	for (size_t i = s->current.from; i < s->current.to; i++) {
		struct message *m = &s->batch->messages[i];
		if (m->quarantine == NULL)
			continue;
		m->kept = true;
		metric_add(s->metrics, metric_of_reason(m->quarantine), 1);
		metric_add(s->metrics, M_STATUSES_REFUSED, m->is_status);
	}
}

static void split_range(struct store *s, const char *why)
{
	size_t from = s->current.from, to = s->current.to;
	metric_add(s->metrics, M_SPLITS, 1);
	if (to - from > 1) {
		size_t middle = from + (to - from) / 2;
		push_range(s, middle, to);
		push_range(s, from, middle);
		next_range(s);
		return;
	}
	struct message *m = &s->batch->messages[from];
	if (!m->store) {
		/* Not even quarantine takes it: stop here, unacknowledged, rather than lose it. */
		log_error(s->name, "a message can neither be stored nor quarantined topic=%s: %s", m->topic, why);
		fail(s, why);
		return;
	}
	m->store = false;
	message_quarantine(s->batch, m, REASON_REFUSED, why);
	push_range(s, from, to);
	next_range(s);
}

static void range_refused(struct store *s, const char *sqlstate, const struct err *e)
{
	bool collision = strncmp(sqlstate, "40", 2) == 0; /* deadlock or serialization failure */
	s->receipt_count = s->receipts_kept;
	if (collision && s->retries++ < RETRIES_MAX) {
		send_range(s);
	} else if (e->code == ERR_DB_LOST || db_retryable(sqlstate)) {
		fail(s, e->detail);
	} else if (strcmp(sqlstate, "23514") == 0 && !s->partitions_retried) {
		/* Perhaps a partition that was there is gone: forget what was known, and make what is needed. */
		s->partitions_retried = true;
		s->partition_count = 0;
		send_range(s);
	} else {
		log_warn(s->name, "refused messages=%zu sqlstate=%s: %s", s->current.to - s->current.from, sqlstate,
			 e->detail);
		split_range(s, e->detail);
	}
}

static void range_committed(struct db *db, bool ok, const char *sqlstate, const struct err *e, void *arg)
{
	struct store *s = arg;
	(void)db;
	if (s->batch == NULL)
		return;
	if (!ok) {
		range_refused(s, sqlstate, e);
		return;
	}
	note_committed(s);
	if (s->inserted < s->rows.count)
		find_conflicts(s);
	else
		next_range(s);
}

/* Sends the current range as one segment. */
static void send_range(struct store *s)
{
	struct pg_params p;
	struct db_params params;
	bool ok = true;
	size_t from = s->current.from, to = s->current.to;
	rows_collect(&s->rows, s->batch, from, to, s->arena);
	if (s->rows.count > 0 && make_partitions(s))
		return;
	s->inserted = 0;
	if (s->rows.count > 0) {
		rows_readings_params(&p, &s->rows, s->arena);
		params = pg_params_borrow(&p);
		ok = db_query(s->db, &stmt_ingest_store_readings, &params, readings_stored, s);
	}
	if (ok && rows_advance_params(&p, &s->rows, s->batch, from, to, s->arena) > 0) {
		params = pg_params_borrow(&p);
		ok = db_query(s->db, &stmt_ingest_advance, &params, advanced, s);
	}
	s->news = 0;
	s->statuses = ok ? rows_status_params(&p, s->batch, from, to, s->arena) : 0;
	if (s->statuses > 0) {
		params = pg_params_borrow(&p);
		ok = db_query(s->db, &stmt_ingest_store_status, &params, statuses_stored, s);
	}
	if (ok && rows_quarantine_params(&p, s->batch, from, to, s->arena) > 0) {
		params = pg_params_borrow(&p);
		ok = db_query(s->db, &stmt_ingest_quarantine, &params, NULL, NULL);
	}
	if (!ok || !db_commit(s->db, range_committed, s))
		fail(s, "connection lost");
}

static void next_range(struct store *s)
{
	if (s->range_count == 0) {
		finish(s, true);
		return;
	}
	s->current = s->ranges[--s->range_count];
	s->retries = 0;
	s->partitions_retried = false;
	send_range(s);
}

/* ---- the interface ---- */

static void on_kick(evutil_socket_t fd, short what, void *arg)
{
	struct store *s = arg;
	(void)fd, (void)what;
	if (s->batch == NULL)
		return;
	if (!db_up(s->db)) {
		fail(s, "no connection");
		return;
	}
	push_range(s, 0, s->batch->count);
	next_range(s);
}

void store_batch(struct store *s, struct batch *batch, store_done_cb *done)
{
	if (s->batch != NULL)
		abort();
	s->batch = batch;
	s->done = done;
	s->range_count = 0;
	s->receipt_count = s->receipts_kept = 0;
	event_active(s->kick, EV_TIMEOUT, 0);
}

static void partitions_loaded(struct db *db, bool ok, const char *sqlstate, const struct err *e, void *arg)
{
	struct store *s = arg;
	(void)sqlstate;
	if (ok)
		s->cb(STORE_UP, s->arg);
	else
		db_drop(db, e->detail);
}

static void on_db(struct db *db, enum db_event event, const char *text, void *arg)
{
	struct store *s = arg;
	(void)db;
	switch (event) {
	case DB_UP:
		query_partitions(s, partitions_loaded);
		break;
	case DB_LOST:
		fail(s, text);
		s->cb(STORE_LOST, s->arg);
		break;
	case DB_NOTIFY:
		break;
	}
}

struct store *store_new(struct event_base *base, const char *name, const char *conninfo, struct metrics *metrics,
			store_event_cb *cb, void *arg)
{
	struct store *s = calloc(1, sizeof(*s));
	if (s == NULL)
		abort();
	s->name = name;
	s->metrics = metrics;
	s->cb = cb;
	s->arg = arg;
	s->arena = arena_new(ARENA_KEEP);
	s->kick = evtimer_new(base, on_kick, s);
	if (s->kick == NULL)
		abort();
	struct db_options options = {
		.name = name,
		.conninfo = conninfo,
		.statements = statements,
		.statement_count = sizeof(statements) / sizeof(statements[0]),
		.reply_timeout = 60,
		.connect_timeout = 10,
	};
	s->db = db_new(base, &options, on_db, s);
	return s;
}

void store_free(struct store **sp)
{
	struct store *s = *sp;
	if (s == NULL)
		return;
	db_free(&s->db);
	event_free(s->kick);
	arena_free(&s->arena);
	free(s->receipts);
	free(s);
	*sp = NULL;
}

void store_start(struct store *s)
{
	db_start(s->db);
}
