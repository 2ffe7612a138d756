/* SPDX-License-Identifier: Apache-2.0
 *
 * Parameters and fields of bodies as JSON Schema (2020-12). */
#ifndef COLDFLEET_API_OPENAPI_SCHEMA_H
#define COLDFLEET_API_OPENAPI_SCHEMA_H

#include <jansson.h>

#include "api/router.h"

/* New references, never NULL. */
json_t *openapi_param(const struct param *p);                           /* a Parameter Object */
json_t *openapi_fields(const struct field *fields, size_t field_count); /* the schema of an object */

#endif
