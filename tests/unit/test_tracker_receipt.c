/* SPDX-License-Identifier: Apache-2.0
 *
 * A tracker deletes by receipt, so it believes only receipts that are exactly right; and the search for an unused epoch
 * ends at one, whatever was used before; what it was in before it is known, too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/tracker/epoch.h"
#include "tests/tracker/receipt.h"

static bool parse(const char *text, struct receipt *r, struct err *e)
{
	return receipt_parse((const uint8_t *)text, strlen(text), r, e);
}

static void test_receipt_with_ranges_is_understood(void **state)
{
	struct receipt r;
	struct err e;

	(void)state;
	assert_true(parse("{\"epoch\":0,\"through\":4713,\"missing\":[[4650,4655],[4700,4700]]}", &r, &e));
	assert_int_equal(r.through, 4713);
	assert_int_equal(r.missing_count, 2);
	assert_true(receipt_covers(&r, 0));
	assert_true(receipt_covers(&r, 4649));
	assert_false(receipt_covers(&r, 4650));
	assert_false(receipt_covers(&r, 4655));
	assert_true(receipt_covers(&r, 4656));
	assert_false(receipt_covers(&r, 4700));
	assert_true(receipt_covers(&r, 4713));
	assert_false(receipt_covers(&r, 4714));
}

static void test_receipt_for_nothing_covers_nothing(void **state)
{
	struct receipt r;
	struct err e;

	(void)state;
	assert_true(parse("{\"epoch\":32767,\"through\":-1,\"missing\":[]}", &r, &e));
	assert_false(receipt_covers(&r, 0));
}

static void test_receipt_of_a_status_says_which_one(void **state)
{
	struct receipt r;
	struct err e;

	(void)state;
	assert_true(parse("{\"status\":{\"boot\":7,\"uptime\":12.5}}", &r, &e));
	assert_true(r.of_status && r.boot == 7 && r.uptime == 12.5);
	assert_true(parse("{\"epoch\":0,\"through\":5,\"missing\":[]}", &r, &e));
	assert_false(r.of_status);
}

static void test_hostile_receipt_is_refused_and_leaves_the_result_alone(void **state)
{
	static const char *const texts[] = {
		"",
		"{}",
		"[]",
		"null",
		"{\"epoch\":0,\"through\":5}",
		"{\"status\":{\"boot\":7}}",
		"{\"status\":{\"boot\":7.5,\"uptime\":1}}",
		"{\"status\":{\"boot\":-1,\"uptime\":1}}",
		"{\"status\":{\"boot\":7,\"uptime\":\"1\"}}",
		"{\"status\":{\"boot\":7,\"uptime\":1},\"epoch\":0}",
		"{\"status\":7}",
		"{\"epoch\":0,\"through\":5,\"missing\":null}",
		"{\"epoch\":0,\"through\":5,\"missing\":[],\"more\":1}",
		"{\"epoch\":0,\"through\":5,\"missing\":[]} ,",
		"{\"epoch\":0,\"epoch\":0,\"through\":5,\"missing\":[]}",
		"{\"epoch\":0.0,\"through\":5,\"missing\":[]}",
		"{\"epoch\":-1,\"through\":5,\"missing\":[]}",
		"{\"epoch\":32768,\"through\":5,\"missing\":[]}",
		"{\"epoch\":0,\"through\":\"5\",\"missing\":[]}",
		"{\"epoch\":0,\"through\":-2,\"missing\":[]}",
		"{\"epoch\":0,\"through\":2147483648,\"missing\":[]}",
		"{\"epoch\":0,\"through\":99999999999999999999,\"missing\":[]}",
		"{\"epoch\":0,\"through\":5e0,\"missing\":[]}",
		"{\"epoch\":0,\"through\":5,\"missing\":[1]}",
		"{\"epoch\":0,\"through\":5,\"missing\":[[1]]}",
		"{\"epoch\":0,\"through\":5,\"missing\":[[1,2,3]]}",
		"{\"epoch\":0,\"through\":5,\"missing\":[[2,1]]}",
		"{\"epoch\":0,\"through\":5,\"missing\":[[-1,1]]}",
		"{\"epoch\":0,\"through\":5,\"missing\":[[4,6]]}",
		"{\"epoch\":0,\"through\":5,\"missing\":[[3,4],[1,2]]}",
		"{\"epoch\":0,\"through\":5,\"missing\":[[1,3],[3,4]]}",
		"{\"epoch\":0,\"through\":5,\"missing\":[[1,2.5]]}",
		"{\"epoch\":0,\"through\":5,\"missing\":[[1,2]]",
		"\xff\xfe",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct receipt r = {.epoch = 77};
		struct err e = {0};
		if (parse(texts[i], &r, &e))
			fail_msg("accepted: %s", texts[i]);
		assert_int_equal(e.code, ERR_DECODE);
		assert_int_equal(r.epoch, 77);
		assert_memory_equal(e.detail, "receipt: ", 9);
	}
}

static void test_receipt_with_more_ranges_than_agreed_is_refused(void **state)
{
	char text[1024] = "{\"epoch\":0,\"through\":99,\"missing\":[";
	struct receipt r;
	struct err e;

	(void)state;
	for (int i = 0; i <= RECEIPT_RANGES_MAX; i++)
		sprintf(text + strlen(text), "%s[%d,%d]", i > 0 ? "," : "", 2 * i, 2 * i);
	strcat(text, "]}");
	assert_false(parse(text, &r, &e));
}

static void test_oversized_receipt_is_refused_unread(void **state)
{
	static uint8_t bytes[RECEIPT_BYTES_MAX + 1];
	struct receipt r;
	struct err e;

	(void)state;
	memset(bytes, '[', sizeof(bytes));
	assert_false(receipt_parse(bytes, sizeof(bytes), &r, &e));
	assert_false(receipt_parse(bytes, sizeof(bytes) - 1, &r, &e));
}

/* Plays a backend that knows the epochs below `used`. */
static int32_t search(int32_t start, int32_t used, int *questions)
{
	struct epoch_search s;
	struct receipt r = {0};

	epoch_search_init(&s, start);
	for (*questions = 1; *questions < 100; ++*questions) {
		r.epoch = epoch_search_ask(&s);
		r.through = r.epoch < used ? 5 : -1;
		if (epoch_search_answer(&s, &r))
			return s.unused;
	}
	return -1;
}

static void test_first_unused_epoch_is_found_in_few_questions(void **state)
{
	int questions;

	(void)state;
	for (int32_t used = 0; used <= EPOCH_RUN_MAX; used++) {
		int32_t found = search(0, used, &questions);
		if (found != used || questions > 30)
			fail_msg("%d used: found %d after %d questions", used, found, questions);
	}
	assert_int_equal(search(0, 0, &questions), 0);
	assert_int_equal(questions, 1);
}

static void test_search_ends_at_the_last_epoch_when_all_are_used(void **state)
{
	int questions;

	(void)state;
	assert_int_equal(search(0, EPOCH_MAX, &questions), EPOCH_RUN_MAX);
}

static void test_answer_to_another_question_is_ignored(void **state)
{
	struct epoch_search s;

	(void)state;
	epoch_search_init(&s, 0);
	assert_false(epoch_search_answer(&s, &(struct receipt){.epoch = 5, .through = -1}));
	assert_int_equal(epoch_search_ask(&s), 0);
}

static void test_epochs_of_series_never_meet_those_of_measurements(void **state)
{
	(void)state;
	for (uint64_t x = 1; x != 0; x <<= 1) {
		assert_in_range(epoch_of_series(x), EPOCH_RUN_MAX + 1, EPOCH_MAX);
		assert_in_range(epoch_of_series(~x), EPOCH_RUN_MAX + 1, EPOCH_MAX);
	}
}

static void test_epochs_below_the_own_one_were_left_but_not_those_of_series(void **state)
{
	(void)state;
	assert_true(epoch_left(1, 0));
	assert_true(epoch_left(EPOCH_RUN_MAX, 7));
	assert_false(epoch_left(1, 1));
	assert_false(epoch_left(1, 2));
	assert_false(epoch_left(1, EPOCH_REPLAY_FIRST));
	assert_false(epoch_left(EPOCH_REPLAY_FIRST + 1, EPOCH_REPLAY_FIRST));
	assert_false(epoch_left(EPOCH_REPLAY_FIRST, 0));
	assert_false(epoch_left(EPOCH_MAX, EPOCH_RUN_MAX));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_receipt_with_ranges_is_understood),
		cmocka_unit_test(test_receipt_for_nothing_covers_nothing),
		cmocka_unit_test(test_receipt_of_a_status_says_which_one),
		cmocka_unit_test(test_hostile_receipt_is_refused_and_leaves_the_result_alone),
		cmocka_unit_test(test_receipt_with_more_ranges_than_agreed_is_refused),
		cmocka_unit_test(test_oversized_receipt_is_refused_unread),
		cmocka_unit_test(test_first_unused_epoch_is_found_in_few_questions),
		cmocka_unit_test(test_search_ends_at_the_last_epoch_when_all_are_used),
		cmocka_unit_test(test_answer_to_another_question_is_ignored),
		cmocka_unit_test(test_epochs_of_series_never_meet_those_of_measurements),
		cmocka_unit_test(test_epochs_below_the_own_one_were_left_but_not_those_of_series),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
