/* SPDX-License-Identifier: Apache-2.0
 *
 * What is wrong is a problem like any other; otherwise the answer begins with the pause that clients are to make
 * between connections, and an event `reset` when there is a gap between the last event they had and the next. */
#include "api/live.h"

#include <stdlib.h>
#include <string.h>

#include "api/call.h"
#include "api/problem.h"
#include "schema/queries.h"

#define RETRY_SECONDS 2.0
#define MEDIA         "text/event-stream"
#define ID_MOST       64

enum { P_DEVICE, P_GROUP, P_TYPE, P_LAST_ID, PARAMS };

struct opening {
	struct feed *feed;
	struct reader *reader;
	struct err err;
	char *scope, *reset;
	struct sse_place place;
	int owed; /* of a segment that could not be sent whole: callbacks that come as the connection breaks */
};

static const char try_again[] = "the database cannot answer now, try again";

static char *copy(const char *text)
{
	char *c = text != NULL ? strdup(text) : NULL;
	if (text != NULL && c == NULL)
		abort();
	return c;
}

static void on_gone(struct http_request *r, void *arg)
{
	struct reader *reader = arg;
	(void)r;
	feed_leave(reader->feed, reader);
}

static void begin(struct opening *o)
{
	struct http_request *r = o->reader->request;
	struct evbuffer *text = evbuffer_new();
	if (text == NULL)
		abort();
	http_add_field(r, "X-Accel-Buffering", "no"); /* nginx would collect events until a buffer is full */
	http_live_begin(r, MEDIA, on_gone, o->reader);
	sse_retry(text, RETRY_SECONDS);
	if (o->reset != NULL)
		sse_event(text, &o->place, "reset", o->reset);
	if (strcmp(http_method(r), "HEAD") != 0)
		http_live_write(r, text, SIZE_MAX);
	evbuffer_free(text);
}

static void finish(struct opening *o)
{
	struct http_request *r = o->reader->request;
	bool head = strcmp(http_method(r), "HEAD") == 0, admitted = o->err.code == ERR_NONE;
	if (admitted)
		begin(o);
	else
		http_problem_err(r, &o->err);
	if (admitted && !head && !http_gone(r)) {
		feed_join(o->feed, o->reader, o->scope, &o->place);
	} else {
		if (admitted)
			http_stream_end(r, true);
		feed_turned_away(o->feed);
		reader_free(&o->reader);
	}
	free(o->scope);
	free(o->reset);
	free(o);
}

static void on_begun(struct db *db, const PGresult *res, void *arg)
{
	struct opening *o = arg;
	(void)db;
	if (o->owed > 0 && --o->owed == 0)
		finish(o);
	else if (o->owed == 0 && res != NULL && PQresultStatus(res) == PGRES_FATAL_ERROR && o->err.code == ERR_NONE)
		call_refused(o->reader->request, res, &o->err);
}

static void on_place(struct db *db, const PGresult *res, void *arg)
{
	struct opening *o = arg;
	if (o->owed > 0 || res == NULL || PQresultStatus(res) != PGRES_TUPLES_OK || PQntuples(res) != 1) {
		on_begun(db, res, arg);
		return;
	}
	o->scope = copy(PQgetvalue(res, 0, 0));
	o->place = (struct sse_place){.xid = strtoull(PQgetvalue(res, 0, 1), NULL, 10),
				      .id = strtoll(PQgetvalue(res, 0, 2), NULL, 10),
				      .since = strtoull(PQgetvalue(res, 0, 3), NULL, 10)};
	o->reset = PQgetisnull(res, 0, 4) ? NULL : copy(PQgetvalue(res, 0, 4));
}

static void on_commit(struct db *db, bool ok, const char *sqlstate, const struct err *e, void *arg)
{
	struct opening *o = arg;
	(void)db, (void)e; /* the connection has logged it */
	if (!ok && o->err.code == ERR_NONE)
		err_set(&o->err, call_code(sqlstate), "%s", try_again);
	if (ok && o->scope == NULL)
		err_set(&o->err, ERR_INTERNAL, "the statement gave no place");
	finish(o);
}

static bool check(struct feed *f, const struct http_request *r, unsigned char sha256[32], struct err *e)
{
	const char *last = http_field(r, HTTP_LAST_EVENT_ID);
	if (!call_token(http_field(r, HTTP_AUTHORIZATION), sha256, e))
		return false;
	if (evbuffer_get_length(http_body(r)) > 0)
		return err_set(e, ERR_REQUEST, "%s takes no body here", http_method(r));
	if (last != NULL && strlen(last) > ID_MOST)
		return err_set(e, ERR_REQUEST, "Last-Event-ID: expected the id of an event of this stream");
	return feed_admit(f, e);
}

static void ask(struct opening *o, struct db *db, const char *role, const char *const values[PARAMS])
{
	const struct db_params params = {.count = PARAMS, .values = values};
	struct reader *r = o->reader;
	int sent = db != NULL && call_begin(db, r->token_sha256, role, http_id(r->request), on_begun, o);
	sent += sent == 1 && db_query(db, &stmt_api_stream, &params, on_place, o);
	if (sent == 2 && db_commit(db, on_commit, o))
		return;
	err_set(&o->err, ERR_DB_LOST, "%s", try_again);
	if (sent == 0) {
		finish(o);
		return;
	}
	o->owed = sent;
	db_drop(db, "a request could not be sent whole");
}

void live_run(struct feed *f, struct db *db, struct http_request *r, const struct route_match *m)
{
	unsigned char sha256[32];
	struct err e = {0};
	const char *last = http_field(r, HTTP_LAST_EVENT_ID);
	if (!check(f, r, sha256, &e)) {
		http_problem_err(r, &e);
		return;
	}
	struct opening *o = calloc(1, sizeof(*o));
	if (o == NULL)
		abort();
	o->feed = f;
	o->reader = reader_new(r, sha256);
	o->reader->feed = f;
	o->reader->serial = copy(m->value[P_DEVICE]);
	o->reader->team = copy(m->value[P_GROUP]);
	o->reader->types = copy(m->value[P_TYPE]);
	const char *const values[PARAMS] = {m->value[P_DEVICE], m->value[P_GROUP], m->value[P_TYPE],
					    last != NULL && last[0] != '\0' ? last : NULL};
	ask(o, db, m->route->role, values);
}
