/* SPDX-License-Identifier: Apache-2.0
 *
 * Replies as they come from the broker: a good one is read and bound to the device of its topic, whatever else comes is
 * kept as it came, with the reason; PostgreSQL understands the columns. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <libpq-fe.h>

#include "broker-bridge/bridge_replies.h"
#include "servers.h"

#define NOW INT64_C(1790000000123456)

static struct bridge_replies batch;
static PGconn *conn;

static struct command_reply plain(void)
{
	return (struct command_reply){.id = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
				      .counter = 42,
				      .status = COMMAND_SUCCEEDED,
				      .device_time = 1790000000,
				      .boot_count = 3,
				      .generation = 7};
}

static struct bridge_reply *came(const char *topic, const void *payload, size_t len)
{
	const struct mqtt_message m = {.topic = topic, .payload = payload, .payload_len = len, .qos = 1};
	bridge_replies_add(&batch, &m, NOW);
	return &batch.list[batch.count - 1];
}

static struct bridge_reply *replied(const char *serial, const struct command_reply *reply)
{
	uint8_t bytes[COMMAND_REPLY_MAX];
	char topic[96];
	size_t len = 0;
	struct err e = {0};
	snprintf(topic, sizeof(topic), "cf/v1/%s/reply", serial);
	if (!command_reply_encode(reply, bytes, sizeof(bytes), &len, &e))
		fail_msg("%s", e.detail);
	return came(topic, bytes, len);
}

static void test_a_reply_belongs_to_the_device_of_its_topic(void **state)
{
	struct command_reply reply = plain();
	struct bridge_reply *r = replied("tracker-1", &reply);
	(void)state;
	assert_null(r->bad);
	assert_int_equal(r->serial_len, 9);
	assert_memory_equal(r->serial, "tracker-1", 9);
	assert_memory_equal(r->reply.id, reply.id, COMMAND_ID_BYTES);
	assert_int_equal(r->reply.counter, 42);
	assert_int_equal(r->reply.generation, 7);
	assert_int_equal(r->received_at, NOW);
	assert_null(r->result);
}

static void test_a_result_becomes_json(void **state)
{
	uint8_t bytes[64];
	struct cbor_writer w;
	struct command_reply reply = plain();
	(void)state;
	cbor_writer_init(&w, bytes, sizeof(bytes));
	cbor_put_map(&w, 2);
	cbor_put_text(&w, "lat");
	cbor_put_double(&w, 52.5);
	cbor_put_text(&w, "note");
	cbor_put_text(&w, "\"quoted\"");
	reply.result = (struct cbor_view){bytes, w.len};
	assert_string_equal(replied("a", &reply)->result, "{\"lat\":52.5,\"note\":\"\\\"quoted\\\"\"}");
}

static void test_a_result_that_json_cannot_say_is_named_and_the_status_counts(void **state)
{
	uint8_t bytes[64];
	struct cbor_writer w;
	struct command_reply reply = plain();
	(void)state;
	cbor_writer_init(&w, bytes, sizeof(bytes));
	cbor_put_map(&w, 1);
	cbor_put_uint(&w, 7); /* a key that is no text */
	cbor_put_bool(&w, true);
	reply.result = (struct cbor_view){bytes, w.len};
	struct bridge_reply *r = replied("a", &reply);
	assert_null(r->bad);
	assert_int_equal(r->reply.status, COMMAND_SUCCEEDED);
	assert_non_null(strstr(r->result, "{\"unreadable\":"));
}

static void test_what_is_no_reply_is_kept_with_the_reason(void **state)
{
	static uint8_t huge[BRIDGE_REPLY_KEPT + 5];
	(void)state;
	struct bridge_reply *r = came("cf/v1/a/reply", "hello", 5);
	assert_non_null(r->bad);
	assert_memory_equal(r->raw, "hello", 5);
	r = came("cf/v1/a/reply", "", 0);
	assert_non_null(r->bad);
	assert_int_equal(r->raw_len, 0);
	r = came("cf/v1/a/reply", huge, sizeof(huge));
	assert_int_equal(r->raw_len, BRIDGE_REPLY_KEPT);
	assert_string_equal(r->bad, "reply of 65541 bytes, of which 65536 are kept: expected at most 4096");
	r = came("cf/v1/a b/reply", "x", 1);
	assert_non_null(r->bad);
	assert_memory_equal(r->serial, "cf/v1/a b/reply", r->serial_len);
	struct pg_params p;
	assert_int_equal(bridge_replies_params(&p, &batch, 0, batch.count), 0);
	assert_int_equal(bridge_replies_bad_params(&p, &batch, 0, batch.count), 4);
}

static void test_every_truncation_of_a_reply_is_bad_and_harmless(void **state)
{
	uint8_t bytes[COMMAND_REPLY_MAX];
	struct command_reply reply = plain();
	size_t len = 0;
	(void)state;
	snprintf(reply.reason, sizeof(reply.reason), "done");
	assert_true(command_reply_encode(&reply, bytes, sizeof(bytes), &len, NULL));
	for (size_t i = 0; i < len; i++) {
		uint8_t *copy = malloc(i > 0 ? i : 1); /* exact, so that a sanitizer sees a read past it */
		memcpy(copy, bytes, i);
		assert_non_null(came("cf/v1/a/reply", copy, i)->bad);
		free(copy);
	}
	assert_null(came("cf/v1/a/reply", bytes, len)->bad);
}

static void test_reasons_that_are_stored_have_no_control_characters(void **state)
{
	struct command_reply reply = plain();
	struct bridge_reply *r = replied("a", &reply);
	(void)state;
	bridge_reply_spoil(&batch, r, "line\nbreak \x7f \xff");
	assert_string_equal(r->bad, "line?break ? ?");
}

static void shows(const char *sql, const struct pg_params *p, const char *expected)
{
	PGresult *res = PQexecParams(conn, sql, p->count, NULL, p->values, p->lengths, p->formats, 0);
	if (PQresultStatus(res) != PGRES_TUPLES_OK)
		fail_msg("%s", PQerrorMessage(conn));
	assert_string_equal(PQgetvalue(res, 0, 0), expected);
	PQclear(res);
}

static void test_columns_stay_in_step_with_bad_replies_between(void **state)
{
	struct command_reply one = plain(), two = plain();
	struct pg_params p;
	(void)state;
	two.status = COMMAND_REJECTED;
	two.device_time = two.generation = -1;
	snprintf(two.reason, sizeof(two.reason), "expired");
	replied("first", &one);
	came("cf/v1/broken/reply", "?", 1);
	replied("second", &two);
	assert_int_equal(bridge_replies_params(&p, &batch, 0, 3), 2);
	shows("SELECT string_agg(concat_ws(',', a, left(b::text, 8), c, d, coalesce(e, '-'), coalesce(f::text, '-'), "
	      "coalesce(extract(epoch FROM g)::bigint::text, '-'), h, coalesce(i::text, '-'), "
	      "extract(epoch FROM k)), ' ' ORDER BY a) FROM unnest($1::text[], $2::uuid[], $3::bigint[], $4::text[], "
	      "$5::text[], $6::text[]::jsonb[], $7::timestamptz[], $8::bigint[], $9::bigint[], $10::bytea[], "
	      "$11::timestamptz[]) AS r (a, b, c, d, e, f, g, h, i, j, k)",
	      &p,
	      "first,01020304,42,succeeded,-,-,1790000000,3,7,1790000000.123456 "
	      "second,01020304,42,rejected,expired,-,-,3,-,1790000000.123456");
	assert_int_equal(bridge_replies_bad_params(&p, &batch, 0, 3), 1);
	shows("SELECT concat($1::text[], $2::bytea[], cardinality($3::text[]), cardinality($4::timestamptz[]))", &p,
	      "{broken}{\"\\\\x3f\"}11");
}

static int setup(void **state)
{
	(void)state;
	bridge_replies_init(&batch);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	bridge_replies_fini(&batch);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_reply_belongs_to_the_device_of_its_topic),
		TEST(test_a_result_becomes_json),
		TEST(test_a_result_that_json_cannot_say_is_named_and_the_status_counts),
		TEST(test_what_is_no_reply_is_kept_with_the_reason),
		TEST(test_every_truncation_of_a_reply_is_bad_and_harmless),
		TEST(test_reasons_that_are_stored_have_no_control_characters),
		TEST(test_columns_stay_in_step_with_bad_replies_between),
	};
	if (postgres_missing() != NULL) {
		print_message("%s\n", postgres_missing());
		return 77;
	}
	postgres_start();
	conn = PQconnectdb(postgres_conninfo());
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	PQfinish(conn);
	return failed;
}
