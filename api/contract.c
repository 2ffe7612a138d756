/* SPDX-License-Identifier: Apache-2.0
 *
 * GET /openapi.json: the contract of the table that this process serves, made once. */
#include "api/contract.h"

#include <stdlib.h>
#include <string.h>

#include "api/openapi.h"
#include "api/routes.h"

/* One for the process; the table of routes is one too. */
static char *contract;

bool contract_make(struct err *e)
{
	size_t count;
	const struct route *routes = routes_all(&count);
	json_t *document = openapi_document(routes, count, answers_files, answers_file_count, e);
	if (document == NULL)
		return false;
	contract = json_dumps(document, JSON_COMPACT);
	json_decref(document);
	return contract != NULL || err_set(e, ERR_INTERNAL, "the contract cannot be written as JSON");
}

void contract_act(struct api *api, struct http_request *r)
{
	(void)api;
	struct evbuffer *body = evbuffer_new();
	if (body == NULL)
		abort();
	evbuffer_add_reference(body, contract, strlen(contract), NULL, NULL);
	http_reply(r, 200, "application/json", body);
	evbuffer_free(body);
}
