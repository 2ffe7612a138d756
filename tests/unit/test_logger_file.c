/* SPDX-License-Identifier: Apache-2.0
 *
 * Files of loggers: what each line becomes, and what is refused, with its line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "api/logger_file.h"

static char *slurp(const char *name, size_t *len)
{
	static char path[256];
	snprintf(path, sizeof(path), "../fuzz/corpus/fuzz_logger_file/%s", name);
	FILE *f = fopen(path, "rb");
	assert_non_null(f);
	char *bytes = malloc(65536);
	assert_non_null(bytes);
	*len = fread(bytes, 1, 65536, f);
	fclose(f);
	return bytes;
}

static json_t *read_all(const char *bytes, size_t len)
{
	char *json;
	struct err e = {0};
	if (!logger_file_read(bytes, len, &json, &e))
		fail_msg("%s", e.detail);
	json_t *all = json_loads(json, 0, NULL);
	assert_non_null(all);
	free(json);
	return all;
}

static json_t *read_sample(const char *name)
{
	size_t len;
	char *bytes = slurp(name, &len);
	json_t *all = read_all(bytes, len);
	free(bytes);
	return all;
}

static void check_text(json_t *object, const char *name, const char *expected)
{
	const char *got = json_string_value(json_object_get(object, name));
	if (expected == NULL)
		assert_null(got);
	else
		assert_string_equal(got, expected);
}

static void test_a_qtag_gives_limits_stretches_and_figures(void **state)
{
	(void)state;
	json_t *all = read_sample("q-tag.txt"), *verdicts = json_object_get(all, "verdicts");
	check_text(all, "format", "q-tag");
	check_text(all, "serial", "TEST00001");
	check_text(json_object_get(all, "facts"), "Conf/User String 1", "to Kumasi, by road: cold");
	check_text(json_object_get(all, "facts"), "Conf/Test TS", "2026-09-01 10:00");
	assert_int_equal(json_array_size(json_object_get(all, "limits")), 3);
	check_text(json_array_get(json_object_get(all, "limits"), 2), "limit_c", "2.0");
	assert_int_equal(json_array_size(verdicts), 2);
	check_text(json_array_get(verdicts, 0), "minutes", "40");
	check_text(json_array_get(verdicts, 0), "alarm_at", "2026-11-01T08:55");
	check_text(json_array_get(verdicts, 0), "ended_at", NULL);
	check_text(json_array_get(verdicts, 1), "number", "1");
	check_text(json_array_get(json_object_get(all, "spans"), 0), "mkt_c", "5.1");
	assert_int_equal(json_array_size(json_object_get(all, "markers")), 1);
	json_decref(all);
}

static void test_a_sample_without_a_value_is_null(void **state)
{
	(void)state;
	json_t *all = read_sample("q-tag.txt");
	assert_int_equal(json_array_size(json_object_get(all, "ts")), 5);
	assert_true(json_is_null(json_array_get(json_object_get(all, "c"), 3)));
	assert_string_equal(json_string_value(json_array_get(json_object_get(all, "x"), 4)), "x");
	json_decref(all);
}

static void test_times_of_day_of_a_fridge_tag_belong_to_their_day(void **state)
{
	(void)state;
	json_t *all = read_sample("fridge-tag.txt"), *verdict = json_array_get(json_object_get(all, "verdicts"), 1);
	check_text(verdict, "alarm_at", "2026-11-02T08:00");
	check_text(verdict, "date", "2026-11-02");
	check_text(verdict, "ambient_c", "+24.9");
	check_text(json_object_get(all, "facts"), "Hist/1/Ext Sensor timeout/t AccST", "17");
	check_text(json_array_get(json_object_get(all, "spans"), 1), "min_at", "2026-11-01T16:50");
	json_decref(all);
}

#define HEAD "Device: Q-tag\nConf:\n Serial: 1\n"
#define DATA "Data:\n\tyyyy-MM-dd hh:mm\tT\tOut of limits\n"

static void test_what_is_not_to_the_letter_is_refused_with_its_line(void **state)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{"", "Device: expected"},
		{"Device: Q-tag\n" DATA "\t2026-11-01 08:00\t4.0\t\n", "Serial"},
		{"Device: Libero\nConf:\n Serial: 1\n" DATA "\t2026-11-01 08:00\t4.0\t\n", "Device: expected"},
		{HEAD, "at least one sample"},
		{HEAD " Temp unit: F\n" DATA "\t2026-11-01 08:00\t4.0\t\n", "Temp unit"},
		{HEAD DATA "\t2026-02-29 08:00\t4.0\t\n", "line 6: expected a time"},
		{HEAD DATA "\t2026-11-01 24:00\t4.0\t\n", "line 6: expected a time"},
		{HEAD DATA "\t2026-11-01 08:00\t4,0\t\n", "line 6: expected a temperature"},
		{HEAD DATA "\t2026-11-01 08:00\t4.0\ty\n", "line 6: expected x or nothing"},
		{HEAD DATA "\t2026-11-01 08:00\t4.0\n", "line 6: expected three columns"},
		{HEAD "Data:\n\tT\tyyyy-MM-dd hh:mm\n", "line 5: expected the columns"},
		{HEAD "   Deep: 1\n", "line 4: expected at most one space"},
		{HEAD " Serial: 2\n", "line 4: expected each name once"},
		{HEAD " no name\n", "line 4: expected NAME: VALUE"},
		{HEAD "\t2026-11-01 08:00\t4.0\t\n", "line 4: expected spaces"},
		{HEAD " Alarm:\n  1:\n   T AL: warm\n", "line 6: expected a temperature"},
		{"Hist:\n 1:\n  Min T: 1.0, TS Min T: 10:00\n", "line 3: expected a time of day"},
		{"Device: Q-tag\x01\n", "line 1: expected text"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *json;
		struct err e = {0};
		assert_false(logger_file_read(cases[i].text, strlen(cases[i].text), &json, &e));
		assert_null(json);
		assert_int_equal(e.code, ERR_INVALID);
		if (strstr(e.detail, cases[i].says) == NULL)
			fail_msg("case %zu: got \"%s\", expected \"%s\"", i, e.detail, cases[i].says);
	}
}

static void test_bytes_that_are_no_text_are_refused(void **state)
{
	static const char nul[] = HEAD "\0" DATA "\t2026-11-01 08:00\t4.0\t\n";
	char *json;
	struct err e = {0};
	(void)state;
	assert_false(logger_file_read(nul, sizeof(nul) - 1, &json, &e));
	assert_false(logger_file_read("\xff\xfe", 2, &json, &e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_qtag_gives_limits_stretches_and_figures),
		cmocka_unit_test(test_a_sample_without_a_value_is_null),
		cmocka_unit_test(test_times_of_day_of_a_fridge_tag_belong_to_their_day),
		cmocka_unit_test(test_what_is_not_to_the_letter_is_refused_with_its_line),
		cmocka_unit_test(test_bytes_that_are_no_text_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
