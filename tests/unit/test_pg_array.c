/* SPDX-License-Identifier: Apache-2.0
 *
 * Binary arrays: PostgreSQL itself says what it understood; what it sends back is read, or refused when it is odd. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <libpq-fe.h>

#include "core/pg_array.h"
#include "servers.h"

static struct arena *arena;
static PGconn *conn;

static void understood(const char *type, struct pg_array *a, const char *expected)
{
	char sql[64];
	struct pg_params p = {0};
	pg_params_array(&p, a);
	snprintf(sql, sizeof(sql), "SELECT $1::%s[]::text", type);
	PGresult *res = PQexecParams(conn, sql, p.count, NULL, p.values, p.lengths, p.formats, 0);
	if (PQresultStatus(res) != PGRES_TUPLES_OK)
		fail_msg("%s: %s", type, PQerrorMessage(conn));
	assert_string_equal(PQgetvalue(res, 0, 0), expected);
	PQclear(res);
}

static void test_postgresql_reads_each_type_as_it_was_meant(void **state)
{
	(void)state;
	struct pg_array a = pg_array_new(arena, PG_BOOL, 3, 2);
	pg_array_bool(&a, true);
	pg_array_null(&a);
	pg_array_bool(&a, false);
	understood("bool", &a, "{t,NULL,f}");
	a = pg_array_new(arena, PG_INT2, 2, 4);
	pg_array_int2(&a, INT16_MIN);
	pg_array_int2(&a, INT16_MAX);
	understood("int2", &a, "{-32768,32767}");
	a = pg_array_new(arena, PG_INT4, 3, 8);
	pg_array_int4(&a, INT32_MIN);
	pg_array_null(&a);
	pg_array_int4(&a, INT32_MAX);
	understood("int4", &a, "{-2147483648,NULL,2147483647}");
	a = pg_array_new(arena, PG_INT8, 2, 16);
	pg_array_int8(&a, INT64_MIN);
	pg_array_int8(&a, INT64_C(4294967296));
	understood("int8", &a, "{-9223372036854775808,4294967296}");
	a = pg_array_new(arena, PG_UUID, 1, 16);
	pg_array_bytes(&a, "\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17\20", 16);
	understood("uuid", &a, "{01020304-0506-0708-090a-0b0c0d0e0f10}");
	a = pg_array_new(arena, PG_FLOAT4, 2, 8);
	pg_array_float4(&a, -18.25f);
	pg_array_float4(&a, 4.1f);
	understood("float4", &a, "{-18.25,4.1}");
	a = pg_array_new(arena, PG_FLOAT8, 2, 16);
	pg_array_float8(&a, 52.520008);
	pg_array_float8(&a, -0.0);
	understood("float8", &a, "{52.520008,-0}");
}

static void test_postgresql_reads_times_before_and_after_its_epoch(void **state)
{
	(void)state;
	struct pg_array a = pg_array_new(arena, PG_TIMESTAMPTZ, 4, 32);
	pg_array_time(&a, 0);
	pg_array_time(&a, PG_EPOCH_US);
	pg_array_time(&a, INT64_C(1790000000123456));
	pg_array_time(&a, -1);
	understood("timestamptz", &a,
		   "{\"1970-01-01 00:00:00+00\",\"2000-01-01 00:00:00+00\",\"2026-09-21 14:13:20.123456+00\","
		   "\"1969-12-31 23:59:59.999999+00\"}");
}

static void test_postgresql_reads_text_and_bytes_of_any_length(void **state)
{
	(void)state;
	struct pg_array a = pg_array_new(arena, PG_TEXT, 4, 8);
	pg_array_bytes(&a, "a,\"b\"", 5);
	pg_array_bytes(&a, NULL, 0);
	pg_array_null(&a);
	pg_array_bytes(&a, "\xc3\xa4 ", 3);
	understood("text", &a, "{\"a,\\\"b\\\"\",\"\",NULL,\"\xc3\xa4 \"}");
	a = pg_array_new(arena, PG_BYTEA, 2, 3);
	pg_array_bytes(&a, "\0\xff\n", 3);
	pg_array_bytes(&a, "", 0);
	understood("bytea", &a, "{\"\\\\x00ff0a\",\"\\\\x\"}");
}

static void test_an_array_without_elements_is_an_empty_array(void **state)
{
	(void)state;
	struct pg_array a = pg_array_new(arena, PG_INT4, 5, 20);
	understood("int4", &a, "{}");
}

static void test_a_null_parameter_and_a_text_parameter_arrive_as_such(void **state)
{
	(void)state;
	struct pg_params p = {0};
	pg_params_null(&p);
	pg_params_text(&p, "42");
	struct db_params borrowed = pg_params_borrow(&p);
	PGresult *res = PQexecParams(conn, "SELECT $1::int4[] IS NULL, $2::int4 + 1", borrowed.count, NULL,
				     borrowed.values, borrowed.lengths, borrowed.formats, borrowed.binary_result);
	assert_int_equal(PQresultStatus(res), PGRES_TUPLES_OK);
	assert_int_equal(*PQgetvalue(res, 0, 0), 1);
	assert_int_equal(pg_read_int4(PQgetvalue(res, 0, 1)), 43);
	PQclear(res);
}

static int read_back(const char *array, int32_t *out, size_t out_size)
{
	const int binary = 1;
	PGresult *res = PQexecParams(conn, array, 0, NULL, NULL, NULL, &binary, 1);
	assert_int_equal(PQresultStatus(res), PGRES_TUPLES_OK);
	/* An exact copy on the heap, so that a sanitizer sees a read past its end. */
	size_t len = (size_t)PQgetlength(res, 0, 0);
	uint8_t *copy = malloc(len > 0 ? len : 1);
	memcpy(copy, PQgetvalue(res, 0, 0), len);
	int n = pg_array_read_int4(copy, len, out, out_size);
	for (size_t cut = 0; cut < len; cut++) { /* no beginning of an array is taken for one, but for an empty array */
		int part = pg_array_read_int4(copy, cut, out + out_size, out_size);
		assert_true(part == -1 || (n == 0 && part == 0));
	}
	free(copy);
	PQclear(res);
	return n;
}

static void test_int4_arrays_of_results_are_read(void **state)
{
	(void)state;
	int32_t out[8];
	assert_int_equal(read_back("SELECT '{1,-2,2147483647}'::int4[]", out, 4), 3);
	assert_int_equal(out[0], 1);
	assert_int_equal(out[1], -2);
	assert_int_equal(out[2], INT32_MAX);
	assert_int_equal(read_back("SELECT '{}'::int4[]", out, 4), 0);
	assert_int_equal(read_back("SELECT '{1,2,3,4}'::int4[]", out, 4), 4);
}

static void test_other_results_are_not_taken_for_int4_arrays(void **state)
{
	(void)state;
	int32_t out[8];
	assert_int_equal(read_back("SELECT '{1,2,3,4,5}'::int4[]", out, 4), -1);
	assert_int_equal(read_back("SELECT '{1,NULL}'::int4[]", out, 4), -1);
	assert_int_equal(read_back("SELECT '{{1},{2}}'::int4[]", out, 4), -1);
	assert_int_equal(read_back("SELECT '{1,2}'::int8[]", out, 4), -1);
	assert_int_equal(read_back("SELECT '{a}'::text[]", out, 4), -1);
	assert_int_equal(read_back("SELECT 7::int4", out, 4), -1);
	assert_int_equal(pg_array_read_int4((const uint8_t *)"", 0, out, 4), -1);
}

static void test_integers_of_results_are_read(void **state)
{
	(void)state;
	assert_int_equal(pg_read_int2("\xff\xfe"), -2);
	assert_int_equal(pg_read_int4("\x80\x00\x00\x00"), INT32_MIN);
	assert_true(pg_read_int8("\x00\x00\x00\x01\x00\x00\x00\x02") == INT64_C(4294967298));
}

static int start_server(void **state)
{
	(void)state;
	arena = arena_new(0);
	postgres_start();
	conn = PQconnectdb(postgres_conninfo());
	PQclear(PQexec(conn, "SET timezone = 'UTC'"));
	return PQstatus(conn) == CONNECTION_OK ? 0 : -1;
}

static int stop_server(void **state)
{
	(void)state;
	PQfinish(conn);
	postgres_kill();
	arena_free(&arena);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_postgresql_reads_each_type_as_it_was_meant),
		cmocka_unit_test(test_postgresql_reads_times_before_and_after_its_epoch),
		cmocka_unit_test(test_postgresql_reads_text_and_bytes_of_any_length),
		cmocka_unit_test(test_an_array_without_elements_is_an_empty_array),
		cmocka_unit_test(test_a_null_parameter_and_a_text_parameter_arrive_as_such),
		cmocka_unit_test(test_int4_arrays_of_results_are_read),
		cmocka_unit_test(test_other_results_are_not_taken_for_int4_arrays),
		cmocka_unit_test(test_integers_of_results_are_read),
	};
	const char *missing = postgres_missing();
	if (missing != NULL) {
		print_message("skipped: %s\n", missing);
		return 77;
	}
	return cmocka_run_group_tests(tests, start_server, stop_server);
}
