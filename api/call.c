/* SPDX-License-Identifier: Apache-2.0
 *
 * Sends the statements of a request in one segment and turns what comes back into the answer. */
#include "api/call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <jansson.h>
#include <openssl/evp.h>

#include "api/gzip.h"
#include "api/oidc.h"
#include "api/problem.h"
#include "api/url.h"
#include "core/log.h"
#include "schema/queries.h"

#define TOKEN_MAX       JWT_MAX
#define KEY_MAX         255 /* of Idempotency-Key */
#define ANSWERED_BEFORE "CF208"

static const char try_again[] = "the database cannot answer now, try again";

struct call {
	struct http_request *request;
	struct evbuffer *json;
	bool has_body;
	int status;
	bool replayed;         /* the answer is that of an earlier request with the same Idempotency-Key */
	char *etag, *location; /* NULL: none */
	struct err err;        /* the first refusal */
	int owed; /* of a segment that could not be sent whole: callbacks that come as the connection breaks */
};

static const struct {
	char sqlstate[6];
	enum err_code code;
} code_table[] = {
	{"CF400", ERR_REQUEST},   {"CF401", ERR_UNAUTHORIZED},
	{"CF403", ERR_FORBIDDEN}, {"CF404", ERR_NOT_FOUND},
	{"CF409", ERR_CONFLICT},  {"CF412", ERR_PRECONDITION},
	{"CF422", ERR_INVALID},   {"CF428", ERR_PRECONDITION_REQUIRED},
	{"CF429", ERR_RATE},
};

enum err_code call_code(const char *sqlstate)
{
	for (size_t i = 0; i < sizeof(code_table) / sizeof(code_table[0]); i++)
		if (strcmp(code_table[i].sqlstate, sqlstate) == 0)
			return code_table[i].code;
	return sqlstate[0] == '\0' || db_retryable(sqlstate) ? ERR_DB_LOST : ERR_DB_REFUSED;
}

static call_unproved_cb *unproved;
static void *unproved_arg;

void call_on_unproved(call_unproved_cb *cb, void *arg)
{
	unproved = cb;
	unproved_arg = arg;
}

bool call_token(const char *authorization, unsigned char sha256[32], struct err *e)
{
	static const char token68[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/=";
	if (authorization == NULL)
		return err_set(e, ERR_UNAUTHORIZED, "the Authorization field is missing, expected Bearer TOKEN");
	if (strncasecmp(authorization, "Bearer ", 7) != 0)
		return err_set(e, ERR_UNAUTHORIZED, "Authorization: expected Bearer TOKEN");
	const char *token = authorization + 7 + strspn(authorization + 7, " ");
	size_t len = strlen(token);
	if (len == 0 || len > TOKEN_MAX || strspn(token, token68) != len)
		return err_set(e, ERR_UNAUTHORIZED, "Authorization: the token is malformed");
	if (EVP_Digest(token, len, sha256, NULL, EVP_sha256(), NULL) != 1)
		return err_set(e, ERR_INTERNAL, "SHA-256 failed");
	return true;
}

/* ---- the answer ---- */

bool call_none_match(const char *field, const char *etag)
{
	if (field == NULL || etag == NULL)
		return false;
	if (strcmp(field, "*") == 0)
		return true;
	size_t len = strlen(etag);
	for (const char *p = strchr(field, '"'); p != NULL; p = strchr(p, '"')) {
		const char *end = strchr(++p, '"');
		if (end == NULL)
			return false;
		if ((size_t)(end - p) == len && memcmp(p, etag, len) == 0)
			return true;
		p = end + 1;
	}
	return false;
}

static void reply(struct call *c)
{
	bool get = strcmp(http_method(c->request), "GET") == 0 || strcmp(http_method(c->request), "HEAD") == 0;
	if (c->etag != NULL)
		http_add_field(c->request, "ETag", "\"%s\"", c->etag);
	if (c->location != NULL)
		http_add_field(c->request, "Location", "%s", c->location);
	if (c->replayed)
		http_add_field(c->request, "Idempotency-Replayed", "true");
	if (get && c->status == 200 && call_none_match(http_field(c->request, HTTP_IF_NONE_MATCH), c->etag)) {
		c->status = 304;
		evbuffer_drain(c->json, evbuffer_get_length(c->json));
	}
	http_reply(c->request, c->status, "application/json", c->json);
}

static void call_end(struct call *c)
{
	if (c->err.code == ERR_NONE)
		reply(c);
	else
		http_problem_err(c->request, &c->err);
	evbuffer_free(c->json);
	free(c->etag);
	free(c->location);
	free(c);
}

void call_refused(const struct http_request *r, const PGresult *res, struct err *e)
{
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	const char *message = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
	state = state != NULL ? state : "";
	message = message != NULL ? message : "no message";
	enum err_code code = call_code(state);
	if (code == ERR_DB_LOST) {
		log_warn("api", "request=%s sqlstate=%s message=\"%s\"", http_id(r), state, message);
		err_set(e, code, "%s", try_again);
	} else {
		err_set(e, code, "%s", message);
	}
	if (code == ERR_UNAUTHORIZED && unproved != NULL)
		unproved(r, message, unproved_arg);
}

static char *copy(const char *text)
{
	char *c = text != NULL ? strdup(text) : NULL;
	if (text != NULL && c == NULL)
		abort();
	return c;
}

static const char *column(const PGresult *res, const char *name)
{
	int i = PQfnumber(res, name);
	return i < 0 || PQgetisnull(res, 0, i) ? NULL : PQgetvalue(res, 0, i);
}

/* The columns by their names; a statement with a single one means the body. */
static void take_row(struct call *c, const PGresult *res)
{
	if (PQntuples(res) != 1 || PQnfields(res) == 0)
		return;
	const char *body = PQnfields(res) == 1 ? PQgetvalue(res, 0, 0) : column(res, "body");
	const char *status = column(res, "status");
	c->has_body = body != NULL;
	if (body != NULL)
		evbuffer_add(c->json, body, strlen(body));
	c->status = status != NULL ? atoi(status) : 200;
	c->etag = copy(column(res, "etag"));
	c->location = copy(column(res, "location"));
}

/* The stored answer of an earlier request, a JSON object of strings and the status. */
static void take_earlier(struct call *c, const PGresult *res)
{
	const char *detail = PQresultErrorField(res, PG_DIAG_MESSAGE_DETAIL);
	json_t *answer = json_loads(detail != NULL ? detail : "", 0, NULL);
	const char *body = json_string_value(json_object_get(answer, "body"));
	if (body == NULL) {
		err_set(&c->err, ERR_INTERNAL, "the answer kept for an Idempotency-Key cannot be read");
	} else {
		evbuffer_add(c->json, body, strlen(body));
		c->has_body = c->replayed = true;
		c->status = (int)json_integer_value(json_object_get(answer, "status"));
		c->etag = copy(json_string_value(json_object_get(answer, "etag")));
		c->location = copy(json_string_value(json_object_get(answer, "location")));
	}
	json_decref(answer);
}

static void failed(struct call *c, const PGresult *res)
{
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	if (state != NULL && strcmp(state, ANSWERED_BEFORE) == 0)
		take_earlier(c, res);
	else
		call_refused(c->request, res, &c->err);
}

static void on_result(struct db *db, const PGresult *res, void *arg)
{
	struct call *c = arg;
	(void)db;
	if (c->owed > 0 && --c->owed == 0) {
		call_end(c);
		return;
	}
	if (res == NULL || c->err.code != ERR_NONE)
		return; /* the segment's end says so too */
	switch (PQresultStatus(res)) {
	case PGRES_FATAL_ERROR:
		failed(c, res);
		break;
	default:
		break;
	}
}

/* Of the route's own statement. */
static void on_answer(struct db *db, const PGresult *res, void *arg)
{
	struct call *c = arg;
	if (res != NULL && c->owed == 0 && c->err.code == ERR_NONE && PQresultStatus(res) == PGRES_TUPLES_OK)
		take_row(c, res);
	else
		on_result(db, res, arg);
}

static void on_commit(struct db *db, bool ok, const char *sqlstate, const struct err *e, void *arg)
{
	struct call *c = arg;
	(void)db;
	(void)e; /* the connection has logged it */
	if (!ok && c->err.code == ERR_NONE && !c->replayed)
		err_set(&c->err, call_code(sqlstate), "%s", try_again);
	if (ok && !c->has_body)
		err_set(&c->err, ERR_INTERNAL, "the statement gave no body");
	call_end(c);
}

/* ---- the segment ---- */

static struct oidc *proved;

void call_use_oidc(struct oidc *o)
{
	proved = o;
}

static bool begin_oidc(struct db *db, const struct oidc_identity *who, const char *role, const char *request_id,
		       db_result_cb *cb, void *arg)
{
	const char *const values[] = {who->subject, who->role, who->groups[0] != '\0' ? who->groups : NULL, role,
				      request_id};
	const struct db_params params = {.count = 5, .values = values};
	return db_query(db, &stmt_api_begin_oidc, &params, cb, arg);
}

bool call_begin(struct db *db, const unsigned char sha256[32], const char *role, const char *request_id,
		db_result_cb *cb, void *arg)
{
	const struct oidc_identity *who = oidc_who(proved, sha256);
	if (who != NULL)
		return begin_oidc(db, who, role, request_id, cb, arg);
	const char *const values[] = {(const char *)sha256, role, request_id};
	const int lengths[] = {32, 0, 0}, formats[] = {1, 0, 0};
	const struct db_params params = {.count = 3, .values = values, .lengths = lengths, .formats = formats};
	return db_query(db, &stmt_api_begin, &params, cb, arg);
}

/* What makes two requests with one key the same request. */
static bool request_digest(struct http_request *r, const char *body, unsigned char sha256[32])
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	bool ok = md != NULL && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 &&
		  EVP_DigestUpdate(md, http_method(r), strlen(http_method(r)) + 1) == 1 &&
		  EVP_DigestUpdate(md, http_target(r), strlen(http_target(r)) + 1) == 1 &&
		  EVP_DigestUpdate(md, body, strlen(body)) == 1 && EVP_DigestFinal_ex(md, sha256, NULL) == 1;
	EVP_MD_CTX_free(md);
	return ok;
}

static bool send_idempotency(struct db *db, const char *key, const unsigned char sha256[32], struct call *c)
{
	const char *const values[] = {key, (const char *)sha256};
	const int lengths[] = {0, 32}, formats[] = {0, 1};
	const struct db_params params = {.count = 2, .values = values, .lengths = lengths, .formats = formats};
	return db_query(db, &stmt_api_idempotency, &params, on_result, c);
}

/* What a request brings besides its parameters, checked. */
struct brought {
	unsigned char token_sha256[32], request_sha256[32];
	const char *key;      /* Idempotency-Key of a POST; NULL: none */
	const char *if_match; /* NULL: none, or the route does not look at it */
	const char *body;     /* ends with NUL; borrowed from the request; "" without one */
	const char *format;   /* of a body of rows */
	char *read;           /* what the route's reader made of the body, to be freed; NULL: it has none */
	size_t body_len;
};

static bool is_printable(const char *text, size_t min, size_t max)
{
	size_t len = strlen(text);
	for (const char *p = text; *p != '\0'; p++)
		if (*p < 0x20 || *p == 0x7f)
			return false;
	return len >= min && len <= max;
}

static const char *whole_body(struct http_request *r)
{
	struct evbuffer *body = http_body(r);
	evbuffer_add(body, "", 1);
	const char *bytes = (const char *)evbuffer_pullup(body, -1);
	if (bytes == NULL)
		abort();
	return bytes;
}

/* Rows are looked at by the database, one by one; here only that they are text. */
static bool take_rows(struct http_request *r, struct brought *b, struct err *e)
{
	static const struct {
		const char *media, *format;
	} rows_table[] = {{"application/x-ndjson", "ndjson"}, {"text/csv", "csv"}};
	const char *type = http_field(r, HTTP_CONTENT_TYPE);
	size_t len = evbuffer_get_length(http_body(r));
	for (size_t i = 0; type != NULL && i < sizeof(rows_table) / sizeof(rows_table[0]); i++)
		if (strcspn(type, "; \t") == strlen(rows_table[i].media) &&
		    strncasecmp(type, rows_table[i].media, strlen(rows_table[i].media)) == 0)
			b->format = rows_table[i].format;
	if (b->format == NULL)
		return err_set(e, ERR_MEDIA, "Content-Type: expected application/x-ndjson or text/csv");
	b->body = whole_body(r);
	if (strlen(b->body) != len || !url_is_utf8(b->body, len))
		return err_set(e, ERR_REQUEST, "the body is not UTF-8 text");
	return true;
}

/* A body that says what it is in one of the ways of its own. */
static bool take_read(struct http_request *r, const struct route_reader *reader, struct brought *b, struct err *e)
{
	const char *type = http_field(r, HTTP_CONTENT_TYPE);
	size_t len = strlen(reader->media);
	if (type == NULL || strcspn(type, "; \t") != len || strncasecmp(type, reader->media, len) != 0)
		return err_set(e, ERR_MEDIA, "Content-Type: expected %s", reader->media);
	b->body_len = evbuffer_get_length(http_body(r));
	b->body = whole_body(r);
	return reader->read(b->body, b->body_len, &b->read, e);
}

/* Nothing is taken for what it is not: a body in a coding that the route does not take is refused, not read as it is.
 */
static bool take_coding(struct http_request *r, const struct route *route, struct err *e)
{
	const char *coding = http_field(r, HTTP_CONTENT_ENCODING);
	bool takes = route->reader != NULL && route->reader->gzip;
	if (coding == NULL || strcasecmp(coding, "identity") == 0)
		return true;
	if (!takes || (strcasecmp(coding, "gzip") != 0 && strcasecmp(coding, "x-gzip") != 0))
		return err_set(e, ERR_MEDIA, "Content-Encoding: expected %s, got %.40s",
			       takes ? "gzip or none" : "none", coding);
	return gzip_inflate(http_body(r), http_body_most(r), e);
}

static bool take_body(struct http_request *r, const struct route *route, struct brought *b, struct err *e)
{
	b->body = "";
	if (!take_coding(r, route, e))
		return false;
	size_t len = evbuffer_get_length(http_body(r));
	if (route->rows)
		return take_rows(r, b, e);
	if (route->reader != NULL)
		return take_read(r, route->reader, b, e);
	if (route->fields == NULL)
		return len == 0 || err_set(e, ERR_REQUEST, "%s takes no body here, got %zu bytes", http_method(r), len);
	if (!fields_media(http_field(r, HTTP_CONTENT_TYPE), strcmp(route->method, "PATCH") == 0, e))
		return false;
	b->body = whole_body(r);
	return fields_check(route->fields, route->field_count, b->body, len, e);
}

static bool take_fields(struct http_request *r, const struct route *route, struct brought *b, struct err *e)
{
	b->key = strcmp(route->method, "POST") == 0 ? http_field(r, HTTP_IDEMPOTENCY_KEY) : NULL;
	b->if_match = route->if_match ? http_field(r, HTTP_IF_MATCH) : NULL;
	if (b->key != NULL && !is_printable(b->key, 1, KEY_MAX))
		return err_set(e, ERR_REQUEST, "Idempotency-Key: expected 1 to %d printable ASCII characters", KEY_MAX);
	if (route->if_match && b->if_match == NULL)
		return err_set(e, ERR_PRECONDITION_REQUIRED,
			       "If-Match: expected the ETag of what is to be changed, or *");
	if (b->if_match != NULL && strcmp(b->if_match, "*") != 0 &&
	    (strchr(b->if_match, '"') == NULL || !is_printable(b->if_match, 1, 512)))
		return err_set(e, ERR_REQUEST, "If-Match: expected a list of entity tags, each in double quotes, or *");
	if (b->key != NULL && !request_digest(r, b->body, b->request_sha256))
		return err_set(e, ERR_INTERNAL, "SHA-256 failed");
	return true;
}

static int send_all(struct db *db, const struct route_match *m, const struct brought *b, struct call *c)
{
	struct call_params p = {.db = {.count = (int)m->route->param_count, .values = p.value}};
	memcpy(p.value, m->value, sizeof(m->value[0]) * m->route->param_count);
	if (m->route->rows)
		p.value[p.db.count++] = b->format;
	if (m->route->fields != NULL || m->route->rows)
		p.value[p.db.count++] = b->body;
	if (b->read != NULL) {
		p.db.lengths = p.length;
		p.db.formats = p.format;
		p.value[p.db.count++] = b->read;
		p.length[p.db.count] = (int)b->body_len;
		p.format[p.db.count] = 1;
		p.value[p.db.count++] = b->body;
	}
	if (m->route->if_match)
		p.value[p.db.count++] = b->if_match;
	int sent = call_begin(db, b->token_sha256, m->route->role, http_id(c->request), on_result, c);
	if (b->key != NULL)
		sent += sent == 1 && send_idempotency(db, b->key, b->request_sha256, c);
	if (sent == 1 + (b->key != NULL))
		sent += db_query(db, m->route->statement, &p.db, on_answer, c);
	return sent;
}

void call_run(struct db *db, struct http_request *r, const struct route_match *m)
{
	struct brought b = {0};
	struct err e = {0};
	if (!call_token(http_field(r, HTTP_AUTHORIZATION), b.token_sha256, &e) || !take_body(r, m->route, &b, &e) ||
	    !take_fields(r, m->route, &b, &e)) {
		free(b.read);
		http_problem_err(r, &e);
		return;
	}
	struct call *c = calloc(1, sizeof(*c));
	if (c == NULL || (c->json = evbuffer_new()) == NULL)
		abort();
	c->request = r;
	int sent = db != NULL ? send_all(db, m, &b, c) : 0;
	free(b.read);
	if (sent == 2 + (b.key != NULL) && db_commit(db, on_commit, c))
		return;
	err_set(&c->err, ERR_DB_LOST, "%s", try_again);
	if (sent == 0) {
		call_end(c);
		return;
	}
	c->owed = sent;
	db_drop(db, "a request could not be sent whole");
}
