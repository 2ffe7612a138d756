/* SPDX-License-Identifier: Apache-2.0
 *
 * Bodies against tables of fields: what is taken, what is refused and in which words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "api/fields.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct field part[] = {
	{.name = "imei", .type = FIELD_DIGITS, .required = true, .min = 15, .max = 15},
};
static const struct field table[] = {
	{.name = "serial", .type = FIELD_SERIAL, .required = true},
	{.name = "text", .type = FIELD_TEXT, .nullable = true, .min = 1, .max = 5},
	{.name = "word", .type = FIELD_WORD, .words = "one,two"},
	{.name = "int", .type = FIELD_INT, .min = -5, .max = 10},
	{.name = "number", .type = FIELD_NUMBER, .min = 0, .max = 1.5},
	{.name = "bool", .type = FIELD_BOOL},
	{.name = "time", .type = FIELD_TIME},
	{.name = "date", .type = FIELD_DATE},
	{.name = "texts", .type = FIELD_TEXTS, .max = 2},
	{.name = "ints", .type = FIELD_INTS, .min = 1, .max = 2},
	{.name = "parts", .type = FIELD_OBJECTS, .max = 2, .fields = part, .field_count = COUNT(part)},
	{.name = "any", .type = FIELD_OBJECT},
	{.name = "part", .type = FIELD_OBJECT, .fields = part, .field_count = COUNT(part)},
};

static struct err last;

static enum err_code check(const char *body)
{
	last = (struct err){0};
	bool ok = fields_check(table, COUNT(table), body, strlen(body), &last);
	assert_int_equal(ok, last.code == ERR_NONE);
	return last.code;
}

/* The same with one more field after the serial. */
static enum err_code with(const char *field)
{
	char body[400];
	snprintf(body, sizeof(body), "{\"serial\":\"a\",%s}", field);
	return check(body);
}

static void test_values_within_their_bounds_are_taken(void **state)
{
	static const char *const good[] = {
		"\"text\":\"\\u00e4\\u00e4\\u00e4\\u00e4\\u00e4\"",
		"\"text\":null",
		"\"text\":\" a\\n\"",
		"\"text\":\"\\u200b\"",
		"\"word\":\"two\"",
		"\"int\":-5",
		"\"number\":1.5",
		"\"number\":1",
		"\"bool\":false",
		"\"time\":\"2026-11-22T08:00:00+01:00\"",
		"\"date\":\"2024-02-29\"",
		"\"texts\":[]",
		"\"texts\":[\"a\",\"b\"]",
		"\"parts\":[]",
		"\"parts\":[{\"imei\":\"490154203237518\"},{\"imei\":\"490154203237518\"}]",
		"\"ints\":[2147483647]",
		"\"any\":{\"x\":[1,{\"y\":null}]}",
		"\"part\":{\"imei\":\"490154203237518\"}",
	};
	(void)state;
	for (size_t i = 0; i < COUNT(good); i++)
		if (with(good[i]) != ERR_NONE)
			fail_msg("%s: %s", good[i], last.detail);
}

static void test_values_beyond_their_bounds_are_refused_by_name(void **state)
{
	static const char *const bad[] = {
		"\"text\":\"\"",
		"\"text\":\"aaaaaa\"",
		"\"text\":\"\\u0007\"",
		"\"text\":\" \"",
		"\"text\":\" \\t\\n\"",
		"\"text\":\"\\u00a0\\u1680\\u2003\\u3000\\ufeff\"",
		"\"text\":1",
		"\"word\":\"one,two\"",
		"\"word\":\"\"",
		"\"word\":null",
		"\"int\":11",
		"\"int\":1.0",
		"\"int\":\"1\"",
		"\"number\":2",
		"\"bool\":0",
		"\"time\":\"2026-11-22\"",
		"\"date\":\"2026-02-29\"",
		"\"date\":\"2026-11-22T\"",
		"\"texts\":[\"a\",\"b\",\"c\"]",
		"\"texts\":[1]",
		"\"texts\":[\"a\",\" \"]",
		"\"parts\":{}",
		"\"parts\":[1]",
		"\"parts\":[{}]",
		"\"parts\":[{\"imei\":\"490154203237518\",\"x\":1}]",
		"\"parts\":[{\"imei\":\"490154203237518\"},{\"imei\":\"490154203237518\"},{\"imei\":"
		"\"490154203237518\"}]",
		"\"texts\":{}",
		"\"ints\":[]",
		"\"ints\":[0]",
		"\"ints\":[2147483648]",
		"\"any\":[]",
		"\"part\":{\"imei\":\"49015420323751\"}",
		"\"part\":{}",
		"\"part\":null",
	};
	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		const char *name = bad[i] + 1;
		if (with(bad[i]) != ERR_INVALID || strncmp(last.detail, name, strcspn(name, "\"")) != 0)
			fail_msg("%s: %d %s", bad[i], (int)last.code, last.detail);
	}
}

static void test_unknown_field_is_refused_with_the_known_ones(void **state)
{
	(void)state;
	assert_int_equal(with("\"nmae\":1"), ERR_INVALID);
	assert_non_null(strstr(last.detail, "nmae: unknown field, expected one of serial, text, word"));
	assert_int_equal(with("\"part\":{\"imei\":\"490154203237518\",\"x\":1}"), ERR_INVALID);
	assert_non_null(strstr(last.detail, "part.x: unknown field, expected one of imei"));
}

static void test_missing_field_is_named(void **state)
{
	(void)state;
	assert_int_equal(check("{}"), ERR_INVALID);
	assert_non_null(strstr(last.detail, "serial: expected it"));
}

static void test_what_can_be_read_in_two_ways_is_no_body(void **state)
{
	static const char *const bad[] = {
		"",
		"{",
		"[]",
		"null",
		"\"a\"",
		"{\"serial\":\"a\",\"serial\":\"a\"}",
		"{} {}",
		"{}x",
		"{\"serial\":\"a\",}",
		"{'a'}",
		"{\"serial\":\"\\u0000\"}",
		"{\"serial\":\"\\ud800\"}",
		"{\"serial\":\"\xff\"}",
	};
	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++)
		if (check(bad[i]) != ERR_REQUEST)
			fail_msg("%s: %d %s", bad[i], (int)last.code, last.detail);
	assert_false(fields_check(table, COUNT(table), "{\"serial\":\"a\"}\0", 15, &last));
	assert_int_equal(last.code, ERR_REQUEST);
}

static void test_depth_is_bounded(void **state)
{
	(void)state;
	assert_int_equal(with("\"any\":{\"x\":[[[[[[1]]]]]]}"), ERR_NONE);
	assert_int_equal(with("\"any\":{\"x\":[[[[[[[1]]]]]]]}"), ERR_REQUEST);
	assert_int_equal(with("\"any\":{\"[[[[[[[[\\\"[[[[\":1}"), ERR_NONE);
}

static void test_only_json_is_a_body(void **state)
{
	(void)state;
	assert_true(fields_media("application/json", false, NULL));
	assert_true(fields_media("Application/JSON; charset=utf-8", false, NULL));
	assert_true(fields_media("application/merge-patch+json", true, NULL));
	assert_false(fields_media("application/merge-patch+json", false, NULL));
	assert_false(fields_media("text/plain", true, NULL));
	assert_false(fields_media("application/jsonx", true, NULL));
	assert_false(fields_media(NULL, true, &last));
	assert_int_equal(last.code, ERR_MEDIA);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values_within_their_bounds_are_taken),
		cmocka_unit_test(test_values_beyond_their_bounds_are_refused_by_name),
		cmocka_unit_test(test_unknown_field_is_refused_with_the_known_ones),
		cmocka_unit_test(test_missing_field_is_named),
		cmocka_unit_test(test_what_can_be_read_in_two_ways_is_no_body),
		cmocka_unit_test(test_depth_is_bounded),
		cmocka_unit_test(test_only_json_is_a_body),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
