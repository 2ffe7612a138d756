/* SPDX-License-Identifier: Apache-2.0
 *
 * The text of a receipt: JSON that a tracker reads, within its buffer at every extreme. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <jansson.h>

#include "ingest/receipt.h"

static const char *format(const struct receipt *r)
{
	static char text[RECEIPT_TEXT_MAX];
	memset(text, 'x', sizeof(text));
	size_t len = receipt_format(text, r);
	assert_int_equal(len, strlen(text));
	return text;
}

static void test_a_receipt_reads_as_the_contract_shows_it(void **state)
{
	(void)state;
	struct receipt r = {.device_id = 9, .through = 4713, .missing_count = 1, .missing = {{4650, 4655}}};
	assert_string_equal(format(&r), "{\"epoch\":0,\"through\":4713,\"missing\":[[4650,4655]]}");
	r = (struct receipt){.epoch = 2, .through = -1};
	assert_string_equal(format(&r), "{\"epoch\":2,\"through\":-1,\"missing\":[]}");
	r = (struct receipt){.through = 9, .missing_count = 2, .missing = {{1, 1}, {3, 4}}};
	assert_string_equal(format(&r), "{\"epoch\":0,\"through\":9,\"missing\":[[1,1],[3,4]]}");
}

static void test_a_receipt_of_a_status_says_which_one(void **state)
{
	(void)state;
	char text[RECEIPT_TEXT_MAX];
	const struct status s = {.boot = 7, .uptime = 12.5},
			    longest = {.boot = INT32_MAX, .uptime = 4294967294.1234567};
	size_t len = receipt_format_status(text, &s);
	assert_int_equal(len, strlen(text));
	assert_string_equal(text, "{\"status\":{\"boot\":7,\"uptime\":12.5}}");
	len = receipt_format_status(text, &longest);
	assert_int_equal(len, strlen(text));
	json_t *json = json_loads(text, 0, NULL), *status = json_object_get(json, "status");
	assert_true(json_number_value(json_object_get(status, "uptime")) == longest.uptime);
	json_decref(json);
}

static void test_the_largest_receipt_fits_and_is_json(void **state)
{
	(void)state;
	struct receipt r = {.epoch = INT16_MIN, .through = INT32_MIN, .missing_count = RECEIPT_RANGES};
	for (int i = 0; i < RECEIPT_RANGES; i++)
		r.missing[i] = (struct seq_range){INT32_MIN, INT32_MIN};
	const char *text = format(&r);
	assert_true(strlen(text) < RECEIPT_TEXT_MAX);
	json_t *json = json_loads(text, 0, NULL);
	assert_non_null(json);
	assert_int_equal(json_array_size(json_object_get(json, "missing")), RECEIPT_RANGES);
	assert_int_equal(json_integer_value(json_object_get(json, "through")), INT32_MIN);
	json_decref(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_receipt_reads_as_the_contract_shows_it),
		cmocka_unit_test(test_a_receipt_of_a_status_says_which_one),
		cmocka_unit_test(test_the_largest_receipt_fits_and_is_json),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
