/* SPDX-License-Identifier: Apache-2.0
 *
 * The topics of the device contract: what is one, what is none, and that writing and reading agree. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker-bridge/topic.h"

static bool parse(const char *text, struct topic *t, struct err *e)
{
	/* An exact copy on the heap, so that a sanitizer sees a read past its end. */
	size_t len = strlen(text);
	char *copy = malloc(len > 0 ? len : 1);
	memcpy(copy, text, len);
	bool ok = topic_parse(copy, len, t, e);
	if (ok)
		assert_true(t->serial >= copy && t->serial + t->serial_len <= copy + len);
	free(copy);
	return ok;
}

static void test_every_leaf_is_read_back_as_it_was_written(void **state)
{
	(void)state;
	for (int leaf = 0; leaf < TOPIC_LEAVES; leaf++) {
		char text[TOPIC_MAX];
		struct topic t;
		struct err e = {0};
		size_t len = topic_format(text, "490154203237518", 15, (enum topic_leaf)leaf);
		assert_int_equal(len, strlen(text));
		assert_true(topic_parse(text, len, &t, &e));
		assert_int_equal(t.leaf, leaf);
		assert_int_equal(t.serial_len, 15);
		assert_memory_equal(t.serial, "490154203237518", 15);
	}
}

static void test_the_longest_serial_fits_with_every_leaf(void **state)
{
	(void)state;
	char serial[TOPIC_SERIAL_MAX + 1], text[TOPIC_MAX];
	memset(serial, 'Z', TOPIC_SERIAL_MAX);
	serial[TOPIC_SERIAL_MAX] = '\0';
	for (int leaf = 0; leaf < TOPIC_LEAVES; leaf++) {
		size_t len = topic_format(text, serial, TOPIC_SERIAL_MAX, (enum topic_leaf)leaf);
		assert_true(len < TOPIC_MAX && len == strlen(text));
		assert_string_equal(text + 6 + TOPIC_SERIAL_MAX + 1, topic_leaf_name((enum topic_leaf)leaf));
	}
}

static void test_what_is_not_a_topic_of_ours_is_refused_in_words(void **state)
{
	(void)state;
	static const struct {
		const char *text, *words;
	} bad[] = {
		{"", "start with cf/v1/"},
		{"cf/v1", "start with cf/v1/"},
		{"cf/v2/a/telemetry", "start with cf/v1/"},
		{"/cf/v1/a/telemetry", "start with cf/v1/"},
		{"CF/V1/a/telemetry", "start with cf/v1/"},
		{"cf/v1/", "found no LEAF"},
		{"cf/v1/abc", "found no LEAF"},
		{"cf/v1//telemetry", "serial of 0 bytes"},
		{"cf/v1/+/telemetry", "serial of 1 bytes"},
		{"cf/v1/#/telemetry", "serial of 1 bytes"},
		{"cf/v1/a b/telemetry", "serial of 3 bytes"},
		{"cf/v1/a\x01/telemetry", "serial of 2 bytes"},
		{"cf/v1/\xc3\xa4/telemetry", "serial of 2 bytes"},
		{"cf/v1/a/", "unknown leaf"},
		{"cf/v1/a/telemetr", "unknown leaf"},
		{"cf/v1/a/telemetry/", "unknown leaf"},
		{"cf/v1/a/telemetryy", "unknown leaf"},
		{"cf/v1/a/Telemetry", "unknown leaf"},
		{"cf/v1/a/b/telemetry", "unknown leaf"},
		{"cf/v1/a1234567890123456789012345678901234567890123456789012345678901234/status",
		 "serial of 65 bytes"},
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct topic t;
		struct err e = {0};
		if (parse(bad[i].text, &t, &e) || e.code != ERR_DECODE || strstr(e.detail, bad[i].words) == NULL)
			fail_msg("%s: '%s', expected '%s'", bad[i].text, e.detail, bad[i].words);
	}
}

static void test_a_topic_may_hold_any_byte_and_need_not_be_terminated(void **state)
{
	(void)state;
	struct topic t;
	struct err e = {0};
	assert_false(topic_parse("cf/v1/a\0b/telemetry", 19, &t, &e));
	assert_false(topic_parse("cf/v1/a/telemetry\0", 18, &t, &e));
	assert_true(topic_parse("cf/v1/a/telemetryXXXX", 17, &t, &e));
}

static void test_a_serial_is_1_to_64_of_its_alphabet(void **state)
{
	(void)state;
	for (int c = 0; c < 256; c++) {
		char one = (char)c;
		bool expected =
			c != 0 && strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-", c);
		assert_int_equal(topic_serial_valid(&one, 1), expected);
	}
	char text[65];
	memset(text, 'a', sizeof(text));
	assert_false(topic_serial_valid(text, 0));
	assert_true(topic_serial_valid(text, 64));
	assert_false(topic_serial_valid(text, 65));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_leaf_is_read_back_as_it_was_written),
		cmocka_unit_test(test_the_longest_serial_fits_with_every_leaf),
		cmocka_unit_test(test_what_is_not_a_topic_of_ours_is_refused_in_words),
		cmocka_unit_test(test_a_topic_may_hold_any_byte_and_need_not_be_terminated),
		cmocka_unit_test(test_a_serial_is_1_to_64_of_its_alphabet),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
