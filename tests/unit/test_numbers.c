/* SPDX-License-Identifier: Apache-2.0
 *
 * Numbers that nobody can keep are refused by name, wherever they are in a body; all others are let through. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/numbers.h"

static void test_numbers_that_can_be_kept_are_let_through(void **state)
{
	(void)state;
	static const char *const rows[] = {
		"",
		"{\"TVC\":4.125,\"a\":[-0,1e400,1E-400,2.5e+300]}",
		"{\"1e-999999\":\"1e999999\",\"\\\"1e999999\":true}",
		"\"1e999999",
		"\"\\",
		"no JSON - at all",
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err e = {0};
		char *exact = malloc(strlen(rows[i]) + 1); /* so that a sanitizer sees a byte too many being read */
		assert_non_null(exact);
		memcpy(exact, rows[i], strlen(rows[i]) + 1);
		if (!numbers_check(exact, strlen(rows[i]), &e))
			fail_msg("%s: %s", rows[i], e.detail);
		free(exact);
	}
}

static void test_others_are_refused_by_name_and_place(void **state)
{
	(void)state;
	static const struct {
		const char *json, *why;
	} rows[] = {
		{"{\"TVC\":1e-999999}", "TVC: byte 7: expected a number of at most 400 characters and an exponent of "
					"-400 to 400, got 1e-999999"},
		{"{\"TVC\":1e999999}", "got 1e999999"},
		{"{\"TVC\":[1, -1E+401]}", "TVC: byte 11: "},
		{"{\"TVC\":1e99999999999999999999}", "got 1e99999999999999999999"},
		{"[1e-401]", "body: byte 1: "},
		{"{\"a\":\"b\\\"\",\"c\":1e401}", "c: byte 15: "},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err e = {0};
		assert_false(numbers_check(rows[i].json, strlen(rows[i].json), &e));
		assert_int_equal(e.code, ERR_INVALID);
		if (strstr(e.detail, rows[i].why) == NULL)
			fail_msg("%s: %s", rows[i].json, e.detail);
	}
}

static void test_a_number_has_so_many_characters_and_no_more(void **state)
{
	(void)state;
	char json[NUMBERS_MOST + 1];
	struct err e = {0};
	memset(json, '9', sizeof(json));
	json[1] = '.';
	assert_true(numbers_check(json, NUMBERS_MOST, &e));
	assert_false(numbers_check(json, NUMBERS_MOST + 1, &e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers_that_can_be_kept_are_let_through),
		cmocka_unit_test(test_others_are_refused_by_name_and_place),
		cmocka_unit_test(test_a_number_has_so_many_characters_and_no_more),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
