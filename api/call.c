/* SPDX-License-Identifier: Apache-2.0
 *
 * Sends begin and statement in one segment and turns what comes back into the answer. */
#include "api/call.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/evp.h>

#include "api/problem.h"
#include "core/log.h"
#include "schema/queries.h"

#define TOKEN_MAX 256

static const char try_again[] = "the database cannot answer now, try again";

struct call {
	struct http_request *request;
	struct evbuffer *json;
	struct err err; /* the first refusal */
	int owed;       /* of a segment that could not be sent whole: callbacks that come as the connection breaks */
};

static const struct {
	char sqlstate[6];
	enum err_code code;
} code_table[] = {
	{"CF400", ERR_REQUEST},   {"CF401", ERR_UNAUTHORIZED}, {"CF403", ERR_FORBIDDEN},
	{"CF404", ERR_NOT_FOUND}, {"CF409", ERR_CONFLICT},     {"CF422", ERR_INVALID},
};

enum err_code call_code(const char *sqlstate)
{
	for (size_t i = 0; i < sizeof(code_table) / sizeof(code_table[0]); i++)
		if (strcmp(code_table[i].sqlstate, sqlstate) == 0)
			return code_table[i].code;
	return sqlstate[0] == '\0' || db_retryable(sqlstate) ? ERR_DB_LOST : ERR_DB_REFUSED;
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

static void call_end(struct call *c)
{
	if (c->err.code == ERR_NONE)
		http_reply(c->request, 200, "application/json", c->json);
	else
		http_problem_err(c->request, &c->err);
	evbuffer_free(c->json);
	free(c);
}

/* What the functions of schema api say is meant for the client; what PostgreSQL itself says is for our log. */
static void refused(struct call *c, const PGresult *res)
{
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	const char *message = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
	state = state != NULL ? state : "";
	message = message != NULL ? message : "no message";
	enum err_code code = call_code(state);
	if (code == ERR_DB_LOST) {
		log_warn("api", "request=%s sqlstate=%s message=\"%s\"", http_id(c->request), state, message);
		err_set(&c->err, code, "%s", try_again);
	} else {
		err_set(&c->err, code, "%s", message);
	}
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
		refused(c, res);
		break;
	case PGRES_TUPLES_OK:
		if (PQntuples(res) == 1 && PQnfields(res) == 1)
			evbuffer_add(c->json, PQgetvalue(res, 0, 0), (size_t)PQgetlength(res, 0, 0));
		break;
	default:
		break;
	}
}

static void on_commit(struct db *db, bool ok, const char *sqlstate, const struct err *e, void *arg)
{
	struct call *c = arg;
	(void)db;
	(void)e; /* the connection has logged it */
	if (!ok && c->err.code == ERR_NONE)
		err_set(&c->err, call_code(sqlstate), "%s", try_again);
	if (ok && evbuffer_get_length(c->json) == 0)
		err_set(&c->err, ERR_INTERNAL, "the statement gave no JSON");
	call_end(c);
}

static bool send_begin(struct db *db, const unsigned char sha256[32], const char *role, struct call *c)
{
	const char *const values[] = {(const char *)sha256, role};
	const int lengths[] = {32, 0}, formats[] = {1, 0};
	const struct db_params params = {.count = 2, .values = values, .lengths = lengths, .formats = formats};
	return db_query(db, &stmt_api_begin, &params, on_result, c);
}

void call_run(struct db *db, struct http_request *r, const struct route_match *m)
{
	unsigned char sha256[32];
	struct err e = {0};
	const struct db_params params = {.count = (int)m->route->param_count, .values = m->value};
	if (!call_token(http_field(r, HTTP_AUTHORIZATION), sha256, &e)) {
		http_problem_err(r, &e);
		return;
	}
	struct call *c = calloc(1, sizeof(*c));
	if (c == NULL || (c->json = evbuffer_new()) == NULL)
		abort();
	c->request = r;
	int sent = db != NULL && send_begin(db, sha256, m->route->role, c);
	sent += sent == 1 && db_query(db, m->route->statement, &params, on_result, c);
	if (sent == 2 && db_commit(db, on_commit, c))
		return;
	err_set(&c->err, ERR_DB_LOST, "%s", try_again);
	if (sent == 0) {
		call_end(c);
		return;
	}
	c->owed = sent;
	db_drop(db, "a request could not be sent whole");
}
