/* SPDX-License-Identifier: Apache-2.0
 *
 * One PostgreSQL connection driven by libevent. DOWN waits for the back-off, CONNECTING polls libpq, PREPARING runs the
 * setup and prepares the statements, UP serves. In UP libpq is in pipeline mode and the FIFO mirrors what was sent:
 * a result belongs to its head, the NULL after a query's results pops it, a sync result ends a segment. */
#include "core/db.h"

#include <stdlib.h>
#include <string.h>

#include "core/backoff.h"
#include "core/clock.h"
#include "core/log.h"

#define DB_FIFO_LIMIT 8192 /* statements and segment ends in flight; more is a caller without back-pressure */

enum db_state { DB_DOWN, DB_CONNECTING, DB_PREPARING, DB_STATE_UP };

struct sent {
	bool is_sync;
	bool answered; /* its result came, the terminating NULL has not; of a sync: the error that the commit met */
	db_result_cb *result_cb;
	db_commit_cb *commit_cb;
	void *arg;
};

struct db {
	struct event_base *base;
	struct db_options options;
	char *name, *conninfo, *setup;
	db_event_cb *cb;
	void *arg;

	enum db_state state;
	PGconn *conn;
	struct event *poll_event;  /* while CONNECTING: one shot on what libpq waits for */
	struct event *read_event;  /* while PREPARING and UP */
	struct event *write_event; /* while output is pending */
	struct event *timer;       /* reconnect, connect or reply deadline, by state */
	struct backoff backoff;

	struct sent *fifo; /* ring */
	size_t fifo_size, fifo_head, fifo_count;
	size_t queries_in_flight;
	struct err segment_err; /* the first failure in the segment now being answered */
	char segment_sqlstate[6];

	char drop_reason[200]; /* "" none wanted; carried out by the timer, never inside a caller's call */
};

static void connect_start(struct db *db);
static void process_results(struct db *db);

static void *check_memory(void *p)
{
	if (p == NULL)
		abort();
	return p;
}

/* ---- FIFO ---- */

static struct sent *fifo_push(struct db *db)
{
	if (db->fifo_count == db->fifo_size) {
		size_t size = db->fifo_size ? db->fifo_size * 2 : 64;
		struct sent *grown = check_memory(calloc(size, sizeof(*grown)));
		for (size_t i = 0; i < db->fifo_count; i++)
			grown[i] = db->fifo[(db->fifo_head + i) % db->fifo_size];
		free(db->fifo);
		db->fifo = grown;
		db->fifo_size = size;
		db->fifo_head = 0;
	}
	struct sent *s = &db->fifo[(db->fifo_head + db->fifo_count++) % db->fifo_size];
	*s = (struct sent){0};
	return s;
}

static struct sent *fifo_front(struct db *db)
{
	return db->fifo_count > 0 ? &db->fifo[db->fifo_head] : NULL;
}

static struct sent fifo_pop(struct db *db)
{
	struct sent s = db->fifo[db->fifo_head];
	db->fifo_head = (db->fifo_head + 1) % db->fifo_size;
	db->fifo_count--;
	if (!s.is_sync)
		db->queries_in_flight--;
	return s;
}

/* ---- timers and loss ---- */

static void timer_set(struct db *db, double seconds)
{
	struct timeval tv = clock_timeval(seconds);
	event_add(db->timer, &tv);
}

static void event_drop(struct event **ev)
{
	if (*ev != NULL)
		event_free(*ev);
	*ev = NULL;
}

/* libpq closes the socket itself when it finds the server gone, and the next descriptor that anybody opens has the same
 * number: by then libevent must have forgotten it, or that descriptor would stay deaf. */
static void stop_listening(struct db *db)
{
	struct event *const events[] = {db->poll_event, db->read_event, db->write_event};
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		if (events[i] != NULL)
			event_del(events[i]);
	}
}

static void close_connection(struct db *db)
{
	event_drop(&db->poll_event);
	event_drop(&db->read_event);
	event_drop(&db->write_event);
	event_del(db->timer);
	if (db->conn != NULL)
		PQfinish(db->conn);
	db->conn = NULL;
}

static void fail_in_flight(struct db *db, const char *why)
{
	struct err lost = {0};
	err_set(&lost, ERR_DB_LOST, "%s", why);
	while (db->fifo_count > 0) {
		struct sent s = fifo_pop(db);
		if (s.is_sync && s.commit_cb != NULL)
			s.commit_cb(db, false, "", &lost, s.arg);
		else if (!s.is_sync && s.result_cb != NULL && !s.answered)
			s.result_cb(db, NULL, s.arg);
	}
	db->segment_err.code = ERR_NONE;
}

/* libpq's messages span lines; a log line and an error detail do not. */
static void one_line(char *out, size_t size, const char *message)
{
	size_t n = 0;
	for (const char *p = message; *p != '\0' && n + 1 < size; p++) {
		char c = *p == '\n' || *p == '\t' || *p == '\r' ? ' ' : *p;
		if (c == ' ' && (n == 0 || out[n - 1] == ' '))
			continue;
		out[n++] = c;
	}
	while (n > 0 && out[n - 1] == ' ')
		n--;
	out[n] = '\0';
}

static void lost(struct db *db, const char *message)
{
	char why[200];
	bool was_up = db->state == DB_STATE_UP;
	one_line(why, sizeof(why), message);
	close_connection(db);
	db->state = DB_DOWN;
	struct timeval wait = backoff_fail(&db->backoff);
	log_warn(db->name, "lost why=\"%s\" retry_in=%.1fs", why, (double)wait.tv_sec + (double)wait.tv_usec / 1e6);
	db->drop_reason[0] = '\0';
	event_add(db->timer, &wait);
	fail_in_flight(db, why);
	if (was_up)
		db->cb(db, DB_LOST, why, db->arg);
}

void db_drop(struct db *db, const char *why)
{
	if (db->conn == NULL || db->drop_reason[0] != '\0')
		return;
	one_line(db->drop_reason, sizeof(db->drop_reason), why);
	if (db->drop_reason[0] == '\0')
		snprintf(db->drop_reason, sizeof(db->drop_reason), "dropped");
	stop_listening(db);
	event_active(db->timer, EV_TIMEOUT, 0);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct db *db = arg;
	(void)fd, (void)what;
	if (db->drop_reason[0] != '\0') {
		char why[sizeof(db->drop_reason)];
		memcpy(why, db->drop_reason, sizeof(why));
		lost(db, why);
		return;
	}
	switch (db->state) {
	case DB_DOWN:
		connect_start(db);
		break;
	case DB_CONNECTING:
	case DB_PREPARING:
		lost(db, "connecting took longer than connect_timeout");
		break;
	case DB_STATE_UP:
		lost(db, "no reply within reply_timeout");
		break;
	}
}

/* ---- reading and writing ---- */

static void flush_output(struct db *db)
{
	int rc = PQflush(db->conn);
	if (rc < 0)
		db_drop(db, PQerrorMessage(db->conn));
	else if (rc > 0)
		event_add(db->write_event, NULL);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	flush_output(arg);
}

static void deliver_notifications(struct db *db)
{
	PGnotify *n;
	while ((n = PQnotifies(db->conn)) != NULL) {
		if (db_up(db))
			db->cb(db, DB_NOTIFY, n->relname, db->arg);
		PQfreemem(n);
	}
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct db *db = arg;
	(void)fd, (void)what;
	if (!PQconsumeInput(db->conn)) {
		/* A server that goes down says why first: let the results in the buffer be seen. */
		stop_listening(db);
		process_results(db);
		lost(db, db->drop_reason[0] != '\0' ? db->drop_reason : PQerrorMessage(db->conn));
		return;
	}
	process_results(db);
	deliver_notifications(db);
}

static void rearm_reply_timer(struct db *db)
{
	if (db->state != DB_STATE_UP)
		return;
	if (db->fifo_count > 0)
		timer_set(db, db->options.reply_timeout);
	else
		event_del(db->timer);
}

static void note_failure(struct db *db, const PGresult *res)
{
	if (db->segment_err.code != ERR_NONE)
		return;
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	snprintf(db->segment_sqlstate, sizeof(db->segment_sqlstate), "%s", state ? state : "");
	char line[200];
	one_line(line, sizeof(line), PQresultErrorMessage(res));
	err_set(&db->segment_err, ERR_DB_REFUSED, "%s", line);
}

static void segment_done(struct db *db)
{
	struct sent s = fifo_pop(db);
	struct err e = db->segment_err;
	char sqlstate[6];
	memcpy(sqlstate, db->segment_sqlstate, sizeof(sqlstate));
	db->segment_err.code = ERR_NONE;
	db->segment_sqlstate[0] = '\0';
	rearm_reply_timer(db);
	if (s.commit_cb != NULL)
		s.commit_cb(db, e.code == ERR_NONE, sqlstate, &e, s.arg);
}

static void one_result(struct db *db, const PGresult *res)
{
	struct sent *head = fifo_front(db);
	ExecStatusType status = PQresultStatus(res);
	if (status == PGRES_PIPELINE_SYNC && head != NULL && head->is_sync) {
		segment_done(db);
		return;
	}
	const char *severity = PQresultErrorField(res, PG_DIAG_SEVERITY_NONLOCALIZED);
	if (head == NULL || (head->is_sync && (severity == NULL || strcmp(severity, "ERROR") != 0))) {
		/* An error that belongs to no statement: the server is about to close the connection. */
		db_drop(db, PQresultErrorMessage(res));
		return;
	}
	/* An ERROR at the sync is the commit's own: a deferred constraint, a serialization failure. */
	if (status == PGRES_FATAL_ERROR)
		note_failure(db, res);
	head->answered = true;
	if (!head->is_sync && head->result_cb != NULL)
		head->result_cb(db, res, head->arg);
}

static void process_results(struct db *db)
{
	while (db->drop_reason[0] == '\0' && !PQisBusy(db->conn)) {
		PGresult *res = PQgetResult(db->conn);
		if (res == NULL) {
			struct sent *head = fifo_front(db);
			if (head == NULL || !head->answered)
				break;
			head->answered = false;
			if (!head->is_sync)
				fifo_pop(db);
			continue;
		}
		one_result(db, res);
		PQclear(res);
	}
}

/* ---- connecting ---- */

static void prepared(struct db *db, bool ok, const char *sqlstate, const struct err *e, void *arg)
{
	(void)sqlstate, (void)arg;
	if (!ok) {
		char why[sizeof(db->drop_reason)];
		snprintf(why, sizeof(why), "schema does not fit: %.170s", e->detail);
		db_drop(db, why);
		return;
	}
	db->state = DB_STATE_UP;
	event_del(db->timer);
	backoff_reset(&db->backoff);
	log_info(db->name, "up server=%d", PQserverVersion(db->conn));
	db->cb(db, DB_UP, NULL, db->arg);
}

static bool send_sync(struct db *db, db_commit_cb *cb, void *arg)
{
	if (PQpipelineSync(db->conn) != 1) {
		db_drop(db, PQerrorMessage(db->conn));
		return false;
	}
	struct sent *s = fifo_push(db);
	s->is_sync = true;
	s->commit_cb = cb;
	s->arg = arg;
	if (db->state == DB_STATE_UP && !event_pending(db->timer, EV_TIMEOUT, NULL))
		timer_set(db, db->options.reply_timeout);
	flush_output(db);
	return true;
}

static void prepare_statements(struct db *db)
{
	if (PQenterPipelineMode(db->conn) != 1) {
		lost(db, "pipeline mode refused");
		return;
	}
	for (size_t i = 0; i < db->options.statement_count; i++) {
		const struct statement *st = db->options.statements[i];
		if (PQsendPrepare(db->conn, st->name, st->sql, 0, NULL) != 1) {
			lost(db, PQerrorMessage(db->conn));
			return;
		}
		fifo_push(db);
		db->queries_in_flight++;
	}
	db->read_event = check_memory(event_new(db->base, PQsocket(db->conn), EV_READ | EV_PERSIST, on_readable, db));
	db->write_event = check_memory(event_new(db->base, PQsocket(db->conn), EV_WRITE, on_writable, db));
	event_add(db->read_event, NULL);
	send_sync(db, prepared, NULL);
}

/* The setup runs before pipeline mode, as one simple query: it may hold several statements. */
static void on_setup_readable(evutil_socket_t fd, short what, void *arg)
{
	struct db *db = arg;
	(void)fd, (void)what;
	if (PQflush(db->conn) < 0 || !PQconsumeInput(db->conn)) {
		lost(db, PQerrorMessage(db->conn));
		return;
	}
	while (!PQisBusy(db->conn)) {
		PGresult *res = PQgetResult(db->conn);
		if (res == NULL) {
			event_drop(&db->poll_event);
			prepare_statements(db);
			return;
		}
		ExecStatusType status = PQresultStatus(res);
		char why[200];
		one_line(why, sizeof(why), PQresultErrorMessage(res));
		PQclear(res);
		if (status == PGRES_FATAL_ERROR) {
			lost(db, why);
			return;
		}
	}
}

static void setup_start(struct db *db)
{
	static const char fixed[] = "SET client_encoding = 'UTF8'; SET timezone = 'UTC'; ";
	const char *extra = db->options.setup != NULL ? db->options.setup : "";
	size_t size = sizeof(fixed) + strlen(extra);
	char *sql = check_memory(malloc(size));
	snprintf(sql, size, "%s%s", fixed, extra);
	db->state = DB_PREPARING;
	PQsetnonblocking(db->conn, 1);
	int sent = PQsendQuery(db->conn, sql);
	free(sql);
	if (sent != 1 || PQflush(db->conn) < 0) {
		lost(db, PQerrorMessage(db->conn));
		return;
	}
	db->poll_event =
		check_memory(event_new(db->base, PQsocket(db->conn), EV_READ | EV_PERSIST, on_setup_readable, db));
	event_add(db->poll_event, NULL);
}

static void connect_step(evutil_socket_t fd, short what, void *arg)
{
	struct db *db = arg;
	(void)fd, (void)what;
	event_drop(&db->poll_event);
	switch (PQconnectPoll(db->conn)) {
	case PGRES_POLLING_OK:
		setup_start(db);
		break;
	case PGRES_POLLING_READING:
		db->poll_event = event_new(db->base, PQsocket(db->conn), EV_READ, connect_step, db);
		event_add(check_memory(db->poll_event), NULL);
		break;
	case PGRES_POLLING_WRITING:
		db->poll_event = event_new(db->base, PQsocket(db->conn), EV_WRITE, connect_step, db);
		event_add(check_memory(db->poll_event), NULL);
		break;
	default:
		lost(db, PQerrorMessage(db->conn));
		break;
	}
}

static void discard_notice(void *arg, const PGresult *res)
{
	const struct db *db = arg;
	char line[200];
	one_line(line, sizeof(line), PQresultErrorMessage(res));
	log_debug(db->name, "notice text=\"%s\"", line);
}

static void connect_start(struct db *db)
{
	/* What stands before dbname can be overridden in the conninfo that dbname carries. */
	const char *const keys[] = {"tcp_user_timeout", "keepalives_idle", "dbname", "fallback_application_name", NULL};
	const char *const values[] = {"15000", "10", db->conninfo, db->name, NULL};
	db->state = DB_CONNECTING;
	db->conn = check_memory(PQconnectStartParams(keys, values, 1));
	if (PQstatus(db->conn) == CONNECTION_BAD) {
		lost(db, PQerrorMessage(db->conn));
		return;
	}
	PQsetNoticeReceiver(db->conn, discard_notice, db);
	timer_set(db, db->options.connect_timeout);
	db->poll_event = event_new(db->base, PQsocket(db->conn), EV_WRITE, connect_step, db);
	event_add(check_memory(db->poll_event), NULL);
}

/* ---- the interface ---- */

struct db *db_new(struct event_base *base, const struct db_options *options, db_event_cb *cb, void *arg)
{
	struct db *db = check_memory(calloc(1, sizeof(*db)));
	db->base = base;
	db->options = *options;
	db->name = check_memory(strdup(options->name));
	db->conninfo = check_memory(strdup(options->conninfo));
	db->setup = options->setup != NULL ? check_memory(strdup(options->setup)) : NULL;
	db->options.name = db->name;
	db->options.setup = db->setup;
	db->options.conninfo = db->conninfo;
	if (db->options.reply_timeout <= 0)
		db->options.reply_timeout = 60;
	if (db->options.connect_timeout <= 0)
		db->options.connect_timeout = 10;
	db->cb = cb;
	db->arg = arg;
	db->backoff = (struct backoff){.first = 0.2, .limit = 10};
	db->timer = check_memory(evtimer_new(base, on_timer, db));
	return db;
}

void db_free(struct db **dbp)
{
	struct db *db = *dbp;
	if (db == NULL)
		return;
	close_connection(db);
	event_free(db->timer);
	free(db->fifo);
	free(db->name);
	free(db->conninfo);
	free(db->setup);
	free(db);
	*dbp = NULL;
}

void db_start(struct db *db)
{
	if (db->state == DB_DOWN && db->conn == NULL && !event_pending(db->timer, EV_TIMEOUT, NULL))
		connect_start(db);
}

bool db_up(const struct db *db)
{
	return db->state == DB_STATE_UP && db->drop_reason[0] == '\0';
}

size_t db_in_flight(const struct db *db)
{
	return db->queries_in_flight;
}

bool db_query(struct db *db, const struct statement *st, const struct db_params *params, db_result_cb *cb, void *arg)
{
	static const struct db_params none;
	if (params == NULL)
		params = &none;
	if (!db_up(db) || db->fifo_count >= DB_FIFO_LIMIT)
		return false;
	if (PQsendQueryPrepared(db->conn, st->name, params->count, params->values, params->lengths, params->formats,
				params->binary_result) != 1) {
		db_drop(db, PQerrorMessage(db->conn));
		return false;
	}
	struct sent *s = fifo_push(db);
	s->result_cb = cb;
	s->arg = arg;
	db->queries_in_flight++;
	return true;
}

bool db_commit(struct db *db, db_commit_cb *cb, void *arg)
{
	return db_up(db) && send_sync(db, cb, arg);
}

bool db_retryable(const char *sqlstate)
{
	static const char *const prefixes[] = {
		"08",    /* connection exception */
		"40001", /* serialization failure */
		"40P01", /* deadlock */
		"53",    /* insufficient resources: disk full, out of memory, too many connections */
		"55P03", /* lock not available */
		"57",    /* operator intervention: shutdown, cancelled, statement timeout */
		"58",    /* system error */
		"25006", /* read-only transaction: a standby after a failover */
		"XX",    /* internal error */
	};
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		if (strncmp(sqlstate, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	}
	return false;
}
