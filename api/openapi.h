/* SPDX-License-Identifier: Apache-2.0
 *
 * The API's contract (OpenAPI 3.1), made from the table of routes: parameters, bodies and refusals follow from the
 * rows. What a route answers is said in api/answers/, a file a topic, because only its SQL function knows. */
#ifndef COLDFLEET_API_OPENAPI_H
#define COLDFLEET_API_OPENAPI_H

#include <jansson.h>

#include "api/router.h"

/* Of api/answers/: {"schemas": {NAME: schema}, "operations": {OPERATION: {"answers": {STATUS: {"description", "schema",
 * "example", "media", "headers": [NAME]}}, "refuses": {STATUS: when}, "body": example of a request's, of rows
 * {TYPE: text}}}}. */
struct answers_file {
	const char *name;
	const unsigned char *json;
	size_t len;
};
extern const struct answers_file answers_files[];
extern const size_t answers_file_count;

/* A new reference. NULL with ERR_INTERNAL: a file is no JSON object, or one name stands in two. A route that no file
 * describes is answered with 200 and anything. */
json_t *openapi_document(const struct route *table, size_t count, const struct answers_file *files, size_t file_count,
			 struct err *e);

/* The name of a route's operation in the document and in api/answers/: its statement's without "api_", or for a route
 * that has none its path with _ for all that is no letter or digit. */
void openapi_operation(const struct route *r, char *name, size_t size);

#endif
