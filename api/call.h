/* SPDX-License-Identifier: Apache-2.0
 *
 * One call of the database for one request: api.begin() proves the token and its role, the route's statement gives the
 * JSON; both travel together as one transaction, so without the proof the statement never runs. */
#ifndef COLDFLEET_API_CALL_H
#define COLDFLEET_API_CALL_H

#include "api/http.h"
#include "api/router.h"

/* Takes `r`: it is answered now or later. */
void call_run(struct db *db, struct http_request *r, const struct route_match *m);

/* The token of an Authorization field ("Bearer TOKEN") as SHA-256. ERR_UNAUTHORIZED when there is none. */
bool call_token(const char *authorization, unsigned char sha256[32], struct err *e);

/* What a refusal by the database means over HTTP. */
enum err_code call_code(const char *sqlstate);

#endif
