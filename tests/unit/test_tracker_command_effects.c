/* SPDX-License-Identifier: Apache-2.0
 *
 * What commands do to the reference tracker, and what of it outlives a loss of power. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

#include "core/base64url.h"
#include "tracker_rig.h"

static void test_disable_is_accepted_carried_out_and_survives_power_loss_until_enable(void **state)
{
	struct command c;
	(void)state;
	rig_carry_out(&c, (struct wish){.operation = "disable", .arguments = "{\"mode\":\"halt\"}", .counter = 5});
	assert_false(mcu_measures(rig.mcu));
	assert_false(mcu_speaks(rig.mcu));
	assert_int_equal(rig.changes, 1);
	int64_t boots = mcu_state(rig.mcu)->boot_count;
	rig_power_off();
	rig_power_on();
	assert_false(mcu_measures(rig.mcu));
	assert_int_equal(mcu_state(rig.mcu)->boot_count, boots + 1);
	assert_int_equal(mcu_state(rig.mcu)->counter, 5);
	rig.count = 0;
	rig_carry_out(&c, (struct wish){.operation = "restore-defaults", .counter = 6});
	assert_false(mcu_measures(rig.mcu));
	rig_carry_out(&c, (struct wish){.operation = "enable", .counter = 7});
	assert_true(mcu_measures(rig.mcu));
	assert_true(mcu_speaks(rig.mcu));
	assert_true(mcu_state(rig.mcu)->running_since > 0);
	assert_int_equal(rig_acts(), 3);
}

static void test_radio_off_goes_on_measuring(void **state)
{
	struct command c;
	(void)state;
	rig_carry_out(&c, (struct wish){.operation = "disable", .arguments = "{\"mode\":\"radio-off\"}", .counter = 1});
	assert_true(mcu_measures(rig.mcu));
	assert_false(mcu_speaks(rig.mcu));
}

static void test_disable_with_an_end_ends_by_itself(void **state)
{
	struct command c;
	char arguments[96];
	(void)state;
	snprintf(arguments, sizeof(arguments), "{\"mode\":\"halt\",\"until\":%lld}", (long long)time(NULL) + 1);
	rig_carry_out(&c, (struct wish){.operation = "disable", .arguments = arguments, .counter = 1});
	assert_false(mcu_measures(rig.mcu));
	for (time_t began = time(NULL); !mcu_measures(rig.mcu) && time(NULL) - began < (time_t)RIG_PATIENCE;)
		event_base_loop(rig.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	assert_true(mcu_measures(rig.mcu));
	assert_int_equal(rig.changes, 2);
}

static void test_lower_release_counter_fails(void **state)
{
	struct command c;
	static const char *const releases[] = {
		"{\"release\":\"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\",\"counter\":7,"
		"\"version\":\"2.7\"}",
		"{\"release\":\"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\",\"counter\":6}"};
	(void)state;
	rig_carry_out(&c, (struct wish){.operation = "update-firmware", .arguments = releases[0], .counter = 1});
	assert_string_equal(mcu_state(rig.mcu)->firmware[mcu_state(rig.mcu)->slot], "2.7");
	rig_make(&c, (struct wish){.operation = "update-firmware", .arguments = releases[1], .counter = 2});
	rig_hand_over(&c, 1);
	rig_wait_sent(4);
	rig_assert_sent(3, &c, COMMAND_FAILED, 1);
	assert_string_equal(rig.sent[3].reason, "release counter 6, expected no less than 7");
	assert_string_equal(mcu_state(rig.mcu)->firmware[mcu_state(rig.mcu)->slot], "2.7");
	assert_int_equal(rig_acts(), 1);
}

static void test_new_trust_list_ends_the_old_keys_command_over_the_tracker(void **state)
{
	struct trust *next = trust_new(1);
	uint8_t update[TRUST_UPDATE_MAX];
	char text[BASE64URL_TEXT(TRUST_UPDATE_MAX)], arguments[sizeof(text) + 32];
	size_t len;
	struct command c;
	static const uint8_t nobody[COMMAND_ID_BYTES];
	(void)state;
	assert_true(trust_add(next, cose_key_public(cose_key_point(rig_other_key), NULL), TRUST_NEVER, NULL));
	assert_true(trust_update_sign(next, rig_key, rig_other_key, update, sizeof(update), &len, NULL));
	base64url_encode(update, len, text);
	snprintf(arguments, sizeof(arguments), "{\"list\":\"%s\"}", text);
	rig_carry_out(&c, (struct wish){.operation = "rotate-key", .arguments = arguments, .counter = 1});
	rig_power_off();
	rig_power_on(); /* the list outlives the key that the tracker left the factory with */
	rig.count = 0;
	rig_make(&c, (struct wish){.operation = "locate", .counter = 2});
	rig_hand_over(&c, 1);
	rig_wait_sent(1);
	assert_memory_equal(rig.sent[rig.count - 1].id, nobody, sizeof(nobody));
	rig_carry_out(&c, (struct wish){.operation = "locate", .counter = 2, .key = rig_other_key});
	trust_free(&next);
}

static void test_configuration_is_kept_and_cleared(void **state)
{
	struct command c;
	(void)state;
	rig_carry_out(&c, (struct wish){.operation = "set-config",
					.arguments = "{\"version\":4,\"config\":{\"interval\":60}}",
					.counter = 1});
	rig_power_off();
	rig_power_on();
	assert_int_equal(mcu_state(rig.mcu)->config_version, 4);
	assert_int_equal(mcu_state(rig.mcu)->config_len, 12);
	rig.count = 0;
	rig_carry_out(&c, (struct wish){.operation = "clear-config", .counter = 2});
	assert_int_equal(mcu_state(rig.mcu)->config_version, 0);
	assert_null(mcu_state(rig.mcu)->config);
}

static void test_disabled_tracker_answers_but_sends_no_samples(void **state)
{
	struct command c;
	(void)state;
	rig_carry_out(&c, (struct wish){.operation = "disable", .arguments = "{\"mode\":\"radio-off\"}", .counter = 1});
	rig_carry_out(&c, (struct wish){.operation = "locate", .counter = 2});
	rig_make(&c, (struct wish){.operation = "report-now", .counter = 3});
	rig_hand_over(&c, 1);
	rig_wait_sent(6);
	rig_assert_sent(5, &c, COMMAND_FAILED, 1);
	assert_int_equal(rig.reports, 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		RIG_TEST(test_disable_is_accepted_carried_out_and_survives_power_loss_until_enable),
		RIG_TEST(test_radio_off_goes_on_measuring),
		RIG_TEST(test_disable_with_an_end_ends_by_itself),
		RIG_TEST(test_lower_release_counter_fails),
		RIG_TEST(test_new_trust_list_ends_the_old_keys_command_over_the_tracker),
		RIG_TEST(test_configuration_is_kept_and_cleared),
		RIG_TEST(test_disabled_tracker_answers_but_sends_no_samples),
	};
	return cmocka_run_group_tests(tests, rig_make_keys, rig_free_keys);
}
