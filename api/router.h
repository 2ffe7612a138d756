/* SPDX-License-Identifier: Apache-2.0
 *
 * From method and target to a row of the route table and checked parameter values. The table is the one source of what
 * the API offers; this file knows how to read it, not what is in it. */
#ifndef COLDFLEET_API_ROUTER_H
#define COLDFLEET_API_ROUTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/fields.h"
#include "core/db.h"
#include "core/err.h"

#define ROUTE_PARAMS_MAX 16
#define ROUTE_VALUE_MAX  512

enum param_in { PARAM_PATH, PARAM_QUERY };
enum param_type {
	PARAM_SERIAL, /* 1 to 64 of A-Z a-z 0-9 . _ - */
	PARAM_INT,    /* min to max */
	PARAM_TIME,   /* RFC 3339 */
	PARAM_CURSOR, /* what a list gave as `next` */
	PARAM_WORD,   /* one of `words` */
	PARAM_TEXT,   /* min to max characters */
	PARAM_TYPES
};

struct param {
	const char *name;
	enum param_in in;
	enum param_type type;
	int64_t min, max;     /* of PARAM_INT */
	const char *fallback; /* when it is absent; NULL: the statement gets NULL */
	const char *help;
	const char *words; /* of PARAM_WORD: "a,b,c" */
};

struct api;
struct http_request;

/* A body that is neither an object of fields nor rows: `read` makes JSON of it, to be freed. The statement gets that,
 * and then the bytes as they came. */
struct route_reader {
	const char *media;
	bool gzip; /* it may come compressed */
	bool (*read)(const char *bytes, size_t len, char **json, struct err *e);
};

/* A long answer, made chunk by chunk. Its statement gets the route's parameters and then the key of the chunk, NULL at
 * first, and returns one row: `body` text, `next` text, the key of the next chunk or NULL. */
struct route_stream {
	const char *format; /* value of the route's parameter `format` that asks for it, or NULL: the only answer */
	const char *media;
	const struct statement *statement;
};

struct route {
	const char *method; /* GET also answers HEAD */
	const char *path; /* "/v1/devices/{serial}": a {name} is one segment or the part of one before a literal end, a
			     PARAM_PATH */
	const char *summary;
	const char *role; /* the least role that may call it: api.begin() knows the ladder; NULL: no token needed */
	const struct param *params; /* in the order of the statement's $1, $2 ... */
	size_t param_count;
	/* Returns one row. Columns by name: body (JSON), status (NULL: 200), etag, location; or one column: the body.
	 */
	const struct statement *statement;
	void (*act)(struct api *api, struct http_request *r); /* instead of a statement */
	const struct field
		*fields; /* of the body, which is the statement's next parameter, jsonb; NULL: no body is taken */
	size_t field_count;
	bool rows; /* the body is NDJSON or CSV, text that the statement gets as it is, after 'ndjson' or 'csv' */
	const struct route_reader *reader; /* of a body that is neither; NULL: none */
	bool if_match;                     /* If-Match is required, and the parameter after that */
	const struct route_stream *streams;
	size_t stream_count;
	bool live; /* an answer without an end, of events; the statement admits to it, and its last parameter is
		      Last-Event-ID */
};

struct route_match {
	const struct route *route;
	const char *value[ROUTE_PARAMS_MAX]; /* NULL: absent and no fallback */
	char text[ROUTE_PARAMS_MAX][ROUTE_VALUE_MAX];
	char allow[96]; /* with ERR_METHOD: the methods that the path knows, for Allow */
};

/* `target` is path and query as they came. On failure: ERR_NOT_FOUND, ERR_METHOD, ERR_REQUEST (a parameter that is
 * unknown, given twice or wrongly escaped) or ERR_INVALID (a value that its parameter does not take). */
bool route_find(const struct route *table, size_t count, const char *method, const char *target, struct route_match *m,
		struct err *e);

#endif
