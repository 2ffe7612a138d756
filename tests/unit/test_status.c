/* SPDX-License-Identifier: Apache-2.0
 *
 * What a tracker says about itself: one good status, and every way in which it can be none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ingest/status.h"

#define FIRMWARE "\"firmware\":{\"running\":\"a\",\"slots\":{\"a\":\"1.4.2\",\"b\":null}}"
#define MODULE   "\"module\":{\"imei\":\"490154203237518\"}"
#define CONFIG   "\"config\":{\"version\":3}"
#define HEAD     "\"boot\":7,\"uptime\":12.5,\"mcu\":\"running\""
#define REST     "," FIRMWARE "," MODULE "," CONFIG "}"

static const struct pack_limits limits = PACK_LIMITS_DEFAULT;
static struct arena *arena;
static struct status status;
static struct err e;

static int fresh(void **state)
{
	(void)state;
	arena = arena_new(65536);
	return 0;
}

static int drop(void **state)
{
	(void)state;
	arena_free(&arena);
	return 0;
}

/* From an exact copy on the heap that is gone afterwards. */
static enum pack_fault decode(const char *text, size_t len, const char *content_type)
{
	uint8_t *copy = malloc(len ? len : 1);
	assert_non_null(copy);
	memcpy(copy, text, len);
	e = (struct err){0};
	enum pack_fault fault = status_decode(copy, len, content_type, &limits, arena, &status, &e);
	free(copy);
	return fault;
}

static enum pack_fault decode_text(const char *text)
{
	return decode(text, strlen(text), NULL);
}

static void test_a_full_status_is_taken_with_its_members_sorted(void **state)
{
	(void)state;
	static const char text[] =
		" { \"uptime\": 12.5, \"boot\": 7, \"clock\": 1790000000.25, \"mcu\": \"disabled\",\n"
		"\"firmware\": {\"running\": \"b\", \"slots\": {\"b\": \"1.4.2+7\", \"a\": null}},"
		"\"module\": {\"imei\": \"490154203237518\", \"iccid\": \"8949000000000000001\", \"imsi\": null,"
		"\"model\": \"BG95-M3\", \"firmware\": \"BG95 M3/02A04\"},"
		"\"config\": {\"version\": 3, \"values\": {\"interval_s\": 300, \"alarms\": [{\"above\": 8}]}}}";
	assert_int_equal(decode_text(text), PACK_OK);
	assert_string_equal(status.json, "{\"boot\":7,\"clock\":1790000000.25,\"config\":{\"values\":{\"alarms\":[{"
					 "\"above\":8}],\"interval_s\":300},"
					 "\"version\":3},\"firmware\":{\"running\":\"b\",\"slots\":{\"a\":null,\"b\":"
					 "\"1.4.2+7\"}},\"mcu\":\"disabled\","
					 "\"module\":{\"firmware\":\"BG95 "
					 "M3/02A04\",\"iccid\":\"8949000000000000001\",\"imei\":\"490154203237518\","
					 "\"imsi\":null,\"model\":\"BG95-M3\"},\"uptime\":12.5}");
	assert_true(status.has_clock);
	assert_true(status.clock == INT64_C(1790000000250000));
}

static void test_what_a_tracker_need_not_say_may_be_absent_or_null(void **state)
{
	(void)state;
	static const char *const good[] = {
		"{" HEAD REST,
		"{" HEAD ",\"clock\":null" REST,
		"{" HEAD "," FIRMWARE ",\"module\":null," CONFIG "}",
		"{\"boot\":0,\"uptime\":0,\"mcu\":\"running\"" REST,
		"{\"boot\":2147483647,\"uptime\":4294967295,\"mcu\":\"running\"" REST,
		"{" HEAD "," FIRMWARE "," MODULE ",\"config\":{\"version\":0,\"values\":{}}}",
	};
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		if (decode_text(good[i]) != PACK_OK)
			fail_msg("%s: %s", good[i], e.detail);
		assert_false(status.has_clock);
	}
}

static void test_the_content_type_is_json_or_not_said(void **state)
{
	(void)state;
	static const char text[] = "{" HEAD REST;
	assert_int_equal(decode(text, sizeof(text) - 1, "application/json"), PACK_OK);
	assert_int_equal(decode(text, sizeof(text) - 1, "Application/JSON; charset=utf-8"), PACK_OK);
	assert_int_equal(decode(text, sizeof(text) - 1, ""), PACK_OK);
	assert_int_equal(decode(text, sizeof(text) - 1, "application/jso"), PACK_SYNTAX);
	assert_int_equal(decode(text, sizeof(text) - 1, "application/senml+json"), PACK_SYNTAX);
	assert_string_equal(e.detail, "content type 'application/senml+json': expected application/json");
}

#define BOOT(value)     "{\"boot\":" value ",\"uptime\":1,\"mcu\":\"running\"" REST
#define UPTIME(value)   "{\"boot\":1,\"uptime\":" value ",\"mcu\":\"running\"" REST
#define CLOCK(value)    "{" HEAD ",\"clock\":" value REST
#define MCU(value)      "{\"boot\":1,\"uptime\":1,\"mcu\":" value REST
#define FIRMWARES(body) "{" HEAD ",\"firmware\":" body "," MODULE "," CONFIG "}"
#define SLOTS(body)     FIRMWARES("{\"running\":\"a\",\"slots\":" body "}")
#define MODULES(body)   "{" HEAD "," FIRMWARE ",\"module\":" body "," CONFIG "}"
#define WITH_IMEI(rest) MODULES("{\"imei\":\"490154203237518\"," rest "}")
#define CONFIGS(body)   "{" HEAD "," FIRMWARE "," MODULE ",\"config\":" body "}"
#define TEN             "1234567890"
#define LONG            TEN TEN TEN TEN TEN TEN "12345" /* 65 */

static const struct {
	const char *text;
	enum pack_fault fault;
	const char *words;
} bad[] = {
	{"", PACK_EMPTY, "payload is empty"},
	{"hello", PACK_SYNTAX, "expected a JSON object"},
	{"[1]", PACK_SYNTAX, "expected a JSON object, got an array"},
	{"7", PACK_SYNTAX, "expected a JSON object"},
	{"null", PACK_SYNTAX, "expected a JSON object"},
	{"{" HEAD, PACK_SYNTAX, "expected a JSON object"},
	{"{" HEAD REST "x", PACK_SYNTAX, "end of file expected"},
	{"{" HEAD REST "{}", PACK_SYNTAX, "end of file expected"},
	{"{\"boot\":1,\"boot\":2}", PACK_SYNTAX, "duplicate"},
	{BOOT("NaN"), PACK_SYNTAX, "JSON"},
	{BOOT("1e999"), PACK_SYNTAX, "overflow"},
	{BOOT("99999999999999999999"), PACK_SYNTAX, "too big"},
	{MCU("\"run\\u0000ning\""), PACK_SYNTAX, "NUL"},
	{MCU("\"\\ud800\""), PACK_SYNTAX, "Unicode"},
	{MCU("\"\xff\""), PACK_SYNTAX, "unable to decode byte 0xff"},
	{"{}", PACK_CONTENT, "boot: expected it, got nothing"},
	{"{" HEAD "," FIRMWARE "," MODULE "}", PACK_CONTENT, "config: expected it"},
	{"{" HEAD "," FIRMWARE "," CONFIG "}", PACK_CONTENT, "module: expected it"},
	{"{" HEAD "," MODULE "," CONFIG "}", PACK_CONTENT, "firmware: expected it"},
	{"{" HEAD ",\"extra\":1" REST, PACK_CONTENT, "extra: no such member is known here"},
	{BOOT("null"), PACK_CONTENT, "boot: expected an integer from 0 to 2147483647, got null"},
	{BOOT("-1"), PACK_CONTENT, "boot: expected an integer from 0 to 2147483647, got -1"},
	{BOOT("1.5"), PACK_CONTENT, "got 1.5"},
	{BOOT("7.0"), PACK_CONTENT, "expected an integer"},
	{BOOT("\"7\""), PACK_CONTENT, "got '7'"},
	{BOOT("2147483648"), PACK_CONTENT, "got 2147483648"},
	{BOOT("true"), PACK_CONTENT, "got true"},
	{UPTIME("-0.5"), PACK_CONTENT, "uptime: expected a number from 0 to 4294967295, got -0.5"},
	{UPTIME("4294967296"), PACK_CONTENT, "uptime"},
	{CLOCK("-1"), PACK_CONTENT, "clock: expected a number from 0 to 253402300799, got -1"},
	{CLOCK("253402300800"), PACK_CONTENT, "clock"},
	{CLOCK("\"2026-11-22\""), PACK_CONTENT, "clock"},
	{MCU("\"asleep\""), PACK_CONTENT, "mcu: expected \"running\" or \"disabled\", got 'asleep'"},
	{MCU("false"), PACK_CONTENT, "got false"},
	{MCU("[]"), PACK_CONTENT, "got an array"},
	{FIRMWARES("\"1.4.2\""), PACK_CONTENT, "firmware: expected an object, got '1.4.2'"},
	{FIRMWARES("{\"slots\":{\"a\":\"1\"}}"), PACK_CONTENT, "firmware.running: expected it"},
	{FIRMWARES("{\"running\":\"a\"}"), PACK_CONTENT, "firmware.slots: expected it"},
	{FIRMWARES("{\"running\":\"a\",\"slots\":{\"a\":\"1\"},\"x\":1}"), PACK_CONTENT, "firmware.x: no such member"},
	{FIRMWARES("{\"running\":1,\"slots\":{\"a\":\"1\"}}"), PACK_CONTENT, "firmware.running: expected 1 to 64"},
	{SLOTS("{}"), PACK_CONTENT, "firmware.slots: expected an object with a version for each of 1 to 4 slots"},
	{SLOTS("[]"), PACK_CONTENT, "got an array"},
	{SLOTS("{\"a\":\"1\",\"b\":\"1\",\"c\":\"1\",\"d\":\"1\",\"e\":\"1\"}"), PACK_CONTENT, "another number"},
	{SLOTS("{\"b\":\"1\"}"), PACK_CONTENT,
	 "firmware.running: expected a slot of firmware.slots that has a version"},
	{SLOTS("{\"a\":null}"), PACK_CONTENT, "got 'a'"},
	{SLOTS("{\"a\":\"\"}"), PACK_CONTENT, "firmware.slots.a: expected 1 to 64"},
	{SLOTS("{\"a\":\"1 2\"}"), PACK_CONTENT, "got '1 2'"},
	{SLOTS("{\"a\":\"1,2\"}"), PACK_CONTENT, "got '1,2'"},
	{SLOTS("{\"a\":\"" LONG "\"}"), PACK_CONTENT, "firmware.slots.a"},
	{SLOTS("{\"a b\":\"1\"}"), PACK_CONTENT, "firmware.slots: name 'a b'"},
	{MODULES("[]"), PACK_CONTENT, "module: expected an object, got an array"},
	{MODULES("{}"), PACK_CONTENT, "module.imei: expected it"},
	{MODULES("{\"imei\":null}"), PACK_CONTENT, "module.imei: expected 15 digits, got null"},
	{MODULES("{\"imei\":490154203237518}"), PACK_CONTENT, "expected 15 digits, got 490154203237518"},
	{MODULES("{\"imei\":\"49015420323751\"}"), PACK_CONTENT, "expected 15 digits, got '49015420323751'"},
	{MODULES("{\"imei\":\"49015420323751x\"}"), PACK_CONTENT, "module.imei"},
	{WITH_IMEI("\"iccid\":\"12345678901234567\""), PACK_CONTENT, "module.iccid: expected 18 to 20 digits"},
	{WITH_IMEI("\"imsi\":\"12345\""), PACK_CONTENT, "module.imsi: expected 6 to 15 digits"},
	{WITH_IMEI("\"model\":\"\""), PACK_CONTENT, "module.model: expected 1 to 64 printable ASCII characters"},
	{WITH_IMEI("\"model\":\"M\xc3\xb6\""), PACK_CONTENT, "module.model"},
	{WITH_IMEI("\"firmware\":\"a\\nb\""), PACK_CONTENT, "module.firmware"},
	{WITH_IMEI("\"firmware\":\"" LONG "\""), PACK_CONTENT, "module.firmware"},
	{CONFIGS("null"), PACK_CONTENT, "config: expected an object, got null"},
	{CONFIGS("{}"), PACK_CONTENT, "config.version: expected it"},
	{CONFIGS("{\"version\":-1}"), PACK_CONTENT, "config.version: expected an integer from 0"},
	{CONFIGS("{\"version\":1,\"values\":[]}"), PACK_CONTENT,
	 "config.values: expected an object of at most 64 names"},
	{CONFIGS("{\"version\":1,\"values\":null}"), PACK_CONTENT, "config.values"},
	{CONFIGS("{\"version\":1,\"values\":{\"\":1}}"), PACK_CONTENT, "config.values: name ''"},
	{CONFIGS("{\"version\":1,\"values\":{\"a\":[[[[[]]]]]}}"), PACK_CONTENT,
	 "config.values: expected at most 4 levels"},
};

static void test_each_bad_status_is_refused_with_what_where_and_what_was_expected(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		enum pack_fault fault = decode_text(bad[i].text);
		if (fault != bad[i].fault || strstr(e.detail, bad[i].words) == NULL)
			fail_msg("%s: fault %s, expected %s; '%s', expected words '%s'", bad[i].text,
				 pack_fault_name(fault), pack_fault_name(bad[i].fault), e.detail, bad[i].words);
		assert_null(status.json);
		assert_false(status.has_clock);
	}
}

static void test_a_value_at_the_limit_of_depth_is_taken(void **state)
{
	(void)state;
	assert_int_equal(decode_text(CONFIGS("{\"version\":1,\"values\":{\"a\":[[[[1]]]]}}")), PACK_OK);
}

static void test_more_than_64_configured_names_are_refused(void **state)
{
	(void)state;
	for (int names = 64; names <= 65; names++) {
		char text[4096] = "{" HEAD "," FIRMWARE "," MODULE ",\"config\":{\"version\":1,\"values\":{";
		for (int i = 0; i < names; i++)
			sprintf(text + strlen(text), "%s\"n%d\":%d", i > 0 ? "," : "", i, i);
		strcat(text, "}}}");
		assert_int_equal(decode_text(text), names == 64 ? PACK_OK : PACK_CONTENT);
	}
}

static void test_the_limit_on_bytes_holds_to_the_byte_and_before_anything_is_parsed(void **state)
{
	(void)state;
	char text[4098];
	memset(text, ' ', sizeof(text));
	memcpy(text, "{" HEAD REST, strlen("{" HEAD REST));
	assert_int_equal(decode(text, 4096, NULL), PACK_OK);
	assert_int_equal(decode(text, 4097, NULL), PACK_TOO_LARGE);
	assert_string_equal(e.detail, "4097 bytes: expected at most 4096");
	memset(text, '[', sizeof(text));
	assert_int_equal(decode(text, 4096, NULL), PACK_SYNTAX);
}

#define T(name) cmocka_unit_test_setup_teardown(name, fresh, drop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_a_full_status_is_taken_with_its_members_sorted),
		T(test_what_a_tracker_need_not_say_may_be_absent_or_null),
		T(test_the_content_type_is_json_or_not_said),
		T(test_each_bad_status_is_refused_with_what_where_and_what_was_expected),
		T(test_a_value_at_the_limit_of_depth_is_taken),
		T(test_more_than_64_configured_names_are_refused),
		T(test_the_limit_on_bytes_holds_to_the_byte_and_before_anything_is_parsed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
