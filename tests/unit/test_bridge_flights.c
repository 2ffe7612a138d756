/* SPDX-License-Identifier: Apache-2.0
 *
 * The window of commands in flight: each is found by its packet id, once, and there are never more than the window. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker-bridge/bridge_flights.h"

static struct flight numbered(int32_t generation)
{
	return (struct flight){.generation = generation, .serial_len = 1, .serial = "a"};
}

static void test_a_flight_is_found_by_its_packet_id_and_only_once(void **state)
{
	struct flights *f = flights_new(3);
	struct flight one = numbered(7), out;
	(void)state;
	assert_true(flights_add(f, 65535, &one));
	assert_false(flights_take(f, 1, &out));
	assert_true(flights_take(f, 65535, &out));
	assert_int_equal(out.generation, 7);
	assert_false(flights_take(f, 65535, &out));
	assert_int_equal(flights_count(f), 0);
	flights_free(&f);
}

static void test_a_full_window_and_a_packet_id_in_use_are_refused(void **state)
{
	struct flights *f = flights_new(2);
	struct flight one = numbered(1), out;
	(void)state;
	assert_true(flights_add(f, 1, &one));
	assert_false(flights_add(f, 1, &one));
	assert_true(flights_add(f, 2, &one));
	assert_false(flights_add(f, 3, &one));
	assert_true(flights_take(f, 1, &out));
	assert_true(flights_add(f, 3, &one));
	flights_free(&f);
}

static void test_packet_ids_that_do_not_exist_are_refused(void **state)
{
	struct flights *f = flights_new(2);
	struct flight one = numbered(1), out;
	(void)state;
	const int bad[] = {-1, 0, 65536};
	for (size_t i = 0; i < 3; i++) {
		assert_false(flights_add(f, bad[i], &one));
		assert_false(flights_take(f, bad[i], &out));
	}
	flights_free(&f);
}

static void test_thousands_of_flights_in_any_order_come_back_as_they_were(void **state)
{
	enum { WINDOW = 100, STEPS = 100000 };
	static int32_t expected[65536];
	struct flights *f = flights_new(WINDOW);
	uint32_t random = 1;
	size_t count = 0;
	(void)state;
	for (int step = 1; step < STEPS; step++) {
		random = random * 1664525 + 1013904223;
		int mid = (int)(random >> 24) + 1;
		struct flight flight = numbered(step), out;
		if (expected[mid] == 0 && count < WINDOW) {
			assert_true(flights_add(f, mid, &flight));
			expected[mid] = step;
			count++;
		} else if (expected[mid] != 0) {
			assert_true(flights_take(f, mid, &out));
			assert_int_equal(out.generation, expected[mid]);
			expected[mid] = 0;
			count--;
		}
		assert_int_equal(flights_count(f), count);
	}
	flights_clear(f);
	assert_int_equal(flights_count(f), 0);
	struct flight one = numbered(1);
	for (int mid = 1; mid <= WINDOW; mid++)
		assert_true(flights_add(f, mid, &one));
	flights_free(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_flight_is_found_by_its_packet_id_and_only_once),
		cmocka_unit_test(test_a_full_window_and_a_packet_id_in_use_are_refused),
		cmocka_unit_test(test_packet_ids_that_do_not_exist_are_refused),
		cmocka_unit_test(test_thousands_of_flights_in_any_order_come_back_as_they_were),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
