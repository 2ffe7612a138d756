/* SPDX-License-Identifier: Apache-2.0
 *
 * Who may ask how often: the arithmetic of the buckets, and a table that stays as small as it is. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "api/rate.h"

static struct rate_verdict take(struct rate *r, uint32_t who, double now)
{
	unsigned char key[RATE_KEY] = {0};
	memcpy(key, &who, sizeof(who));
	return rate_take(r, key, now);
}

static void test_burst_is_spent_and_comes_back_at_the_rate(void **state)
{
	(void)state;
	struct rate *r = rate_new(2, 5, 10);
	for (int i = 4; i >= 0; i--) {
		struct rate_verdict v = take(r, 1, 100);
		assert_true(v.allowed);
		assert_int_equal(v.remaining, i);
	}
	struct rate_verdict v = take(r, 1, 100);
	assert_false(v.allowed);
	assert_true(fabs(v.next_in - 0.5) < 1e-9 && fabs(v.full_in - 2.5) < 1e-9);
	assert_false(take(r, 1, 100.4).allowed);
	assert_true(take(r, 1, 100.5).allowed);
	assert_int_equal(take(r, 1, 1000).remaining, 4);
	rate_free(&r);
}

static void test_each_key_has_its_own_bucket(void **state)
{
	(void)state;
	struct rate *r = rate_new(1, 1, 1000);
	for (uint32_t who = 0; who < 1000; who++)
		assert_true(take(r, who, 0).allowed);
	for (uint32_t who = 0; who < 1000; who++)
		assert_false(take(r, who, 0.5).allowed);
	for (uint32_t who = 0; who < 1000; who++)
		assert_true(take(r, who, 1.5).allowed);
	rate_free(&r);
}

static void test_key_not_seen_for_longest_makes_room(void **state)
{
	(void)state;
	struct rate *r = rate_new(1, 1, 3);
	for (uint32_t who = 1; who <= 3; who++)
		take(r, who, 0);
	take(r, 1, 0.1); /* 2 is the oldest now */
	take(r, 4, 0.1);
	assert_int_equal(rate_keys(r), 3);
	assert_false(take(r, 1, 0.2).allowed);
	assert_false(take(r, 3, 0.2).allowed);
	assert_true(take(r, 2, 0.2).allowed);
	rate_free(&r);
}

static void test_a_million_strangers_do_not_grow_the_table(void **state)
{
	(void)state;
	struct rate *r = rate_new(1, 1, 500);
	for (uint32_t who = 0; who < 1000000; who++) {
		assert_true(take(r, who, who * 1e-6).allowed);
		assert_false(take(r, who, who * 1e-6).allowed);
	}
	assert_int_equal(rate_keys(r), 500);
	rate_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_burst_is_spent_and_comes_back_at_the_rate),
		cmocka_unit_test(test_each_key_has_its_own_bucket),
		cmocka_unit_test(test_key_not_seen_for_longest_makes_room),
		cmocka_unit_test(test_a_million_strangers_do_not_grow_the_table),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
