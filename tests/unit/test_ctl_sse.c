/* SPDX-License-Identifier: Apache-2.0
 *
 * Server-Sent Events as coldfleetctl reads them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ops/ctl/sse.h"

static char seen[4096];
static size_t limit;

static bool on_event(void *arg, const char *type, const char *data, const char *id)
{
	size_t *count = arg;
	size_t len = strlen(seen);
	snprintf(seen + len, sizeof(seen) - len, "[%s|%s|%s]", type, data, id);
	return limit == 0 || ++*count < limit;
}

/* Feeds the text in pieces of `piece` bytes. */
static struct sse *feed(const char *text, size_t piece, bool expected)
{
	static size_t count;
	struct sse *s = sse_new(on_event, &count);
	bool ok = true;
	count = 0;
	seen[0] = '\0';
	for (size_t at = 0, len = strlen(text); ok && at < len; at += piece)
		ok = sse_feed(s, text + at, len - at < piece ? len - at : piece);
	assert_int_equal(ok, expected);
	return s;
}

static void test_events_are_the_same_in_pieces_of_any_size(void **state)
{
	static const char text[] =
		": hello\n\nid: 1\nevent: alarm\ndata: {\"a\":1}\n\n:\r\n\r\n"
		"data:two\rdata: lines\r\rid:2\r\nretry: 1500\r\nunknown: x\r\ndata\r\n\r\nevent: none\n\n"
		"data: unfinished\n";
	(void)state;
	for (size_t piece = 1; piece <= sizeof(text); piece++) {
		struct sse *s = feed(text, piece, true);
		assert_string_equal(seen, "[alarm|{\"a\":1}|1][message|two\nlines|1][message||2]");
		assert_string_equal(sse_last_id(s), "2");
		assert_int_equal(sse_pause(s), 1500);
		sse_free(&s);
	}
}

static void test_stream_that_broke_inside_an_event_resumes_before_it(void **state)
{
	struct sse *s = feed("id: 1\ndata: a\n\nid: 2\ndata: b", 7, true);
	(void)state;
	assert_string_equal(sse_last_id(s), "1");
	sse_restart(s);
	assert_true(sse_feed(s, "data: c\n\n", 9));
	assert_string_equal(seen, "[message|a|1][message|c|1]");
	sse_free(&s);
}

static void test_listener_can_end_the_stream(void **state)
{
	(void)state;
	limit = 2;
	struct sse *s = feed("data: a\n\ndata: b\n\ndata: c\n\n", 100, false);
	assert_string_equal(seen, "[message|a|][message|b|]");
	limit = 0;
	sse_free(&s);
}

static void test_line_without_end_does_not_eat_all_memory(void **state)
{
	static char piece[65536];
	struct sse *s = sse_new(on_event, NULL);
	size_t taken = 0;
	(void)state;
	memset(piece, 'x', sizeof(piece));
	while (sse_feed(s, piece, sizeof(piece)))
		taken += sizeof(piece);
	assert_int_equal(taken, SSE_EVENT_MAX);
	sse_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_events_are_the_same_in_pieces_of_any_size),
		cmocka_unit_test(test_stream_that_broke_inside_an_event_resumes_before_it),
		cmocka_unit_test(test_listener_can_end_the_stream),
		cmocka_unit_test(test_line_without_end_does_not_eat_all_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
