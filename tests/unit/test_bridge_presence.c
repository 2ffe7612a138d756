/* SPDX-License-Identifier: Apache-2.0
 *
 * The set of serials just heard: nothing is forgotten by growing or by removing others, and it has a limit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker-bridge/bridge_presence.h"

enum { SERIALS = 2000 };

static size_t name(char out[24], unsigned number)
{
	return (size_t)snprintf(out, 24, "tracker-%u", number);
}

static void test_a_serial_is_in_the_set_once_however_often_it_is_heard(void **state)
{
	struct presence *p = presence_new(10);
	(void)state;
	assert_true(presence_add(p, "a", 1));
	assert_true(presence_add(p, "a", 1));
	assert_true(presence_add(p, "ab", 2));
	assert_int_equal(presence_count(p), 2);
	assert_true(presence_has(p, "a", 1) && presence_has(p, "ab", 2));
	assert_false(presence_has(p, "b", 1));
	presence_free(&p);
}

static void test_a_full_set_takes_no_more_but_knows_what_it_has(void **state)
{
	struct presence *p = presence_new(2);
	(void)state;
	assert_true(presence_add(p, "a", 1) && presence_add(p, "b", 1));
	assert_false(presence_add(p, "c", 1));
	assert_true(presence_add(p, "a", 1));
	presence_remove(p, "a", 1);
	assert_true(presence_add(p, "c", 1));
	assert_int_equal(presence_count(p), 2);
	presence_free(&p);
}

/* Against an array of booleans, in a pseudo-random order that is the same each time. */
static void test_any_order_of_adding_and_removing_leaves_what_it_should(void **state)
{
	static bool expected[SERIALS];
	struct presence *p = presence_new(SERIALS);
	uint32_t random = 1;
	(void)state;
	for (int step = 0; step < 200000; step++) {
		char serial[24];
		random = random * 1664525 + 1013904223;
		unsigned number = (random >> 8) % SERIALS;
		size_t len = name(serial, number);
		expected[number] = (random & 0x80) != 0;
		if (expected[number])
			assert_true(presence_add(p, serial, len));
		else
			presence_remove(p, serial, len);
	}
	size_t count = 0;
	for (unsigned i = 0; i < SERIALS; i++) {
		char serial[24];
		size_t len = name(serial, i);
		assert_int_equal(presence_has(p, serial, len), expected[i]);
		count += expected[i];
	}
	assert_int_equal(presence_count(p), count);
	presence_free(&p);
}

static void test_moving_joins_two_sets_and_empties_the_one(void **state)
{
	struct presence *to = presence_new(3), *from = presence_new(3);
	(void)state;
	presence_add(to, "a", 1);
	presence_add(from, "a", 1);
	presence_add(from, "b", 1);
	presence_move(to, from);
	assert_int_equal(presence_count(from), 0);
	assert_int_equal(presence_count(to), 2);
	assert_true(presence_has(to, "b", 1));
	presence_free(&to);
	presence_free(&from);
}

static void test_the_array_holds_every_serial(void **state)
{
	struct presence *p = presence_new(100);
	struct arena *arena = arena_new(0);
	(void)state;
	assert_int_equal(presence_array(p, arena).count, 0);
	presence_add(p, "one", 3);
	presence_add(p, "seven", 5);
	struct pg_array a = presence_array(p, arena);
	assert_int_equal(a.count, 2);
	assert_non_null(memmem(a.data, a.len, "\0\0\0\3one", 7));
	assert_non_null(memmem(a.data, a.len, "\0\0\0\5seven", 9));
	arena_free(&arena);
	presence_free(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_serial_is_in_the_set_once_however_often_it_is_heard),
		cmocka_unit_test(test_a_full_set_takes_no_more_but_knows_what_it_has),
		cmocka_unit_test(test_any_order_of_adding_and_removing_leaves_what_it_should),
		cmocka_unit_test(test_moving_joins_two_sets_and_empties_the_one),
		cmocka_unit_test(test_the_array_holds_every_serial),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
