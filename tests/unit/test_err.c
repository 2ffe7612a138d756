/* SPDX-License-Identifier: Apache-2.0
 *
 * Error values: always one terminated line of whole UTF-8 characters, and each code has a row for HTTP. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/err.h"

static void test_err_set_returns_false_and_takes_no_error_to_fill(void **state)
{
	(void)state;
	struct err e = {0};
	assert_false(err_set(&e, ERR_CONFIG, "line %d", 3));
	assert_int_equal(e.code, ERR_CONFIG);
	assert_string_equal(e.detail, "line 3");
	assert_false(err_set(NULL, ERR_CONFIG, "nobody listens"));
	assert_false(err_prefix(NULL, "nobody"));
}

static void test_a_prefix_goes_in_front_and_keeps_the_code(void **state)
{
	(void)state;
	struct err e = {0};
	err_set(&e, ERR_DECODE, "expected a number");
	assert_false(err_prefix(&e, "%s line %d: ", "/etc/x.ini", 3));
	assert_int_equal(e.code, ERR_DECODE);
	assert_string_equal(e.detail, "/etc/x.ini line 3: expected a number");
}

static void test_long_words_are_cut_off_and_terminated(void **state)
{
	(void)state;
	struct err e;
	memset(&e, 'x', sizeof(e));
	err_set(&e, ERR_CONFIG, "%0*d", 1000, 7);
	assert_int_equal(strlen(e.detail), sizeof(e.detail) - 1);
	err_prefix(&e, "%0*d", 1000, 7);
	assert_int_equal(strlen(e.detail), sizeof(e.detail) - 1);
}

static void test_a_character_is_never_cut_in_two(void **state)
{
	(void)state;
	static const char *const characters[] = {"\xc2\xb0", "\xe2\x82\xac", "\xf0\x9f\x8c\xa1"};
	for (size_t c = 0; c < 3; c++) {
		for (size_t shift = 0; shift < 4; shift++) {
			char words[600] = "....";
			size_t size = strlen(characters[c]);
			for (size_t at = shift; at + size < sizeof(words) - 1; at += size)
				memcpy(words + at, characters[c], size + 1);
			struct err e = {0};
			err_set(&e, ERR_CONFIG, "%s", words);
			assert_int_equal((strlen(e.detail) - shift) % size, 0);
			err_prefix(&e, "%s", "prefix: ");
			assert_int_equal((strlen(e.detail) - shift - 8) % size, 0);
			assert_true(strlen(e.detail) > sizeof(e.detail) - 5);
		}
	}
}

static void test_every_code_has_a_status_a_slug_and_a_title(void **state)
{
	(void)state;
	for (int code = ERR_NONE; code < ERR_CODES; code++) {
		const struct err_http *http = err_http((enum err_code)code);
		assert_non_null(http->slug);
		assert_non_null(http->title);
		assert_true(code == ERR_NONE ? http->status == 200 : http->status >= 400 && http->status <= 599);
	}
}

static void test_an_unknown_code_is_an_internal_error(void **state)
{
	(void)state;
	assert_ptr_equal(err_http(ERR_CODES), err_http(ERR_INTERNAL));
	assert_ptr_equal(err_http((enum err_code) - 1), err_http(ERR_INTERNAL));
	assert_int_equal(err_http(ERR_INTERNAL)->status, 500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_err_set_returns_false_and_takes_no_error_to_fill),
		cmocka_unit_test(test_a_prefix_goes_in_front_and_keeps_the_code),
		cmocka_unit_test(test_long_words_are_cut_off_and_terminated),
		cmocka_unit_test(test_a_character_is_never_cut_in_two),
		cmocka_unit_test(test_every_code_has_a_status_a_slug_and_a_title),
		cmocka_unit_test(test_an_unknown_code_is_an_internal_error),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
