/* SPDX-License-Identifier: Apache-2.0
 *
 * The device table: what was put is found, whatever else is in it, at the memory it promises. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ingest/devices.h"

static int fresh(void **state)
{
	*state = devices_new();
	return 0;
}

static int drop(void **state)
{
	struct devices *d = *state;
	devices_free(&d);
	assert_null(d);
	return 0;
}

static void test_an_unknown_serial_has_no_id(void **state)
{
	assert_int_equal(devices_find(*state, "a", 1), 0);
	devices_put(*state, "a", 1, 7);
	assert_int_equal(devices_find(*state, "a", 1), 7);
	assert_int_equal(devices_find(*state, "A", 1), 0);
	assert_int_equal(devices_find(*state, "aa", 2), 0);
	assert_int_equal(devices_find(*state, "", 0), 0);
}

static void test_a_known_serial_takes_its_new_id_without_growing(void **state)
{
	devices_put(*state, "tracker", 7, 7);
	size_t bytes = devices_bytes(*state);
	for (int32_t id = 8; id < 5000; id++)
		devices_put(*state, "tracker", 7, id);
	assert_int_equal(devices_find(*state, "tracker", 7), 4999);
	assert_int_equal(devices_count(*state), 1);
	assert_int_equal(devices_bytes(*state), bytes);
}

static void test_what_is_no_device_is_not_kept(void **state)
{
	char text[300];
	memset(text, 'x', sizeof(text));
	devices_put(*state, text, 0, 1);
	devices_put(*state, text, 256, 1);
	devices_put(*state, text, 5, 0);
	devices_put(*state, text, 5, -1);
	assert_int_equal(devices_count(*state), 0);
	devices_put(*state, text, 255, 1);
	assert_int_equal(devices_find(*state, text, 255), 1);
	assert_int_equal(devices_find(*state, text, 254), 0);
	assert_int_equal(devices_find(*state, text, 300), 0);
}

static void test_a_million_devices_take_64_bytes_each_beside_their_serials(void **state)
{
	enum { DEVICES = 1000000 };
	char serial[32];
	size_t serial_bytes = 0;
	for (int32_t i = 1; i <= DEVICES; i++) {
		int len = snprintf(serial, sizeof(serial), "CF-%08x-%d", (unsigned)i * 2654435761u, i);
		devices_put(*state, serial, (size_t)len, i);
		serial_bytes += (size_t)len;
	}
	assert_int_equal(devices_count(*state), DEVICES);
	for (int32_t i = 1; i <= DEVICES; i++) {
		int len = snprintf(serial, sizeof(serial), "CF-%08x-%d", (unsigned)i * 2654435761u, i);
		if (devices_find(*state, serial, (size_t)len) != i)
			fail_msg("%s is not found", serial);
	}
	print_message("%d devices: %.1f bytes each beside the serial\n", DEVICES,
		      (double)(devices_bytes(*state) - serial_bytes) / DEVICES);
	assert_true(devices_bytes(*state) - serial_bytes <= (size_t)64 * DEVICES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_an_unknown_serial_has_no_id, fresh, drop),
		cmocka_unit_test_setup_teardown(test_a_known_serial_takes_its_new_id_without_growing, fresh, drop),
		cmocka_unit_test_setup_teardown(test_what_is_no_device_is_not_kept, fresh, drop),
		cmocka_unit_test_setup_teardown(test_a_million_devices_take_64_bytes_each_beside_their_serials, fresh,
						drop),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
