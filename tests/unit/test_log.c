/* SPDX-License-Identifier: Apache-2.0
 *
 * A log line is one line whatever is in it, and says when, how bad and who. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <regex.h>
#include <sys/wait.h>
#include <unistd.h>

#include "capture.h"
#include "core/log.h"

static bool matches(const char *text, const char *pattern)
{
	regex_t re;
	assert_int_equal(regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB), 0);
	bool yes = regexec(&re, text, 0, NULL, 0) == 0;
	regfree(&re);
	return yes;
}

static void test_a_line_says_when_how_bad_who_and_what(void **state)
{
	(void)state;
	capture_start(2);
	log_warn("lane-3", "lost why=\"%s\"", "gone");
	assert_true(matches(capture_end(2), "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z "
					    "warn  lane-3: lost why=\"gone\"\n$"));
}

static void test_bytes_from_outside_cannot_forge_a_line_or_drive_a_terminal(void **state)
{
	(void)state;
	capture_start(2);
	log_error("api", "path=%s", "/x\n2026-01-01T00:00:00.000Z error api: forged\r\x1b[2J\x7f\t");
	const char *line = capture_end(2);
	assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
	for (const char *p = line; *p != '\n'; p++)
		assert_true((unsigned char)*p >= 0x20 && *p != 0x7f);
}

static void test_a_long_line_is_cut_off_and_still_ends(void **state)
{
	(void)state;
	capture_start(2);
	log_error("api", "%0*d", 100000, 7);
	log_error("api", "next");
	const char *text = capture_end(2), *end = strchr(text, '\n');
	assert_non_null(end);
	assert_in_range(end - text, 1000, 4096);
	assert_non_null(strstr(end, "api: next\n"));
}

static void test_lines_below_the_level_are_not_written(void **state)
{
	(void)state;
	log_level_set(LOG_LEVEL_WARN);
	capture_start(2);
	log_info("x", "quiet");
	log_debug("x", "quiet");
	log_warn("x", "loud");
	const char *text = capture_end(2);
	assert_null(strstr(text, "quiet"));
	assert_non_null(strstr(text, "loud"));
	log_level_set(LOG_LEVEL_INFO);
}

static void test_only_the_four_names_are_levels(void **state)
{
	(void)state;
	enum log_level level = LOG_LEVEL_WARN;
	assert_true(log_level_parse("debug", &level));
	assert_int_equal(level, LOG_LEVEL_DEBUG);
	assert_false(log_level_parse("DEBUG", &level));
	assert_false(log_level_parse("", &level));
	assert_false(log_level_parse("verbose", &level));
	assert_int_equal(level, LOG_LEVEL_DEBUG);
}

static void log_many(char letter)
{
	for (int i = 0; i < 500; i++)
		log_error("writer", "%c%c%c%c%c%c%c%c%0*d", letter, letter, letter, letter, letter, letter, letter,
			  letter, 40, i);
	_exit(0);
}

static void test_lines_of_several_processes_do_not_mix(void **state)
{
	(void)state;
	capture_start(2);
	for (char letter = 'a'; letter < 'e'; letter++) {
		if (fork() == 0)
			log_many(letter);
	}
	for (int i = 0; i < 4; i++)
		assert_true(wait(NULL) > 0);
	const char *text = capture_end(2);
	assert_true(strlen(text) > 60000);
	for (const char *end; (end = strchr(text, '\n')) != NULL; text = end + 1) {
		char line[128] = "";
		memcpy(line, text, (size_t)(end - text) < sizeof(line) ? (size_t)(end - text) : sizeof(line) - 1);
		assert_true(matches(line, "Z error writer: ([a-d])[a-d]{7}[0-9]{40}$"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_line_says_when_how_bad_who_and_what),
		cmocka_unit_test(test_bytes_from_outside_cannot_forge_a_line_or_drive_a_terminal),
		cmocka_unit_test(test_a_long_line_is_cut_off_and_still_ends),
		cmocka_unit_test(test_lines_below_the_level_are_not_written),
		cmocka_unit_test(test_only_the_four_names_are_levels),
		cmocka_unit_test(test_lines_of_several_processes_do_not_mix),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
