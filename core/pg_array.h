/* SPDX-License-Identifier: Apache-2.0
 *
 * Parameters of a statement as one-dimensional arrays in PostgreSQL's binary format, built in an arena: how a batch
 * of rows travels in one statement. */
#ifndef COLDFLEET_CORE_PG_ARRAY_H
#define COLDFLEET_CORE_PG_ARRAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/db.h"

enum pg_type {
	PG_BOOL,
	PG_BYTEA,
	PG_INT2,
	PG_INT4,
	PG_INT8,
	PG_FLOAT4,
	PG_FLOAT8,
	PG_TEXT,
	PG_TIMESTAMPTZ,
	PG_UUID,
	PG_TYPES
};

struct pg_array {
	uint8_t *data;
	size_t len, limit;
	int32_t count;
	int32_t nulls; /* how many of them are NULL */
};

/* `count` elements with `bytes` of data in all (for fixed types: count * size suffices; more is not accepted). */
struct pg_array pg_array_new(struct arena *arena, enum pg_type type, size_t count, size_t bytes);

void pg_array_null(struct pg_array *a);
void pg_array_bool(struct pg_array *a, bool value);
void pg_array_int2(struct pg_array *a, int16_t value);
void pg_array_int4(struct pg_array *a, int32_t value);
void pg_array_int8(struct pg_array *a, int64_t value);
void pg_array_float4(struct pg_array *a, float value);
void pg_array_float8(struct pg_array *a, double value);
void pg_array_time(struct pg_array *a, int64_t unix_us);                /* microseconds since 1970-01-01T00:00:00Z */
void pg_array_bytes(struct pg_array *a, const void *bytes, size_t len); /* bytea, text; uuid: 16 bytes */

#define PG_PARAMS_MAX 64

struct pg_params {
	int count;
	const char *values[PG_PARAMS_MAX];
	int lengths[PG_PARAMS_MAX];
	int formats[PG_PARAMS_MAX];
};

/* Writes the final header of the array and appends it; the array lives as long as its arena. */
void pg_params_array(struct pg_params *p, struct pg_array *a);
/* The same, but NULL as a whole when no element has a value. */
void pg_params_array_or_null(struct pg_params *p, struct pg_array *a);
void pg_params_null(struct pg_params *p);
void pg_params_text(struct pg_params *p, const char *text); /* borrowed */

/* For db_query(). */
struct db_params pg_params_borrow(const struct pg_params *p);

/* Reading one-dimensional int4[] results in binary: the number of elements, or -1 when it is something else. */
int pg_array_read_int4(const uint8_t *data, size_t len, int32_t *out, size_t out_size);
int16_t pg_read_int2(const void *data);
int32_t pg_read_int4(const void *data);
int64_t pg_read_int8(const void *data);

#define PG_EPOCH_US INT64_C(946684800000000) /* 2000-01-01 in microseconds since 1970 */

#endif
