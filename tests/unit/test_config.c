/* SPDX-License-Identifier: Apache-2.0
 *
 * Configuration by table: what each type takes, which of several sources wins, and that a wrong line is named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <unistd.h>

#include "capture.h"
#include "core/config.h"
#include "core/log.h"

struct values {
	char text[CONFIG_TEXT_MAX], secret[CONFIG_TEXT_MAX];
	int64_t number, bytes, fixed;
	bool flag;
	double seconds;
	enum log_level level;
};

#define ITEM(name, type, fallback, min, max, reload, secret)                                                           \
	{                                                                                                              \
		"x." #name, type, offsetof(struct values, name), fallback, min, max, reload, secret, "help of " #name  \
	}
static const struct config_item items[] = {
	ITEM(text, CONFIG_TEXT, "hello", 0, 0, true, false),
	ITEM(secret, CONFIG_TEXT, "", 0, 0, true, true),
	ITEM(number, CONFIG_INT, "5", 1, 100, true, false),
	ITEM(bytes, CONFIG_BYTES, "64KiB", 0, 0, true, false),
	ITEM(fixed, CONFIG_INT, "1", 0, 0, false, false),
	ITEM(flag, CONFIG_BOOL, "no", 0, 0, true, false),
	ITEM(seconds, CONFIG_SECONDS, "30s", 0.1, 1e9, true, false),
	ITEM(level, CONFIG_LOG_LEVEL, "info", 0, 0, true, false),
};

static struct values v;
static struct config *c;
static struct err e;
static char path[64];

static int fresh(void **state)
{
	(void)state;
	memset(&v, 0xee, sizeof(v));
	e = (struct err){0};
	snprintf(path, sizeof(path), "/tmp/coldfleet-config-XXXXXX");
	close(mkstemp(path));
	c = config_new(items, sizeof(items) / sizeof(items[0]), &v, sizeof(v));
	return 0;
}

static int drop(void **state)
{
	(void)state;
	config_free(&c);
	assert_null(c);
	unlink(path);
	return 0;
}

static void write_file(const char *text)
{
	FILE *f = fopen(path, "w");
	fputs(text, f);
	fclose(f);
}

static bool load(const char *text)
{
	write_file(text);
	return config_load(c, path, true, &e);
}

static void test_values_are_the_defaults_before_anything_is_loaded(void **state)
{
	(void)state;
	assert_string_equal(v.text, "hello");
	assert_string_equal(v.secret, "");
	assert_int_equal(v.number, 5);
	assert_int_equal(v.bytes, 65536);
	assert_false(v.flag);
	assert_true(v.seconds == 30);
	assert_int_equal(v.level, LOG_LEVEL_INFO);
}

static void test_each_type_takes_its_forms(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		double seconds;
	} durations[] = {{"1.5", 1.5}, {"250ms", 0.25}, {"30s", 30},       {"10m", 600},
			 {"2h", 7200}, {"2 h", 7200},   {"400d", 34560000}};
	for (size_t i = 0; i < sizeof(durations) / sizeof(durations[0]); i++) {
		char assignment[64];
		snprintf(assignment, sizeof(assignment), "x.seconds=%s", durations[i].text);
		assert_true(config_set(c, assignment, &e));
		assert_true(v.seconds > durations[i].seconds * 0.999999 && v.seconds < durations[i].seconds * 1.000001);
	}
	assert_true(config_set(c, "x.bytes=2MiB", &e));
	assert_int_equal(v.bytes, 2 * 1048576);
	assert_true(config_set(c, "x.bytes=1GiB", &e));
	assert_int_equal(v.bytes, 1073741824);
	assert_true(config_set(c, "x.flag=YES", &e) && v.flag);
	assert_true(config_set(c, "x.flag=0", &e) && !v.flag);
	assert_true(config_set(c, "x.level=debug", &e));
	assert_int_equal(v.level, LOG_LEVEL_DEBUG);
	assert_true(config_set(c, "x.text=a=b=c", &e));
	assert_string_equal(v.text, "a=b=c");
}

static void test_what_a_type_does_not_take_is_refused_in_words_and_changes_nothing(void **state)
{
	(void)state;
	static const struct {
		const char *assignment, *words;
	} bad[] = {
		{"x.number=", "x.number: expected a whole number"},
		{"x.number=ten", "got 'ten'"},
		{"x.number=1.5", "whole number"},
		{"x.number=5x", "whole number"},
		{"x.number=0", "out of bounds, expected 1 to 100"},
		{"x.number=101", "out of bounds"},
		{"x.number=nan", "whole number"},
		{"x.fixed=99999999999999999999", "whole number"},
		{"x.seconds=5 parsecs", "a duration"},
		{"x.seconds=-1", "out of bounds"},
		{"x.seconds=inf", "a duration"},
		{"x.bytes=1.5", "a size"},
		{"x.bytes=5KB", "a size"},
		{"x.flag=maybe", "yes or no"},
		{"x.level=loud", "error, warn, info or debug"},
		{"x.unknown=1", "unknown key 'x.unknown', the nearest known one is 'x."},
		{"y.number=1", "unknown key 'y.number'"},
		{"number=1", "unknown key 'number'"},
		{"x.number", "expected section.key=value"},
		{"", "expected section.key=value"},
	};
	const struct values before = v;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (config_set(c, bad[i].assignment, &e) || e.code != ERR_CONFIG ||
		    strstr(e.detail, bad[i].words) == NULL)
			fail_msg("%s: '%s', expected '%s'", bad[i].assignment, e.detail, bad[i].words);
	}
	assert_memory_equal(&v, &before, sizeof(v));
}

static void test_text_up_to_its_limit_is_taken_whole(void **state)
{
	(void)state;
	char assignment[CONFIG_TEXT_MAX + 16] = "x.text=";
	memset(assignment + 7, 'y', CONFIG_TEXT_MAX - 1);
	assert_true(config_set(c, assignment, &e));
	assert_int_equal(strlen(v.text), CONFIG_TEXT_MAX - 1);
	assignment[7 + CONFIG_TEXT_MAX - 1] = 'y';
	assert_false(config_set(c, assignment, &e));
}

static void test_a_secret_is_shown_nowhere(void **state)
{
	(void)state;
	char assignment[CONFIG_TEXT_MAX + 64] = "x.secret=hunter2";
	assert_true(config_set(c, assignment, &e));
	capture_start(1);
	config_print(c, stdout);
	const char *out = capture_end(1);
	assert_null(strstr(out, "hunter2"));
	assert_non_null(strstr(out, "x.secret = (set)"));
	memset(assignment + 16, '2', CONFIG_TEXT_MAX);
	assert_false(config_set(c, assignment, &e));
	assert_null(strstr(e.detail, "hunter2"));
	assert_non_null(strstr(e.detail, "x.secret"));
}

static void test_the_file_wins_over_the_default_and_set_over_the_file(void **state)
{
	(void)state;
	assert_true(load("# comment\n[x]\nnumber = 7\nflag = yes\ntext = from file ; comment\n"));
	assert_true(config_set(c, "x.number=8", &e));
	assert_int_equal(v.number, 8);
	assert_true(v.flag);
	assert_string_equal(v.text, "from file");
	capture_start(1);
	config_print(c, stdout);
	const char *out = capture_end(1);
	char origin[128];
	snprintf(origin, sizeof(origin), "x.flag = yes    # %s:4\n", path);
	assert_non_null(strstr(out, origin));
	assert_non_null(strstr(out, "x.number = 8    # --set\n"));
	assert_non_null(strstr(out, "x.seconds = 30s    # default\n"));
}

static void test_sections_of_other_daemons_are_left_alone(void **state)
{
	(void)state;
	assert_true(load("[other]\nnumber = not for us\n[x]\nnumber = 9\n[xx]\nnumber = 3\n"));
	assert_int_equal(v.number, 9);
}

static void test_a_wrong_line_is_named_with_its_number(void **state)
{
	(void)state;
	static const struct {
		const char *text, *words;
	} bad[] = {
		{"[x]\n\nnumber = ten\n", ":3: x.number: expected a whole number"},
		{"[x]\nnumbr = 1\n", ":2: unknown key 'x.numbr', the nearest known one is 'x.number'"},
		{"[x]\nnumber\n", ":2: expected '[section]' or 'key = value'"},
		{"[x\nnumber = 1\n", ":1: expected '[section]' or 'key = value'"},
		{"number = 1\n[x]\n", ":1: expected a [section] before the first key"},
		{"[x]\nnumber = 500\n", ":2: x.number: 500 is out of bounds"},
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (load(bad[i].text) || e.code != ERR_CONFIG || strstr(e.detail, bad[i].words) == NULL ||
		    strstr(e.detail, path) == NULL)
			fail_msg("%s: '%s', expected '%s'", bad[i].text, e.detail, bad[i].words);
	}
}

static void test_an_indented_key_is_a_key_and_not_part_of_the_line_before(void **state)
{
	(void)state;
	assert_true(load("[x]\n  text = first\n    number = 44\n\tflag = yes\n"));
	assert_string_equal(v.text, "first");
	assert_int_equal(v.number, 44);
	assert_true(v.flag);
}

static void test_a_line_that_the_reader_cannot_hold_is_refused(void **state)
{
	(void)state;
	char text[600] = "[x]\ntext = ";
	memset(text + strlen(text), 'y', 300);
	assert_false(load(text));
	assert_non_null(strstr(e.detail, ":2: the line is too long"));
	strcat(text, "\nnumber = 9\n");
	assert_false(load(text));
	assert_non_null(strstr(e.detail, ":2: the line is too long"));
}

static void test_a_missing_file_is_an_error_only_when_it_was_asked_for(void **state)
{
	(void)state;
	assert_true(config_load(c, "/nonexistent/coldfleet.ini", false, &e));
	assert_false(config_load(c, "/nonexistent/coldfleet.ini", true, &e));
	assert_non_null(strstr(e.detail, "/nonexistent/coldfleet.ini: cannot be read: No such file"));
	assert_false(config_load(c, "/tmp", true, &e));
}

static void test_a_reload_takes_what_may_change_and_keeps_what_was_set(void **state)
{
	(void)state;
	assert_true(load("[x]\nnumber = 7\nfixed = 2\nflag = yes\n"));
	assert_true(config_set(c, "x.text=set", &e));
	write_file("[x]\nnumber = 8\nfixed = 3\ntext = file\nseconds = 1s\n");
	capture_start(2);
	assert_true(config_reload(c, &e));
	const char *log = capture_end(2);
	assert_int_equal(v.number, 8);
	assert_int_equal(v.fixed, 2);
	assert_false(v.flag); /* gone from the file: the default again */
	assert_string_equal(v.text, "set");
	assert_true(v.seconds == 1);
	assert_non_null(strstr(log, "x.fixed changed in the file but needs a restart"));
}

static void test_a_reload_of_a_wrong_file_changes_nothing(void **state)
{
	(void)state;
	assert_true(load("[x]\nnumber = 7\n"));
	const struct values before = v;
	write_file("[x]\nnumber = 8\nflag = perhaps\n");
	assert_false(config_reload(c, &e));
	assert_non_null(strstr(e.detail, ":3: x.flag"));
	assert_memory_equal(&v, &before, sizeof(v));
	unlink(path);
	assert_false(config_reload(c, &e));
	assert_memory_equal(&v, &before, sizeof(v));
}

static void test_the_example_loads_and_names_every_key(void **state)
{
	(void)state;
	static char example[8192];
	capture_start(1);
	config_print_example(c, stdout);
	snprintf(example, sizeof(example), "%s", capture_end(1));
	for (size_t i = 0; i < sizeof(items) / sizeof(items[0]); i++)
		assert_non_null(strstr(example, items[i].help));
	assert_true(load(example));
	for (char *p = example; (p = strstr(p, "\n;")) != NULL;)
		memmove(p + 1, p + 2, strlen(p + 2) + 1);
	assert_true(load(example));
	assert_string_equal(v.text, "hello");
}

#define T(name) cmocka_unit_test_setup_teardown(name, fresh, drop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_values_are_the_defaults_before_anything_is_loaded),
		T(test_each_type_takes_its_forms),
		T(test_what_a_type_does_not_take_is_refused_in_words_and_changes_nothing),
		T(test_text_up_to_its_limit_is_taken_whole),
		T(test_a_secret_is_shown_nowhere),
		T(test_the_file_wins_over_the_default_and_set_over_the_file),
		T(test_sections_of_other_daemons_are_left_alone),
		T(test_a_wrong_line_is_named_with_its_number),
		T(test_an_indented_key_is_a_key_and_not_part_of_the_line_before),
		T(test_a_line_that_the_reader_cannot_hold_is_refused),
		T(test_a_missing_file_is_an_error_only_when_it_was_asked_for),
		T(test_a_reload_takes_what_may_change_and_keeps_what_was_set),
		T(test_a_reload_of_a_wrong_file_changes_nothing),
		T(test_the_example_loads_and_names_every_key),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
