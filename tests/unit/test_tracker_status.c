/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tracker says about itself is what the back end reads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/cbor_json.h"
#include "ingest/status.h"
#include "tests/tracker/status.h"

#define CLOCK INT64_C(1790000000250000)

static const struct pack_limits limits = PACK_LIMITS_DEFAULT;

static void write_and_decode(const char *serial, struct mcu *m, struct arena *arena, struct status *out)
{
	struct err e = {0};
	char text[STATUS_BYTES];
	status_factory(serial, m);
	const struct report r = {.serial = serial, .mcu = mcu_state(m), .uptime = 1.5, .clock = CLOCK};
	size_t len = status_write(&r, text);
	if (status_decode((const uint8_t *)text, len, "application/json", &limits, arena, out, &e) != PACK_OK)
		fail_msg("%.*s: %s", (int)len, text, e.detail);
}

static struct mcu *new_mcu(void)
{
	struct mcu *m = mcu_open(NULL, NULL, NULL);
	assert_non_null(m);
	mcu_change(m)->boot_count = 7;
	mcu_change(m)->config_version = 3;
	return m;
}

static void set_config(struct mcu *m, const char *json)
{
	struct mcu_state *s = mcu_change(m);
	json_t *value = json_loads(json, 0, NULL);
	struct cbor_writer w;
	free(s->config);
	s->config = malloc(COMMAND_ARGUMENTS_MAX);
	assert_non_null(s->config);
	cbor_writer_init(&w, s->config, COMMAND_ARGUMENTS_MAX);
	assert_true(cbor_from_json(&w, value, NULL));
	s->config_len = w.len;
	json_decref(value);
}

static void test_a_status_is_what_the_back_end_reads(void **state)
{
	(void)state;
	struct arena *arena = arena_new(65536);
	struct status status, again, disabled;
	for (int i = 0; i < 200; i++) {
		char serial[32];
		struct mcu *m = new_mcu();
		snprintf(serial, sizeof(serial), "demo-%05d", i);
		write_and_decode(serial, m, arena, &status);
		write_and_decode(serial, m, arena, &again);
		assert_string_equal(status.json, again.json);
		assert_true(status.has_clock && status.clock == CLOCK);
		assert_non_null(strstr(status.json, "\"boot\":7,"));
		assert_non_null(strstr(status.json, "\"config\":{\"version\":3}"));
		assert_non_null(strstr(status.json, "\"mcu\":\"running\""));
		mcu_free(&m);
	}
	struct mcu *m = new_mcu();
	mcu_change(m)->disabled = true;
	write_and_decode("demo-00199", m, arena, &disabled);
	assert_non_null(strstr(disabled.json, "\"mcu\":\"disabled\""));
	mcu_free(&m);
	m = new_mcu();
	write_and_decode("demo-00200", m, arena, &again);
	assert_string_not_equal(status.json, again.json);
	mcu_free(&m);
	arena_free(&arena);
}

static void test_configuration_in_force_is_told_while_it_fits(void **state)
{
	(void)state;
	struct arena *arena = arena_new(65536);
	struct status status;
	struct mcu *m = new_mcu();
	char large[4200] = "{\"a\":\"";
	set_config(m, "{\"interval\":60}");
	write_and_decode("demo-00001", m, arena, &status);
	assert_non_null(strstr(status.json, "\"config\":{\"values\":{\"interval\":60},\"version\":3}"));
	memset(large + 6, 'x', 4100);
	strcpy(large + 4106, "\"}");
	set_config(m, large);
	write_and_decode("demo-00001", m, arena, &status);
	assert_non_null(strstr(status.json, "\"config\":{\"version\":3}"));
	mcu_free(&m);
	arena_free(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_status_is_what_the_back_end_reads),
		cmocka_unit_test(test_configuration_in_force_is_told_while_it_fits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
