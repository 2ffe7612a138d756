/* SPDX-License-Identifier: Apache-2.0
 *
 * The Prometheus text of a table of metrics, checked as a scraper would read it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/metrics.h"

enum { M_SEEN, M_BAD_A, M_BAD_B, M_LEVEL, M_TOOK, METRICS };

static const struct metric_def defs[METRICS] = {
	[M_SEEN] = {"x_seen_total", METRIC_COUNTER, "Seen.", NULL},
	[M_BAD_A] = {"x_bad_total", METRIC_COUNTER, "Bad.", "reason=\"a\""},
	[M_BAD_B] = {"x_bad_total", METRIC_COUNTER, "Bad.", "reason=\"b\""},
	[M_LEVEL] = {"x_level", METRIC_GAUGE, "Level.", NULL},
	[M_TOOK] = {"x_took_seconds", METRIC_SECONDS, "Took.", "step=\"commit\""},
};

static const char *rendered(const struct metrics *m)
{
	static char text[8192];
	struct evbuffer *to = evbuffer_new();
	metrics_render(m, to);
	int n = evbuffer_remove(to, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	evbuffer_free(to);
	return text;
}

static void has_line(const struct metrics *m, const char *line)
{
	char wanted[256];
	snprintf(wanted, sizeof(wanted), "\n%s\n", line);
	if (strstr(rendered(m), wanted) == NULL)
		fail_msg("no line '%s' in:\n%s", line, rendered(m));
}

static int fresh(void **state)
{
	*state = metrics_new(defs, METRICS);
	return 0;
}

static int drop(void **state)
{
	struct metrics *m = *state;
	metrics_free(&m);
	assert_null(m);
	return 0;
}

static void test_counters_add_and_gauges_are_set(void **state)
{
	metric_add(*state, M_SEEN, 2);
	metric_add(*state, M_SEEN, 40);
	metric_set(*state, M_LEVEL, 7);
	metric_set(*state, M_LEVEL, -1.5);
	assert_true(metric_value(*state, M_SEEN) == 42 && metric_value(*state, M_LEVEL) == -1.5);
	has_line(*state, "x_seen_total 42");
	has_line(*state, "x_level -1.5");
}

static void test_a_large_count_keeps_every_digit(void **state)
{
	metric_add(*state, M_SEEN, 9007199254740991.0);
	has_line(*state, "x_seen_total 9007199254740991");
}

static void test_rows_of_one_name_share_one_head(void **state)
{
	metric_add(*state, M_BAD_B, 1);
	has_line(*state, "# TYPE x_bad_total counter\nx_bad_total{reason=\"a\"} 0\nx_bad_total{reason=\"b\"} 1");
	const char *first = strstr(rendered(*state), "# HELP x_bad_total");
	assert_non_null(first);
	assert_null(strstr(first + 1, "# HELP x_bad_total"));
}

static void test_buckets_are_cumulative_and_a_limit_belongs_to_its_bucket(void **state)
{
	static const double seconds[] = {0.00005, 0.0001, 0.3, 0.5, 59, 61, 1000};
	for (size_t i = 0; i < 7; i++)
		metric_observe(*state, M_TOOK, seconds[i]);
	assert_true(metric_value(*state, M_TOOK) == 7);
	has_line(*state, "x_took_seconds_bucket{step=\"commit\",le=\"0.0001\"} 2");
	has_line(*state, "x_took_seconds_bucket{step=\"commit\",le=\"0.25\"} 2");
	has_line(*state, "x_took_seconds_bucket{step=\"commit\",le=\"0.5\"} 4");
	has_line(*state, "x_took_seconds_bucket{step=\"commit\",le=\"60\"} 5");
	has_line(*state, "x_took_seconds_bucket{step=\"commit\",le=\"+Inf\"} 7");
	has_line(*state, "x_took_seconds_count{step=\"commit\"} 7");
	has_line(*state, "x_took_seconds_sum{step=\"commit\"} 1120.80015");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_counters_add_and_gauges_are_set, fresh, drop),
		cmocka_unit_test_setup_teardown(test_a_large_count_keeps_every_digit, fresh, drop),
		cmocka_unit_test_setup_teardown(test_rows_of_one_name_share_one_head, fresh, drop),
		cmocka_unit_test_setup_teardown(test_buckets_are_cumulative_and_a_limit_belongs_to_its_bucket, fresh,
						drop),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
