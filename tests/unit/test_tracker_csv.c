/* SPDX-License-Identifier: Apache-2.0
 *
 * A recorded series keeps every row of its file; a bad row is refused with its line and what was expected. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/tracker/csv.h"

#define DAY_US (INT64_C(86400) * 1000000)

static struct series parse(const char *text)
{
	struct series s;
	struct err e = {0};

	if (!csv_parse(text, strlen(text), "x.csv", &s, &e))
		fail_msg("%s", e.detail);
	return s;
}

static void test_rows_become_samples_in_order_of_time(void **state)
{
	struct series s = parse("ts,temperature_c\n2022-11-08T04:59:00Z,3.2\n2022-11-08T04:49:00Z,4.4\n");

	(void)state;
	assert_int_equal(s.count, 2);
	assert_int_equal(s.samples[0]->ts, INT64_C(1667882940000000));
	assert_true(s.samples[0]->measures[0].value == 4.4);
	assert_true(s.samples[1]->measures[0].value == 3.2);
	series_free(&s);
}

static void test_probes_of_one_moment_share_a_sample(void **state)
{
	struct series s = parse(
		"probe,ts,temperature_c\n0,2024-05-01 12:00:00,4\np1,2024-05-01 12:00:00,5\n0,2024-05-01 12:01:00,6\n");

	(void)state;
	assert_int_equal(s.count, 2);
	assert_int_equal(s.rows, 3);
	assert_int_equal(s.samples[0]->count, 2);
	assert_int_equal(s.samples[0]->measures[1].probe, 1);
	assert_int_equal(s.samples[1]->count, 1);
	series_free(&s);
}

static void test_repeated_probe_at_one_moment_starts_a_further_sample(void **state)
{
	struct series s =
		parse("ts,temperature_c\n2024-05-01T12:00:00Z,4\n2024-05-01T12:00:00Z,4\n2024-05-01T12:00:00Z,5\n");

	(void)state;
	assert_int_equal(s.count, 3);
	assert_true(s.samples[2]->measures[0].value == 5);
	series_free(&s);
}

static void test_times_with_zone_fraction_and_carriage_return_are_read(void **state)
{
	struct series s =
		parse("\xef\xbb\xbfts,temperature_c\r\n2024-05-01T14:00:00.25+02:00,4\r\n\r\n2024-05-01T12:00,5\r\n");

	(void)state;
	assert_int_equal(s.count, 2);
	assert_int_equal(s.samples[0]->ts, INT64_C(1714564800000000));
	assert_int_equal(s.samples[1]->ts, INT64_C(1714564800250000));
	series_free(&s);
}

static void test_other_columns_of_the_database_are_taken_along(void **state)
{
	struct series s = parse("ts,temperature_c,humidity_pct,battery_pct\n2024-05-01T12:00:00Z,4,,88\n");

	(void)state;
	assert_int_equal(s.samples[0]->count, 2);
	assert_int_equal(s.samples[0]->measures[1].quantity, Q_BATT);
	series_free(&s);
}

static void test_bad_row_names_its_line_and_what_was_expected(void **state)
{
	static const struct {
		const char *text, *words;
	} cases[] = {
		{"", "expected a header line (ts,temperature_c) and rows"},
		{"ts,temperature_c\n", "expected a header line (ts,temperature_c) and rows"},
		{"time,temperature_c\n", "line 1: header: expected ts, temperature_c, probe"},
		{"ts,temp\n", "got 'temp'"},
		{"ts,ts\n", "each column once"},
		{"ts,probe\n", "column ts and a column such as temperature_c"},
		{"ts,temperature_c\n\n2024-05-01T12:00:00Z,abc\n",
		 "x.csv line 3: temperature_c: expected a number, got 'abc'"},
		{"ts,temperature_c\n2024-05-01T12:00:00Z,\n", "line 2: row: expected a measure"},
		{"ts,temperature_c\n2024-05-01T12:00:00Z,nan\n", "expected a number"},
		{"ts,temperature_c\n2024-05-01T12:00:00Z,inf\n", "expected a number"},
		{"ts,temperature_c\n2024-05-01T12:00:00Z,1e999\n", "expected a number"},
		{"ts,temperature_c\n2024-05-01T12:00:00Z,0x10\n", "expected a number"},
		{"ts,temperature_c\n2024-05-01T12:00:00Z,4;2\n", "expected a number"},
		{"ts,temperature_c\n2024-05-01T12:00:00Z\n", "line 2: expected 2 columns, got 1"},
		{"ts,temperature_c\n2024-05-01T12:00:00Z,4,1\n", "expected 2 columns, got 3"},
		{"ts,temperature_c\n2024-02-30T12:00:00Z,4\n", "line 2: ts: expected a time such as"},
		{"ts,temperature_c\n2024-05-01T25:00:00Z,4\n", "expected a time such as"},
		{"ts,temperature_c\n2024-05-01T12:00:00X,4\n", "expected a time such as"},
		{"ts,temperature_c\n1714564800,4\n", "expected a time such as"},
		{"ts,temperature_c\n1970-05-01T12:00:00Z,4\n", "expected a time after 1978"},
		{"ts,temperature_c,probe\n2024-05-01T12:00:00Z,4,-1\n", "probe: expected a number from 0 to 255"},
		{"ts,temperature_c,probe\n2024-05-01T12:00:00Z,4,256\n", "probe: expected a number from 0 to 255"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct series s;
		struct err e = {0};
		if (csv_parse(cases[i].text, strlen(cases[i].text), "x.csv", &s, &e))
			fail_msg("accepted: %s", cases[i].text);
		if (strstr(e.detail, cases[i].words) == NULL)
			fail_msg("'%s' does not say '%s'", e.detail, cases[i].words);
	}
}

static void test_missing_file_is_named(void **state)
{
	struct series s;
	struct err e = {0};

	(void)state;
	assert_false(csv_read("/nonexistent.csv", &s, &e));
	assert_non_null(strstr(e.detail, "/nonexistent.csv"));
}

static void test_automatic_shift_puts_the_last_sample_within_the_last_day(void **state)
{
	struct series s = parse("ts,temperature_c\n2024-05-01T12:00:00Z,4\n2024-05-02T12:00:00Z,4\n");
	int64_t last = s.samples[1]->ts;
	static const int64_t deltas[] = {0, 1, DAY_US - 1, DAY_US, 900 * DAY_US + 5, -1, -DAY_US, -DAY_US - 1};

	(void)state;
	for (size_t i = 0; i < sizeof(deltas) / sizeof(deltas[0]); i++) {
		int64_t now = last + deltas[i];
		int64_t shifted = last + series_shift_auto(&s, now) * DAY_US;
		assert_true(shifted <= now && now - shifted < DAY_US);
	}
	series_shift(&s, 3);
	assert_int_equal(s.samples[1]->ts, last + 3 * DAY_US);
	series_free(&s);
}

static void test_fingerprint_tells_series_apart(void **state)
{
	struct series a = parse("ts,temperature_c\n2024-05-01T12:00:00Z,4\n2024-05-02T12:00:00Z,4\n");
	struct series b = parse("ts,temperature_c\n2024-05-01T12:00:00Z,4\n2024-05-02T12:00:00Z,4.1\n");
	struct series c = parse("temperature_c,ts\n4,2024-05-02T12:00:00Z\n4,2024-05-01T12:00:00Z\n");
	uint64_t fingerprint = series_fingerprint(&a);

	(void)state;
	assert_true(fingerprint == series_fingerprint(&c));
	assert_true(fingerprint != series_fingerprint(&b));
	series_shift(&a, 1);
	assert_true(fingerprint != series_fingerprint(&a));
	series_free(&a);
	series_free(&b);
	series_free(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows_become_samples_in_order_of_time),
		cmocka_unit_test(test_probes_of_one_moment_share_a_sample),
		cmocka_unit_test(test_repeated_probe_at_one_moment_starts_a_further_sample),
		cmocka_unit_test(test_times_with_zone_fraction_and_carriage_return_are_read),
		cmocka_unit_test(test_other_columns_of_the_database_are_taken_along),
		cmocka_unit_test(test_bad_row_names_its_line_and_what_was_expected),
		cmocka_unit_test(test_missing_file_is_named),
		cmocka_unit_test(test_automatic_shift_puts_the_last_sample_within_the_last_day),
		cmocka_unit_test(test_fingerprint_tells_series_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
