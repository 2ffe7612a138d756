/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tracker says about itself is what the back end reads; its boots are counted across starts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "ingest/status.h"
#include "tests/tracker/status.h"

#define CLOCK INT64_C(1790000000250000)

static const struct pack_limits limits = PACK_LIMITS_DEFAULT;

static void write_and_decode(const char *serial, bool disabled, struct arena *arena, struct status *out)
{
	struct err e = {0};
	char text[STATUS_BYTES];
	const struct report r = {
		.serial = serial, .boot = 7, .uptime = 1.5, .clock = CLOCK, .disabled = disabled, .config = 3};
	size_t len = status_write(&r, text);
	if (status_decode((const uint8_t *)text, len, "application/json", &limits, arena, out, &e) != PACK_OK)
		fail_msg("%.*s: %s", (int)len, text, e.detail);
}

static void test_a_status_is_what_the_back_end_reads(void **state)
{
	(void)state;
	struct arena *arena = arena_new(65536);
	struct status status, again, disabled;
	for (int i = 0; i < 200; i++) {
		char serial[32];
		snprintf(serial, sizeof(serial), "demo-%05d", i);
		write_and_decode(serial, false, arena, &status);
		write_and_decode(serial, false, arena, &again);
		assert_string_equal(status.json, again.json);
		assert_true(status.has_clock && status.clock == CLOCK);
		assert_non_null(strstr(status.json, "\"boot\":7,"));
		assert_non_null(strstr(status.json, "\"config\":{\"version\":3}"));
		assert_non_null(strstr(status.json, "\"mcu\":\"running\""));
	}
	write_and_decode("demo-00199", true, arena, &disabled);
	assert_non_null(strstr(disabled.json, "\"mcu\":\"disabled\""));
	write_and_decode("demo-00200", false, arena, &again);
	assert_string_not_equal(status.json, again.json);
	arena_free(&arena);
}

static void test_boots_are_counted_across_starts_by_tracker(void **state)
{
	(void)state;
	struct err e = {0};
	char folder[] = "/tmp/coldfleet-boot-XXXXXX", path[64];
	int32_t boot = 0;
	assert_non_null(mkdtemp(folder));
	for (int32_t i = 1; i <= 3; i++) {
		assert_true(status_boot(folder, "a", &boot, &e));
		assert_int_equal(boot, i);
	}
	assert_true(status_boot(folder, "b", &boot, &e));
	assert_int_equal(boot, 1);
	for (const char *name = "ab"; *name != '\0'; name++) {
		snprintf(path, sizeof(path), "%s/%c.boot", folder, *name);
		assert_int_equal(unlink(path), 0);
	}
	assert_int_equal(rmdir(folder), 0);
}

static void test_a_count_that_cannot_be_kept_is_an_error(void **state)
{
	(void)state;
	struct err e = {0};
	int32_t boot = 0;
	assert_false(status_boot("/proc/nowhere", "a", &boot, &e));
	assert_non_null(strstr(e.detail, "/proc/nowhere/a.boot.new: "));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_status_is_what_the_back_end_reads),
		cmocka_unit_test(test_boots_are_counted_across_starts_by_tracker),
		cmocka_unit_test(test_a_count_that_cannot_be_kept_is_an_error),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
