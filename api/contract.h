/* SPDX-License-Identifier: Apache-2.0
 *
 * GET /openapi.json: the contract of the table that this process serves. */
#ifndef COLDFLEET_API_CONTRACT_H
#define COLDFLEET_API_CONTRACT_H

#include "api/http.h"

struct api;

/* Once, before the first request. ERR_INTERNAL: api/answers and the table of routes do not make a contract. */
bool contract_make(struct err *e);

/* An act of the route table. */
void contract_act(struct api *api, struct http_request *r);

#endif
