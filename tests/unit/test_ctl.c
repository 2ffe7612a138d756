/* SPDX-License-Identifier: Apache-2.0
 *
 * What coldfleetctl makes of times, arguments, foreign text and JSON, without a server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ops/ctl/chart.h"
#include "ops/ctl/table.h"
#include "ops/ctl/target.h"
#include "ops/ctl/text.h"
#include "ops/ctl/when.h"

#define NOW 1789997600 /* 2026-09-21T13:33:20Z */

static void test_spans_have_units_larger_ones_first_each_once(void **state)
{
	static const struct {
		const char *text;
		int64_t seconds;
	} good[] = {{"90s", 90}, {"0s", 0}, {"15m", 900}, {"1h30m", 5400}, {"7d", 604800}, {"2w1d", 1296000}};
	static const char *const bad[] = {
		"", "90", "m", "-5m", "5 m", "5M", "1m1h", "1h1h", "1.5h", "1h5", "99999999999999999999d"};
	struct err e = {0};
	int64_t seconds;
	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_true(span_parse(good[i].text, &seconds, &e));
		assert_int_equal(seconds, good[i].seconds);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_false(span_parse(bad[i], &seconds, &e));
		assert_int_equal(e.code, ERR_CONFIG);
		assert_non_null(strstr(e.detail, "expected a span"));
	}
}

static void test_span_is_one_unit_for_the_api(void **state)
{
	static const struct {
		int64_t seconds;
		const char *text;
	} rows[] = {{0, "0s"}, {90, "90s"}, {120, "2m"}, {129600, "36h"}, {86400, "1d"}, {1209600, "14d"}};
	char text[24];
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		span_text(rows[i].seconds, text, sizeof(text));
		assert_string_equal(text, rows[i].text);
	}
}

static void test_moments_are_relative_a_day_or_rfc_3339(void **state)
{
	static const struct {
		const char *text, *when;
	} good[] = {
		{"now", "2026-09-21T13:33:20Z"},
		{"-24h", "2026-09-20T13:33:20Z"},
		{"+30d", "2026-10-21T13:33:20Z"},
		{"-100w", "2024-10-21T13:33:20Z"},
		{"2026-02-28", "2026-02-28T00:00:00Z"},
		{"2026-11-22T08:00:00.25+01:00", "2026-11-22T08:00:00.25+01:00"},
	};
	static const char *const bad[] = {
		"", "24h", "-", "yesterday", "2026-02-30", "2026-11-22 08:00", "2026-11-22T08:00:00"};
	struct err e = {0};
	char when[WHEN_MAX];
	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_true(when_parse(good[i].text, NOW, when, &e));
		assert_string_equal(when, good[i].when);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(when_parse(bad[i], NOW, when, &e));
}

static void test_ago_uses_a_unit_when_there_are_two_of_it(void **state)
{
	static const struct {
		const char *at, *ago;
	} rows[] = {
		{"2026-09-21T13:33:20.9Z", "0s"}, {"2026-09-21T13:33:19Z", "1s"},   {"2026-09-21T13:31:30Z", "110s"},
		{"2026-09-21T13:31:20Z", "2m"},   {"2026-09-21T11:33:21Z", "119m"}, {"2026-09-21T11:33:20Z", "2h"},
		{"2026-09-19T13:33:20Z", "2d"},   {"2025-09-21T13:33:20Z", "365d"}, {"2026-09-21T13:43:20Z", "-10m"},
		{"not a time", "not a time"},
	};
	char ago[40];
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		when_ago(rows[i].at, NOW, ago, sizeof(ago));
		assert_string_equal(ago, rows[i].ago);
	}
}

static void test_argument_cannot_become_another_segment_or_parameter(void **state)
{
	char *args[] = {(char[]){"a/../b?c=d&e"}, (char[]){"é"}};
	struct target t;
	(void)state;
	target_path(&t, "/v1/devices/{serial}/x/{id}", args);
	target_param(&t, "q", NULL);
	target_param(&t, "q", "a b&c=d+#");
	target_param(&t, "from", "2026-11-22T08:00:00Z");
	assert_true(target_ok(&t, NULL));
	assert_string_equal(t.text, "/v1/devices/a%2F..%2Fb%3Fc%3Dd%26e/x/%C3%A9?q=a%20b%26c%3Dd%2B%23"
				    "&from=2026-11-22T08%3A00%3A00Z");
}

static void test_address_that_does_not_fit_is_refused_whole(void **state)
{
	char big[TARGET_MAX + 1];
	struct target t;
	struct err e = {0};
	(void)state;
	memset(big, 'a', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	target_path(&t, "/v1/devices", NULL);
	target_param(&t, "q", big);
	target_param(&t, "limit", "5");
	assert_false(target_ok(&t, &e));
	assert_int_equal(e.code, ERR_CONFIG);
}

static void check_clean(const char *text, const char *expected)
{
	char *clean = text_clean(text);
	assert_string_equal(clean, expected);
	free(clean);
}

static void test_foreign_text_cannot_steer_the_terminal(void **state)
{
	(void)state;
	check_clean("plain é ✓ 冷", "plain é ✓ 冷");
	check_clean("\033[31mred", "\xef\xbf\xbd[31mred");
	check_clean("a\nb\r\x7f", "a\xef\xbf\xbd"
				  "b\xef\xbf\xbd\xef\xbf\xbd");
	check_clean("\xc2\x9b"
		    "31m",
		    "\xef\xbf\xbd"
		    "31m");                                /* CSI as one C1 character */
	check_clean("\xe2\x80\xaexyz", "\xef\xbf\xbdxyz"); /* right-to-left override */
	check_clean("\xc0\xaf\xed\xa0\x80\xff",
		    "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
	check_clean("cut \xe2\x82", "cut \xef\xbf\xbd\xef\xbf\xbd");
}

static void test_width_counts_columns_not_bytes(void **state)
{
	(void)state;
	assert_int_equal(text_width("abc"), 3);
	assert_int_equal(text_width("°C é"), 4);
	assert_int_equal(text_width("冷蔵"), 4);
	assert_int_equal(text_width("e\xcc\x81"), 1);
}

/* The table that prints the items of a JSON list, as text to be freed. */
static char *printed(const struct column *columns, size_t count, const char *items, size_t width)
{
	char *text = NULL;
	size_t len = 0, i;
	FILE *to = open_memstream(&text, &len);
	json_t *list = json_loads(items, 0, NULL), *item;
	assert_non_null(list);
	struct table *t = table_new(columns, count, to, width, false, NOW);
	json_array_foreach(list, i, item)
	{
		table_add(t, item);
	}
	table_flush(t);
	table_free(&t);
	json_decref(list);
	fclose(to);
	return text;
}

static const struct column columns[] = {
	{"SERIAL", "serial", CELL_TEXT},  {"EMPTY", "none", CELL_TEXT}, {"°C", "latest.temperature_c", CELL_TENTHS},
	{"HEARD", "latest.at", CELL_AGO}, {"TAGS", "tags", CELL_TEXT},
};
#define COLUMNS (sizeof(columns) / sizeof(columns[0]))

static void test_columns_fit_their_cells_and_empty_ones_are_left_out(void **state)
{
	(void)state;
	char *text = printed(
		columns, COLUMNS,
		"[{\"serial\":\"é-1\",\"none\":null,\"latest\":{\"temperature_c\":4,\"at\":\"2026-09-21T13:32:20Z\"}},"
		"{\"serial\":\"long-serial\",\"latest\":{\"temperature_c\":-12.25},\"tags\":[\"a\",\"b\"]}]",
		0);
	assert_string_equal(text, "SERIAL           °C  HEARD  TAGS\n"
				  "é-1             4.0    60s  \n"
				  "long-serial  -12.25         a,b\n");
	free(text);
}

static void test_narrow_terminal_cuts_the_widest_column_and_says_so(void **state)
{
	(void)state;
	char *text =
		printed(columns, COLUMNS,
			"[{\"serial\":\"a-very-long-serial-number-indeed\",\"latest\":{\"temperature_c\":4.5}}]", 24);
	assert_string_equal(text, "SERIAL                °C\n"
				  "a-very-long-serial…  4.5\n");
	free(text);
}

static void test_column_that_fills_later_brings_the_titles_again(void **state)
{
	char *text = NULL;
	size_t len = 0;
	FILE *to = open_memstream(&text, &len);
	struct table *t = table_new(columns, COLUMNS, to, 0, false, NOW);
	json_t *first = json_pack("{s:s}", "serial", "a"), *second = json_pack("{s:s,s:i}", "serial", "b", "none", 7);
	(void)state;
	table_add(t, first);
	table_flush(t);
	table_add(t, first);
	table_flush(t);
	table_add(t, second);
	table_flush(t);
	assert_int_equal(table_rows(t), 3);
	table_free(&t);
	json_decref(first);
	json_decref(second);
	fclose(to);
	assert_string_equal(text, "SERIAL\na\na\nSERIAL  EMPTY\nb       7\n");
	free(text);
}

static void test_object_is_shown_field_by_field_nested_ones_indented(void **state)
{
	char *text = NULL;
	size_t len = 0;
	FILE *to = open_memstream(&text, &len);
	json_t *object = json_loads("{\"serial\":\"x\",\"sim\":null,\"model\":{\"name\":\"M\\u001b1\",\"ok\":true},"
				    "\"tags\":[\"a\",\"b\"],\"log\":[{\"n\":1.5}],\"empty\":[]}",
				    0, NULL);
	(void)state;
	object_print(object, to, 0);
	json_decref(object);
	fclose(to);
	assert_string_equal(text, "serial: x\nsim:    -\nmodel:\n  name: M\xef\xbf\xbd"
				  "1\n  ok:   yes\ntags:   a,b\nlog:\n"
				  "  - n: 1.5\nempty:  -\n");
	free(text);
}

static void test_chart_leaves_blank_where_nothing_was_measured(void **state)
{
	char *text = NULL;
	size_t len = 0;
	FILE *to = open_memstream(&text, &len);
	struct chart *c = chart_new();
	(void)state;
	chart_print(c, "nothing", 10, 2, true, to);
	for (int i = 0; i < 10; i++)
		if (i != 4)
			chart_add(c, NOW + i * 60, i < 5 ? 2 : 8);
	chart_print(c, "t", 10, 2, false, to);
	chart_free(&c);
	fclose(to);
	assert_string_equal(text, "t: 2 to 8, 9 values\n"
				  "       8      #####\n"
				  "       2 .... #####\n"
				  "         2026-09-21 13:33Z  2026-09-21 13:42Z\n");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_spans_have_units_larger_ones_first_each_once),
		cmocka_unit_test(test_span_is_one_unit_for_the_api),
		cmocka_unit_test(test_moments_are_relative_a_day_or_rfc_3339),
		cmocka_unit_test(test_ago_uses_a_unit_when_there_are_two_of_it),
		cmocka_unit_test(test_argument_cannot_become_another_segment_or_parameter),
		cmocka_unit_test(test_address_that_does_not_fit_is_refused_whole),
		cmocka_unit_test(test_foreign_text_cannot_steer_the_terminal),
		cmocka_unit_test(test_width_counts_columns_not_bytes),
		cmocka_unit_test(test_columns_fit_their_cells_and_empty_ones_are_left_out),
		cmocka_unit_test(test_narrow_terminal_cuts_the_widest_column_and_says_so),
		cmocka_unit_test(test_column_that_fills_later_brings_the_titles_again),
		cmocka_unit_test(test_object_is_shown_field_by_field_nested_ones_indented),
		cmocka_unit_test(test_chart_leaves_blank_where_nothing_was_measured),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
