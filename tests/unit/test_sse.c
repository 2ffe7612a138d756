/* SPDX-License-Identifier: Apache-2.0
 *
 * Server-Sent Events as coldfleet-api writes them, read by the reader of coldfleetctl; and snapshots of PostgreSQL. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/snapshot.h"
#include "api/sse.h"
#include "ops/ctl/sse.h"

static const struct sse_place place = {.xid = 4711, .id = 12, .since = 4698};

static bool on_event(void *arg, const char *type, const char *data, const char *id)
{
	char *seen = arg;
	size_t len = strlen(seen);
	snprintf(seen + len, 256 - len, "[%s|%s|%s]", type, data, id);
	return true;
}

static struct sse *read_back(struct evbuffer *from, char seen[256])
{
	struct sse *s = sse_new(on_event, seen);
	size_t len = evbuffer_get_length(from);
	seen[0] = '\0';
	assert_true(sse_feed(s, (const char *)evbuffer_pullup(from, -1), len));
	evbuffer_drain(from, len);
	return s;
}

static void check_event(const char *data, const char *expected)
{
	char seen[256];
	struct evbuffer *text = evbuffer_new();
	sse_event(text, &place, "alarm", data);
	struct sse *s = read_back(text, seen);
	assert_string_equal(seen, expected);
	sse_free(&s);
	evbuffer_free(text);
}

static void test_event_is_read_as_it_was_written(void **state)
{
	(void)state;
	check_event("{\"a\":1}", "[alarm|{\"a\":1}|4711-12-4698]");
	check_event("", "[alarm||4711-12-4698]");
}

static void test_line_ends_in_data_make_no_field_of_their_own(void **state)
{
	(void)state;
	check_event("a\nid: x", "[alarm|a\nid: x|4711-12-4698]");
	check_event("a\r\nevent: x\rb", "[alarm|a\nevent: x\nb|4711-12-4698]");
	check_event("a\n\n\nb\n", "[alarm|a\n\n\nb\n|4711-12-4698]");
}

static void test_sign_of_life_is_no_event_but_a_place(void **state)
{
	char seen[256];
	struct evbuffer *text = evbuffer_new();
	(void)state;
	sse_retry(text, 2);
	sse_beat(text, &place);
	struct sse *s = read_back(text, seen);
	assert_string_equal(seen, "");
	assert_string_equal(sse_last_id(s), "4711-12-4698");
	assert_int_equal(sse_pause(s), 2000);
	sse_free(&s);
	sse_beat(text, NULL);
	s = read_back(text, seen);
	assert_string_equal(sse_last_id(s), "");
	sse_free(&s);
	evbuffer_free(text);
}

static void test_snapshot_sees_what_had_ended(void **state)
{
	struct snapshot *s = snapshot_new("100:110:100,104,109");
	static const struct {
		uint64_t xid;
		bool seen;
	} rows[] = {{3, true},   {99, true},   {100, false}, {101, true}, {104, false},
		    {105, true}, {109, false}, {110, false}, {999, false}};
	(void)state;
	assert_non_null(s);
	assert_int_equal(snapshot_xmin(s), 100);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (snapshot_sees(s, rows[i].xid) != rows[i].seen)
			fail_msg("%llu: expected %d", (unsigned long long)rows[i].xid, rows[i].seen);
	assert_string_equal(snapshot_text(s), "100:110:100,104,109");
	snapshot_free(&s);
	assert_null(s);
}

static void test_text_that_is_no_snapshot_is_none(void **state)
{
	static const char *const wrong[] = {
		"", "1", "1:", "1:2", "x:2:", "2:1:", "1:2:x", "1:2:1,", "1:2:1,,2", "-1:2:"};
	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct snapshot *s = snapshot_new(wrong[i]);
		if (s != NULL)
			fail_msg("'%s' is taken", wrong[i]);
	}
	struct snapshot *s = snapshot_new("18446744073709551614:18446744073709551615:");
	assert_non_null(s);
	assert_true(snapshot_sees(s, UINT64_MAX - 2));
	snapshot_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_event_is_read_as_it_was_written),
		cmocka_unit_test(test_line_ends_in_data_make_no_field_of_their_own),
		cmocka_unit_test(test_sign_of_life_is_no_event_but_a_place),
		cmocka_unit_test(test_snapshot_sees_what_had_ended),
		cmocka_unit_test(test_text_that_is_no_snapshot_is_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
