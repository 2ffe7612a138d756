/* SPDX-License-Identifier: Apache-2.0
 *
 * A PostgreSQL connection as libevent events: connects and reconnects by itself (back-off with jitter), prepares the
 * daemon's statements, then runs them in libpq's pipeline mode. What was sent stands in a FIFO; results pop it.
 *
 * Statements are sent in segments: db_query()... then db_commit(). A segment is one implicit transaction: all of its
 * statements take effect, or none. Several segments may be in flight.
 *
 * One connection, one thread. Nobody else sees the file descriptor. */
#ifndef COLDFLEET_CORE_DB_H
#define COLDFLEET_CORE_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <event2/event.h>
#include <libpq-fe.h>

#include "core/err.h"

struct db;

/* A statement that lives in schema/queries/NAME.sql; `struct statement stmt_NAME` is generated from it. */
struct statement {
	const char *name; /* file name, C symbol and prepared name in one */
	const char *sql;
	int params; /* highest $N in the text */
};

struct db_options {
	const char *name;     /* object name in logs: "lane-3-db" */
	const char *conninfo; /* libpq URI or keywords; a host is resolved blocking, so prefer an address or a socket */
	const char *setup;    /* SQL run on each connect before preparing, may be NULL ("SET ...; LISTEN ...") */
	const struct statement *const *statements; /* prepared on connect; array is borrowed */
	size_t statement_count;
	double reply_timeout; /* seconds a segment may wait for its results before the connection is dropped */
	double connect_timeout;
};

enum db_event {
	DB_UP,   /* connected, statements prepared: queries may be sent */
	DB_LOST, /* every query and segment in flight has had its callback; a reconnect is under way; `text` says why */
	DB_NOTIFY, /* LISTENed channel: `text` */
};
typedef void db_event_cb(struct db *db, enum db_event event, const char *text, void *arg);

/* One statement's result: PGRES_TUPLES_OK, PGRES_COMMAND_OK, PGRES_FATAL_ERROR or PGRES_PIPELINE_ABORTED (a statement
 * before it in the segment failed). NULL: the connection broke, whether it ran is not known. `res` is borrowed.
 * Whether it is committed is known only when the segment's callback says so. */
typedef void db_result_cb(struct db *db, const PGresult *res, void *arg);

/* The end of a segment: `ok` means that it is committed. Otherwise `e` says why: ERR_DB_LOST (fate unknown, try again)
 * or ERR_DB_REFUSED with the message of the first statement that failed, its SQLSTATE in `sqlstate` ("" when lost). */
typedef void db_commit_cb(struct db *db, bool ok, const char *sqlstate, const struct err *e, void *arg);

/* Texts in `options` are copied. */
struct db *db_new(struct event_base *base, const struct db_options *options, db_event_cb *cb, void *arg);
/* Callbacks of what is in flight are not called. Not from within its own callback. */
void db_free(struct db **db);

void db_start(struct db *db);
bool db_up(const struct db *db);
size_t db_in_flight(const struct db *db); /* statements sent and not answered */

/* Parameters in binary or text; arrays may live until the call returns. Result in text, or binary when `binary`.
 * Returns false, with nothing sent and no callback to come, when the connection is not up. */
struct db_params {
	int count;
	const char *const *values;
	const int *lengths; /* for binary ones */
	const int *formats; /* 0 text, 1 binary; NULL: all text */
	bool binary_result;
};
bool db_query(struct db *db, const struct statement *st, const struct db_params *params, db_result_cb *cb, void *arg);
bool db_commit(struct db *db, db_commit_cb *cb, void *arg);

/* Breaks the connection (callbacks as on DB_LOST) and reconnects: what was in flight may or may not have run. */
void db_drop(struct db *db, const char *why);

/* True for errors that the same statement may not meet again: serialization, deadlock, shutdown, out of resources. */
bool db_retryable(const char *sqlstate);

#endif
