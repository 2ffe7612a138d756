/* SPDX-License-Identifier: Apache-2.0
 *
 * From method and target to a row of the route table and checked parameter values. The table is the one source of what
 * the API offers; this file knows how to read it, not what is in it. */
#ifndef COLDFLEET_API_ROUTER_H
#define COLDFLEET_API_ROUTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/db.h"
#include "core/err.h"

#define ROUTE_PARAMS_MAX 8
#define ROUTE_VALUE_MAX  512

enum param_in { PARAM_PATH, PARAM_QUERY };
enum param_type {
	PARAM_SERIAL, /* 1 to 64 of A-Z a-z 0-9 . _ - */
	PARAM_INT,    /* min to max */
	PARAM_TIME,   /* RFC 3339 */
	PARAM_CURSOR, /* what a list gave as `next` */
	PARAM_TYPES
};

struct param {
	const char *name;
	enum param_in in;
	enum param_type type;
	int64_t min, max;     /* of PARAM_INT */
	const char *fallback; /* when it is absent; NULL: the statement gets NULL */
	const char *help;
};

struct api;
struct http_request;

struct route {
	const char *method; /* GET also answers HEAD */
	const char *path;   /* "/v1/devices/{serial}": a {name} is one segment, a PARAM_PATH */
	const char *summary;
	const char *role; /* the least role that may call it: api.begin() knows the ladder; NULL: no token needed */
	const struct param *params; /* in the order of the statement's $1, $2 ... */
	size_t param_count;
	const struct statement *statement;                    /* returns one row, one column: the JSON of the answer */
	void (*act)(struct api *api, struct http_request *r); /* instead of a statement */
};

struct route_match {
	const struct route *route;
	const char *value[ROUTE_PARAMS_MAX]; /* NULL: absent and no fallback */
	char text[ROUTE_PARAMS_MAX][ROUTE_VALUE_MAX];
	char allow[64]; /* with ERR_METHOD: the methods that the path knows, for Allow */
};

/* `target` is path and query as they came. On failure: ERR_NOT_FOUND, ERR_METHOD, ERR_REQUEST (a parameter that is
 * unknown, given twice or wrongly escaped) or ERR_INVALID (a value that its parameter does not take). */
bool route_find(const struct route *table, size_t count, const char *method, const char *target, struct route_match *m,
		struct err *e);

#endif
