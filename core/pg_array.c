/* SPDX-License-Identifier: Apache-2.0
 *
 * PostgreSQL's binary array format (src/backend/utils/adt/arrayfuncs.c, array_recv): dimensions, a null flag, the
 * element type, then for each dimension its length and lower bound, then each element with its length in front. */
#include "core/pg_array.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#define ARRAY_HEADER 20

static const uint32_t type_oids[PG_TYPES] = {
	[PG_BOOL] = 16,    [PG_BYTEA] = 17,   [PG_INT2] = 21, [PG_INT4] = 23,          [PG_INT8] = 20,
	[PG_FLOAT4] = 700, [PG_FLOAT8] = 701, [PG_TEXT] = 25, [PG_TIMESTAMPTZ] = 1184, [PG_UUID] = 2950,
};

static void put32(uint8_t *at, uint32_t value)
{
	value = htobe32(value);
	memcpy(at, &value, sizeof(value));
}

struct pg_array pg_array_new(struct arena *arena, enum pg_type type, size_t count, size_t bytes)
{
	struct pg_array a = {.limit = ARRAY_HEADER + count * 4 + bytes, .len = ARRAY_HEADER};
	a.data = arena_alloc(arena, a.limit);
	put32(a.data + 8, type_oids[type]);
	return a;
}

static uint8_t *element(struct pg_array *a, size_t size)
{
	if (a->limit - a->len < size + 4)
		abort(); /* the caller counted wrong: better the end than a write past it */
	put32(a->data + a->len, (uint32_t)size);
	uint8_t *at = a->data + a->len + 4;
	a->len += size + 4;
	a->count++;
	return at;
}

void pg_array_null(struct pg_array *a)
{
	put32(element(a, 0) - 4, UINT32_MAX);
	a->nulls++;
}

void pg_array_bool(struct pg_array *a, bool value)
{
	*element(a, 1) = value;
}

void pg_array_int2(struct pg_array *a, int16_t value)
{
	uint16_t bits = htobe16((uint16_t)value);
	memcpy(element(a, sizeof(bits)), &bits, sizeof(bits));
}

void pg_array_int4(struct pg_array *a, int32_t value)
{
	put32(element(a, 4), (uint32_t)value);
}

void pg_array_float4(struct pg_array *a, float value)
{
	uint32_t bits;
	memcpy(&bits, &value, sizeof(bits));
	put32(element(a, 4), bits);
}

static void put64(struct pg_array *a, uint64_t bits)
{
	bits = htobe64(bits);
	memcpy(element(a, sizeof(bits)), &bits, sizeof(bits));
}

void pg_array_int8(struct pg_array *a, int64_t value)
{
	put64(a, (uint64_t)value);
}

void pg_array_float8(struct pg_array *a, double value)
{
	uint64_t bits;
	memcpy(&bits, &value, sizeof(bits));
	put64(a, bits);
}

void pg_array_time(struct pg_array *a, int64_t unix_us)
{
	put64(a, (uint64_t)(unix_us - PG_EPOCH_US));
}

void pg_array_bytes(struct pg_array *a, const void *bytes, size_t len)
{
	uint8_t *at = element(a, len);
	if (len > 0)
		memcpy(at, bytes, len);
}

static void append(struct pg_params *p, const char *value, size_t len, int format)
{
	if (p->count == PG_PARAMS_MAX)
		abort();
	p->values[p->count] = value;
	p->lengths[p->count] = (int)len;
	p->formats[p->count] = format;
	p->count++;
}

void pg_params_array(struct pg_params *p, struct pg_array *a)
{
	put32(a->data, a->count > 0 ? 1 : 0);
	put32(a->data + 4, a->nulls > 0);
	if (a->count == 0)
		a->len = 12; /* an empty array has no dimension */
	put32(a->data + 12, (uint32_t)a->count);
	put32(a->data + 16, 1);
	append(p, (const char *)a->data, a->len, 1);
}

void pg_params_array_or_null(struct pg_params *p, struct pg_array *a)
{
	if (a->nulls == a->count)
		pg_params_null(p);
	else
		pg_params_array(p, a);
}

void pg_params_null(struct pg_params *p)
{
	append(p, NULL, 0, 0);
}

void pg_params_text(struct pg_params *p, const char *text)
{
	append(p, text, 0, 0);
}

struct db_params pg_params_borrow(const struct pg_params *p)
{
	return (struct db_params){.count = p->count,
				  .values = p->values,
				  .lengths = p->lengths,
				  .formats = p->formats,
				  .binary_result = true};
}

int16_t pg_read_int2(const void *data)
{
	uint16_t bits;
	memcpy(&bits, data, sizeof(bits));
	return (int16_t)be16toh(bits);
}

int32_t pg_read_int4(const void *data)
{
	uint32_t bits;
	memcpy(&bits, data, sizeof(bits));
	return (int32_t)be32toh(bits);
}

int64_t pg_read_int8(const void *data)
{
	uint64_t bits;
	memcpy(&bits, data, sizeof(bits));
	return (int64_t)be64toh(bits);
}

int pg_array_read_int4(const uint8_t *data, size_t len, int32_t *out, size_t out_size)
{
	if (len < 12 || pg_read_int4(data + 8) != (int32_t)type_oids[PG_INT4])
		return -1;
	if (pg_read_int4(data) == 0)
		return 0;
	if (pg_read_int4(data) != 1 || len < ARRAY_HEADER)
		return -1;
	int32_t count = pg_read_int4(data + 12);
	if (count < 0 || (size_t)count > out_size || len != ARRAY_HEADER + (size_t)count * 8)
		return -1;
	for (int32_t i = 0; i < count; i++) {
		const uint8_t *at = data + ARRAY_HEADER + (size_t)i * 8;
		if (pg_read_int4(at) != 4)
			return -1;
		out[i] = pg_read_int4(at + 4);
	}
	return count;
}
