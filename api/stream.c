/* SPDX-License-Identifier: Apache-2.0
 *
 * Asks for a chunk, hands it to the client, and asks for the next when the client has taken it. What is wrong before
 * the first byte is a problem like any other; later the connection breaks. */
#include "api/stream.h"

#include <stdlib.h>
#include <string.h>

#include "api/call.h"
#include "api/problem.h"
#include "core/log.h"

struct stream {
	struct stream_source *source;
	struct http_request *request;
	const struct route_match *match; /* the stream's own copy */
	const struct route_stream *as;
	unsigned char token_sha256[32];
	struct evbuffer *piece;
	char *key;     /* of the next chunk; NULL: none, or the first has not come */
	bool begun;    /* its head is on its way */
	bool answered; /* the statement gave its row */
	struct err err;
	int owed; /* of a segment that could not be sent whole: callbacks that come as the connection breaks */
};

static const char try_again[] = "the database cannot answer now, try again";

static void ask(struct stream *s);

static void stream_free(struct stream *s)
{
	union {
		const struct route_match *borrowed;
		void *owned;
	} match = {.borrowed = s->match};
	s->source->active--;
	evbuffer_free(s->piece);
	free(match.owned);
	free(s->key);
	free(s);
}

static void stream_end(struct stream *s)
{
	if (s->begun) {
		if (s->err.code != ERR_NONE)
			log_warn("api", "request=%s stream ends early: %s", http_id(s->request), s->err.detail);
		http_stream_end(s->request, s->err.code == ERR_NONE);
	} else {
		http_problem_err(s->request, &s->err);
	}
	stream_free(s);
}

static void on_wanted(struct http_request *r, void *arg)
{
	struct stream *s = arg;
	if (http_gone(r) || s->key == NULL)
		stream_end(s);
	else
		ask(s);
}

static void on_begun(struct db *db, const PGresult *res, void *arg)
{
	struct stream *s = arg;
	(void)db;
	if (s->owed > 0 && --s->owed == 0)
		stream_end(s);
	else if (res != NULL && s->err.code == ERR_NONE && PQresultStatus(res) == PGRES_FATAL_ERROR)
		call_refused(s->request, res, &s->err);
}

static void on_chunk(struct db *db, const PGresult *res, void *arg)
{
	struct stream *s = arg;
	if (res == NULL || s->owed > 0 || s->err.code != ERR_NONE || PQresultStatus(res) != PGRES_TUPLES_OK) {
		on_begun(db, res, arg);
		return;
	}
	int body = PQfnumber(res, "body"), next = PQfnumber(res, "next");
	if (PQntuples(res) != 1 || body < 0 || next < 0)
		return;
	s->answered = true;
	evbuffer_add(s->piece, PQgetvalue(res, 0, body), (size_t)PQgetlength(res, 0, body));
	free(s->key);
	s->key = PQgetisnull(res, 0, next) ? NULL : strdup(PQgetvalue(res, 0, next));
}

static void on_commit(struct db *db, bool ok, const char *sqlstate, const struct err *e, void *arg)
{
	struct stream *s = arg;
	(void)db, (void)e; /* the connection has logged it */
	if (!ok && s->err.code == ERR_NONE)
		err_set(&s->err, call_code(sqlstate), "%s", try_again);
	if (ok && !s->answered)
		err_set(&s->err, ERR_INTERNAL, "the statement gave no chunk");
	if (s->err.code != ERR_NONE) {
		stream_end(s);
		return;
	}
	if (!s->begun)
		http_stream_begin(s->request, 200, s->as->media, on_wanted, s);
	s->begun = true;
	if (http_gone(s->request) || strcmp(http_method(s->request), "HEAD") == 0) {
		stream_end(s);
		return;
	}
	http_stream_write(s->request, s->piece);
	if (s->key == NULL)
		stream_end(s);
}

static int send_chunk(struct stream *s, struct db *db)
{
	const struct route *route = s->match->route;
	struct call_params p = {.db = {.count = (int)route->param_count, .values = p.value}};
	memcpy(p.value, s->match->value, sizeof(p.value[0]) * route->param_count);
	p.value[p.db.count++] = s->key;
	int sent = call_begin(db, s->token_sha256, route->role, http_id(s->request), on_begun, s);
	return sent + (sent == 1 && db_query(db, s->as->statement, &p.db, on_chunk, s));
}

static void ask(struct stream *s)
{
	struct db *db = s->source->pick(s->source->arg);
	s->answered = false;
	int sent = db != NULL ? send_chunk(s, db) : 0;
	if (sent == 2 && db_commit(db, on_commit, s))
		return;
	err_set(&s->err, ERR_DB_LOST, "%s", try_again);
	if (sent == 0) {
		stream_end(s);
		return;
	}
	s->owed = sent;
	db_drop(db, "a request could not be sent whole");
}

/* The match with its values, which point into it. */
static const struct route_match *copy_match(const struct route_match *m)
{
	struct route_match *copy = malloc(sizeof(*copy));
	if (copy == NULL)
		abort();
	*copy = *m;
	for (size_t i = 0; i < m->route->param_count; i++)
		if (m->value[i] == m->text[i])
			copy->value[i] = copy->text[i];
	return copy;
}

void stream_run(struct stream_source *source, struct http_request *r, const struct route_match *m,
		const struct route_stream *as)
{
	struct err e = {0};
	unsigned char sha256[32];
	bool ok = call_token(http_field(r, HTTP_AUTHORIZATION), sha256, &e);
	if (ok && evbuffer_get_length(http_body(r)) > 0)
		ok = err_set(&e, ERR_REQUEST, "%s takes no body here", http_method(r));
	if (ok && source->active >= source->max)
		ok = err_set(&e, ERR_OVERLOADED, "%zu long answers are being sent, try again", source->active);
	if (!ok) {
		http_problem_err(r, &e);
		return;
	}
	struct stream *s = calloc(1, sizeof(*s));
	if (s == NULL || (s->piece = evbuffer_new()) == NULL)
		abort();
	s->source = source;
	s->request = r;
	s->match = copy_match(m);
	s->as = as;
	memcpy(s->token_sha256, sha256, sizeof(sha256));
	source->active++;
	ask(s);
}

/* ---- which form ---- */

static const char *format_of(const struct route_match *m)
{
	for (size_t i = 0; i < m->route->param_count; i++)
		if (strcmp(m->route->params[i].name, "format") == 0)
			return m->value[i];
	return NULL;
}

const struct route_stream *stream_wanted_by(const struct http_request *r, const struct route_match *m)
{
	const char *format = format_of(m), *accept = http_field(r, HTTP_ACCEPT);
	for (size_t i = 0; i < m->route->stream_count; i++) {
		const struct route_stream *as = &m->route->streams[i];
		size_t media = strcspn(as->media, ";");
		if (as->format == NULL || (format != NULL && strcmp(format, as->format) == 0))
			return as;
		if (format == NULL && accept != NULL && strncmp(accept, as->media, media) == 0 &&
		    strchr(",; ", accept[media]) != NULL)
			return as;
	}
	return NULL;
}
