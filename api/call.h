/* SPDX-License-Identifier: Apache-2.0
 *
 * One call of the database for one request: api.begin() proves the token and its role, api.idempotency() lets a
 * repeated POST have its first answer, the route's statement gives the answer. They travel together as one transaction,
 * so without the proof the statement never runs. */
#ifndef COLDFLEET_API_CALL_H
#define COLDFLEET_API_CALL_H

#include "api/http.h"
#include "api/router.h"

/* What a statement gets: the route's parameters, then the checked body, If-Match or the key of a stream. */
struct call_params {
	struct db_params db;
	const char *value[ROUTE_PARAMS_MAX + 3];
	int length[ROUTE_PARAMS_MAX + 3], format[ROUTE_PARAMS_MAX + 3];
};

/* Takes `r`: it is answered now or later. `db` NULL: none is up, which is an answer too. */
void call_run(struct db *db, struct http_request *r, const struct route_match *m);

/* The token of an Authorization field ("Bearer TOKEN") as SHA-256. ERR_UNAUTHORIZED when there is none. */
bool call_token(const char *authorization, unsigned char sha256[32], struct err *e);

/* Whom calls may be opened for besides the tokens that the database knows; borrowed, NULL: nobody. */
struct oidc;
void call_use_oidc(struct oidc *o);

/* Who is told of tokens that the database did not take, before they are answered; `cb` NULL: nobody. */
typedef void call_unproved_cb(const struct http_request *r, const char *detail, void *arg);
void call_on_unproved(call_unproved_cb *cb, void *arg);

/* Sends the proof that opens a segment. False: nothing was sent. */
bool call_begin(struct db *db, const unsigned char sha256[32], const char *role, const char *request_id,
		db_result_cb *cb, void *arg);

/* What a refusal by the database means over HTTP. */
enum err_code call_code(const char *sqlstate);

/* The error for a refused statement: what the functions of schema api say is for the client, what PostgreSQL itself
 * says is for our log. */
void call_refused(const struct http_request *r, const PGresult *res, struct err *e);

/* Does If-None-Match, a list of entity tags or *, name `etag` (without quotes)? */
bool call_none_match(const char *field, const char *etag);

#endif
