/* SPDX-License-Identifier: Apache-2.0
 *
 * A batch is a stack of ranges of messages, at first one. Each range is one segment, that is, one transaction:
 * committed, or refused and split in halves. After a commit that stored fewer readings than were sent, a second segment
 * looks for those whose key was taken by other values. The next batch is sent while PostgreSQL has the one before: on
 * one connection they commit in the order in which they were sent. */
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
#define TAKEN_SEGMENTS 64 /* a moment that was taken costs the rows before it: at most one segment's in so many */
#define ARENA_KEEP     ((size_t)8 * 1024 * 1024)

struct range {
	size_t from, to;
};

struct span {
	int64_t from, to; /* microseconds since 1970, half-open */
};

/* A batch in work. */
struct job {
	struct store *store;
	struct job *next; /* of those in work, in the order of store_batch(); or of the spare ones */
	bool started;
	bool preparing; /* makes partitions first; those behind it are not started */
	struct batch *batch;
	store_done_cb *done;
	void *arg;
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

struct store {
	struct db *db;
	const char *name;
	struct metrics *metrics;
	store_event_cb *cb;
	void *arg;
	struct event *kick; /* starts batches from the loop */
	struct job *jobs, *spare;
	unsigned taken; /* segments still to be sent whose readings are expected to be there in part */

	struct span partitions[PARTITIONS_MAX]; /* ascending */
	size_t partition_count;
};

static const struct statement *const statements[] = {
	&stmt_ingest_store_readings, &stmt_ingest_advance,    &stmt_ingest_find_conflicts,
	&stmt_ingest_quarantine,     &stmt_ingest_partitions, &stmt_ingest_ensure_partitions,
	&stmt_ingest_store_status,
};

static void next_range(struct job *j);
static void send_range(struct job *j);

/* ---- the end of a batch ---- */

static void unlink_job(struct job **first, const struct job *j)
{
	while (*first != j)
		first = &(*first)->next;
	*first = j->next;
}

static void finish(struct job *j, bool ok)
{
	struct store *s = j->store;
	unlink_job(&s->jobs, j);
	j->done(ok, j->receipts, ok ? j->receipts_kept : 0, j->arg);
	arena_reset(j->arena);
	j->next = s->spare;
	s->spare = j;
}

static void fail(struct job *j, const char *why)
{
	log_warn(j->store->name, "batch not stored, its messages will come again: %s", why);
	finish(j, false);
}

static void push_range(struct job *j, size_t from, size_t to)
{
	if (j->range_count == RANGES_MAX)
		abort();
	j->ranges[j->range_count++] = (struct range){from, to};
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

/* From the newest on, where most readings belong. */
static bool covered(const struct store *s, int64_t ts)
{
	for (size_t i = s->partition_count; i-- > 0;) {
		if (ts >= s->partitions[i].from && ts < s->partitions[i].to)
			return true;
	}
	return false;
}

static bool query_partitions(struct store *s, db_commit_cb *done, void *arg)
{
	static const struct db_params binary = {.binary_result = true};
	return db_query(s->db, &stmt_ingest_partitions, &binary, partition_rows, s) && db_commit(s->db, done, arg);
}

static void partitions_made(struct db *db, bool ok, const char *sqlstate, const struct err *e, void *arg)
{
	struct job *j = arg;
	(void)db, (void)sqlstate;
	j->preparing = false;
	event_active(j->store->kick, EV_TIMEOUT, 0);
	if (ok)
		send_range(j);
	else
		fail(j, e->detail);
}

/* Asks for the partitions that the rows of the current range need and that are not known. False: none are missing. */
static bool make_partitions(struct job *j)
{
	size_t missing = 0;
	int64_t asked_day = INT64_MIN;
	struct pg_array times = pg_array_new(j->arena, PG_TIMESTAMPTZ, j->rows.count, j->rows.count * 8);
	for (size_t i = 0; i < j->rows.count; i++) {
		int64_t ts = j->rows.rows[i].reading->ts, day = ts / INT64_C(86400000000);
		if (day == asked_day || covered(j->store, ts))
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
	j->preparing = db_query(j->store->db, &stmt_ingest_ensure_partitions, &params, NULL, NULL) &&
		       query_partitions(j->store, partitions_made, j);
	if (!j->preparing)
		fail(j, "connection lost");
	return true;
}

/* ---- conflicts ---- */

static void conflict_rows(struct db *db, const PGresult *res, void *arg)
{
	struct job *j = arg;
	(void)db;
	if (res == NULL || PQresultStatus(res) != PGRES_TUPLES_OK)
		return;
	for (int i = 0; i < PQntuples(res); i++) {
		int32_t place = pg_read_int4(PQgetvalue(res, i, 0));
		if (place < 1 || (size_t)place > j->rows.count)
			continue;
		const struct row *row = &j->rows.rows[place - 1];
		struct message *m = &j->batch->messages[row->message];
		m->store = false;
		if (m->quarantine != NULL)
			continue;
		message_quarantine(
			j->batch, m, REASON_CONFLICT,
			arena_format(
				j->batch->arena,
				"sample epoch=%d seq=%d probe=%d unix_time=%.6f is already stored with other values",
				row->reading->epoch, row->reading->seq, row->reading->probe,
				(double)row->reading->ts / 1e6));
		j->conflicts++;
	}
}

static void quarantined(struct db *db, bool ok, const char *sqlstate, const struct err *e, void *arg)
{
	struct job *j = arg;
	(void)db, (void)sqlstate;
	if (ok)
		next_range(j);
	else
		fail(j, e->detail);
}

static void conflicts_found(struct db *db, bool ok, const char *sqlstate, const struct err *e, void *arg)
{
	struct job *j = arg;
	struct pg_params p;
	(void)sqlstate;
	if (!ok) {
		fail(j, e->detail);
		return;
	}
	if (j->conflicts == 0) {
		next_range(j);
		return;
	}
	metric_add(j->store->metrics, M_QUARANTINED_CONFLICT, (double)j->conflicts);
	rows_quarantine_params(&p, j->batch, j->current.from, j->current.to, j->arena);
	struct db_params params = pg_params_borrow(&p);
	if (!db_query(db, &stmt_ingest_quarantine, &params, NULL, NULL) || !db_commit(db, quarantined, j))
		fail(j, "connection lost");
}

static void find_conflicts(struct job *j)
{
	struct pg_params p;
	j->conflicts = 0;
	rows_readings_params(&p, &j->rows, j->arena);
	struct db_params params = pg_params_borrow(&p);
	if (!db_query(j->store->db, &stmt_ingest_find_conflicts, &params, conflict_rows, j) ||
	    !db_commit(j->store->db, conflicts_found, j))
		fail(j, "connection lost");
}

/* ---- one range, one transaction ---- */

static void readings_stored(struct db *db, const PGresult *res, void *arg)
{
	struct job *j = arg;
	(void)db;
	if (res == NULL || PQresultStatus(res) != PGRES_TUPLES_OK)
		return;
	j->inserted = (size_t)pg_read_int4(PQgetvalue(res, 0, 0));
	if (*PQgetvalue(res, 0, 1))
		j->store->taken = TAKEN_SEGMENTS;
}

static void statuses_stored(struct db *db, const PGresult *res, void *arg)
{
	struct job *j = arg;
	(void)db;
	if (res != NULL && PQresultStatus(res) == PGRES_TUPLES_OK)
		j->news = (size_t)pg_read_int4(PQgetvalue(res, 0, 0));
}

static struct receipt *next_receipt(struct job *j)
{
	if (j->receipt_count == j->receipt_limit) {
		j->receipt_limit = j->receipt_limit ? j->receipt_limit * 2 : 64;
		j->receipts = realloc(j->receipts, j->receipt_limit * sizeof(*j->receipts));
		if (j->receipts == NULL)
			abort();
	}
	return &j->receipts[j->receipt_count++];
}

static void advanced(struct db *db, const PGresult *res, void *arg)
{
	struct job *j = arg;
	(void)db;
	if (res == NULL || PQresultStatus(res) != PGRES_TUPLES_OK)
		return;
	for (int i = 0; i < PQntuples(res); i++) {
		int32_t bounds[RECEIPT_RANGES * 2];
		struct receipt *r = next_receipt(j);
		*r = (struct receipt){.device_id = pg_read_int4(PQgetvalue(res, i, 0)),
				      .epoch = pg_read_int2(PQgetvalue(res, i, 1)),
				      .through = pg_read_int4(PQgetvalue(res, i, 2))};
		int n = pg_array_read_int4((const uint8_t *)PQgetvalue(res, i, 3), (size_t)PQgetlength(res, i, 3),
					   bounds, RECEIPT_RANGES * 2);
		if (n < 0) {
			/* Saying less than is true is safe; saying "nothing is missing" is not. */
			j->receipt_count--;
			log_error(j->store->name, "receipt of device_id=%d cannot be read", r->device_id);
			continue;
		}
		r->missing_count = n / 2;
		for (int k = 0; k < r->missing_count; k++)
			r->missing[k] = (struct seq_range){bounds[2 * k], bounds[2 * k + 1]};
	}
}

static void note_committed(struct job *j)
{
	size_t messages = j->current.to - j->current.from;
	j->receipts_kept = j->receipt_count;
	metric_add(j->store->metrics, M_MESSAGES, (double)messages);
	metric_add(j->store->metrics, M_READINGS, (double)j->inserted);
	metric_add(j->store->metrics, M_DUPLICATES, (double)(j->rows.count - j->inserted));
	metric_add(j->store->metrics, M_STATUSES_STORED, (double)j->news);
	metric_add(j->store->metrics, M_STATUSES_OLDER, (double)(j->statuses - j->news));
	for (size_t i = j->current.from; i < j->current.to; i++) {
		struct message *m = &j->batch->messages[i];
		if (m->quarantine == NULL)
			continue;
		m->kept = true;
		metric_add(j->store->metrics, metric_of_reason(m->quarantine), 1);
		metric_add(j->store->metrics, M_STATUSES_REFUSED, m->is_status);
	}
}

static void split_range(struct job *j, const char *why)
{
	size_t from = j->current.from, to = j->current.to;
	metric_add(j->store->metrics, M_SPLITS, 1);
	if (to - from > 1) {
		size_t middle = from + (to - from) / 2;
		push_range(j, middle, to);
		push_range(j, from, middle);
		next_range(j);
		return;
	}
	struct message *m = &j->batch->messages[from];
	if (!m->store) {
		/* Not even quarantine takes it: stop here, unacknowledged, rather than lose it. */
		log_error(j->store->name, "a message can neither be stored nor quarantined topic=%s: %s", m->topic,
			  why);
		fail(j, why);
		return;
	}
	m->store = false;
	message_quarantine(j->batch, m, REASON_REFUSED, why);
	push_range(j, from, to);
	next_range(j);
}

static void range_refused(struct job *j, const char *sqlstate, const struct err *e)
{
	bool collision = strncmp(sqlstate, "40", 2) == 0; /* deadlock or serialization failure */
	j->receipt_count = j->receipts_kept;
	if (collision && j->retries++ < RETRIES_MAX) {
		send_range(j);
	} else if (e->code == ERR_DB_LOST || db_retryable(sqlstate)) {
		fail(j, e->detail);
	} else if (strcmp(sqlstate, "23514") == 0 && !j->partitions_retried) {
		/* Perhaps a partition that was there is gone: forget what was known, and make what is needed. */
		j->partitions_retried = true;
		j->store->partition_count = 0;
		send_range(j);
	} else {
		log_warn(j->store->name, "refused messages=%zu sqlstate=%s: %s", j->current.to - j->current.from,
			 sqlstate, e->detail);
		split_range(j, e->detail);
	}
}

static void range_committed(struct db *db, bool ok, const char *sqlstate, const struct err *e, void *arg)
{
	struct job *j = arg;
	(void)db;
	if (!ok) {
		range_refused(j, sqlstate, e);
		return;
	}
	note_committed(j);
	if (j->inserted < j->rows.count)
		find_conflicts(j);
	else
		next_range(j);
}

/* False: the connection is lost. */
static bool send_readings(struct job *j)
{
	struct store *s = j->store;
	struct pg_params p;
	rows_readings_params(&p, &j->rows, j->arena);
	pg_params_text(&p, s->taken > 0 ? "f" : "t");
	if (s->taken > 0)
		s->taken--;
	struct db_params params = pg_params_borrow(&p);
	return db_query(s->db, &stmt_ingest_store_readings, &params, readings_stored, j);
}

/* Sends the current range as one segment. */
static void send_range(struct job *j)
{
	struct pg_params p;
	struct db_params params;
	bool ok = true;
	size_t from = j->current.from, to = j->current.to;
	rows_collect(&j->rows, j->batch, from, to, j->arena);
	if (j->rows.count > 0 && make_partitions(j))
		return;
	j->inserted = 0;
	if (j->rows.count > 0)
		ok = send_readings(j);
	if (ok && rows_advance_params(&p, &j->rows, j->batch, from, to, j->arena) > 0) {
		params = pg_params_borrow(&p);
		ok = db_query(j->store->db, &stmt_ingest_advance, &params, advanced, j);
	}
	j->news = 0;
	j->statuses = ok ? rows_status_params(&p, j->batch, from, to, j->arena) : 0;
	if (j->statuses > 0) {
		params = pg_params_borrow(&p);
		ok = db_query(j->store->db, &stmt_ingest_store_status, &params, statuses_stored, j);
	}
	if (ok && rows_quarantine_params(&p, j->batch, from, to, j->arena) > 0) {
		params = pg_params_borrow(&p);
		ok = db_query(j->store->db, &stmt_ingest_quarantine, &params, NULL, NULL);
	}
	if (!ok || !db_commit(j->store->db, range_committed, j))
		fail(j, "connection lost");
}

static void next_range(struct job *j)
{
	if (j->range_count == 0) {
		finish(j, true);
		return;
	}
	j->current = j->ranges[--j->range_count];
	j->retries = 0;
	j->partitions_retried = false;
	send_range(j);
}

/* ---- the interface ---- */

static void start(struct job *j)
{
	j->started = true;
	if (db_up(j->store->db)) {
		push_range(j, 0, j->batch->count);
		next_range(j);
	} else {
		fail(j, "no connection");
	}
}

/* Starting one may end it, and then its owner may hand in another one. */
static void on_kick(evutil_socket_t fd, short what, void *arg)
{
	struct store *s = arg;
	struct job *j = s->jobs;
	(void)fd, (void)what;
	while (j != NULL && !j->preparing) {
		if (j->started) {
			j = j->next;
		} else {
			start(j);
			j = s->jobs;
		}
	}
}

static struct job *spare_job(struct store *s)
{
	struct job *j = s->spare;
	if (j != NULL) {
		s->spare = j->next;
		return j;
	}
	j = calloc(1, sizeof(*j));
	if (j == NULL)
		abort();
	j->store = s;
	j->arena = arena_new(ARENA_KEEP);
	return j;
}

void store_batch(struct store *s, struct batch *batch, store_done_cb *done, void *arg)
{
	struct job *j = spare_job(s), **last = &s->jobs;
	while (*last != NULL)
		last = &(*last)->next;
	*last = j;
	j->next = NULL;
	j->started = false;
	j->batch = batch;
	j->done = done;
	j->arg = arg;
	j->range_count = 0;
	j->receipt_count = j->receipts_kept = 0;
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
	(void)db, (void)text;
	switch (event) {
	case DB_UP:
		query_partitions(s, partitions_loaded, s);
		break;
	case DB_LOST:
		/* Those that were sent have failed by now; the others do when they are started. */
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

static void free_jobs(struct job *j)
{
	while (j != NULL) {
		struct job *next = j->next;
		arena_free(&j->arena);
		free(j->receipts);
		free(j);
		j = next;
	}
}

void store_free(struct store **sp)
{
	struct store *s = *sp;
	if (s == NULL)
		return;
	db_free(&s->db);
	event_free(s->kick);
	free_jobs(s->jobs);
	free_jobs(s->spare);
	free(s);
	*sp = NULL;
}

void store_start(struct store *s)
{
	db_start(s->db);
}
