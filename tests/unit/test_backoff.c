/* SPDX-License-Identifier: Apache-2.0
 *
 * How long a lost connection waits: doubling, bounded, never in step with its neighbours. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/backoff.h"

static double wait_of(struct backoff *b)
{
	struct timeval tv = backoff_fail(b);
	assert_in_range(tv.tv_usec, 0, 999999);
	return (double)tv.tv_sec + (double)tv.tv_usec / 1e6;
}

static void test_each_wait_lies_in_the_upper_half_of_its_doubling_step(void **state)
{
	(void)state;
	for (int round = 0; round < 200; round++) {
		struct backoff b = {.first = 0.2, .limit = 10};
		double step = 0.2;
		for (int i = 0; i < 10; i++) {
			double wait = wait_of(&b);
			assert_true(wait >= step / 2 - 1e-6 && wait <= step);
			step = step * 2 < 10 ? step * 2 : 10;
		}
	}
}

static void test_a_success_starts_the_steps_again(void **state)
{
	(void)state;
	struct backoff b = {.first = 0.5, .limit = 30};
	for (int i = 0; i < 20; i++)
		wait_of(&b);
	assert_true(wait_of(&b) >= 15);
	backoff_reset(&b);
	assert_true(wait_of(&b) <= 0.5);
}

static void test_two_that_fail_together_part_ways(void **state)
{
	(void)state;
	struct backoff a = {.first = 8, .limit = 8}, b = a;
	int equal = 0;
	for (int i = 0; i < 100; i++)
		equal += wait_of(&a) == wait_of(&b);
	assert_true(equal < 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_wait_lies_in_the_upper_half_of_its_doubling_step),
		cmocka_unit_test(test_a_success_starts_the_steps_again),
		cmocka_unit_test(test_two_that_fail_together_part_ways),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
