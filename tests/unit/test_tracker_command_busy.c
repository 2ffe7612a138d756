/* SPDX-License-Identifier: Apache-2.0
 *
 * The reference tracker with more commands than one at once: what waits, what overtakes, what finds no room. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tracker_rig.h"

static void test_slow_update_does_not_hold_up_a_locate(void **state)
{
	struct command update, locate;
	(void)state;
	rig.faults.slow = 0.3;
	rig.faults.slow_operation = "update-firmware";
	rig_make(&update,
		 (struct wish){.operation = "update-firmware",
			       .arguments = "{\"release\":"
					    "\"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\"}",
			       .counter = 1});
	rig_make(&locate, (struct wish){.operation = "locate", .counter = 2});
	rig_hand_over(&update, 1);
	rig_hand_over(&locate, 1);
	rig_wait_sent(4);
	rig_assert_sent(0, &update, COMMAND_ACCEPTED, 1);
	rig_assert_sent(1, &locate, COMMAND_ACCEPTED, 1);
	rig_assert_sent(2, &locate, COMMAND_SUCCEEDED, 1);
	rig_assert_sent(3, &update, COMMAND_SUCCEEDED, 1);
	assert_string_equal(mcu_state(rig.mcu)->firmware[mcu_state(rig.mcu)->slot],
			    "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08");
	assert_int_equal(rig.reboots, 1);
}

static void test_slow_disable_does_not_undo_an_enable_that_came_after_it(void **state)
{
	struct command disable, enable, other;
	(void)state;
	rig.faults.slow = 0.2;
	rig.faults.slow_operation = "disable";
	rig_make(&disable, (struct wish){.operation = "disable", .arguments = "{\"mode\": \"halt\"}", .counter = 1});
	rig_make(&enable, (struct wish){.operation = "enable", .counter = 2});
	rig_hand_over(&disable, 1);
	rig_hand_over(&enable, 1);
	rig_wait_sent(4);
	rig_assert_sent(2, &enable, COMMAND_SUCCEEDED, 1);
	rig_assert_sent(3, &disable, COMMAND_FAILED, 1);
	event_base_loopexit(rig.base, &(struct timeval){.tv_usec = 400000});
	event_base_dispatch(rig.base); /* longer than the disable would have taken */
	assert_false(mcu_state(rig.mcu)->disabled);
	assert_int_equal(rig_acts(), 1);
	assert_int_equal(rig.count, 4);
	rig.faults.slow = 3600;
	for (int64_t i = 0; i < MCU_PENDING - 1; i++) {
		rig_make(&disable,
			 (struct wish){.operation = "disable", .arguments = "{\"mode\": \"halt\"}", .counter = 3 + i});
		rig_hand_over(&disable, 1);
	}
	rig_carry_out(&enable, (struct wish){.operation = "enable", .counter = 20});
	rig.faults.slow_operation = NULL;
	for (int64_t i = 0; i < MCU_PENDING; i++) { /* there is room for as many as ever */
		rig_make(&other, (struct wish){.operation = "locate", .counter = 21 + i});
		rig_hand_over(&other, 1);
		rig_assert_sent(rig.count - 1, &other, COMMAND_ACCEPTED, 1);
	}
}

static void test_more_than_can_be_carried_out_at_once_is_rejected(void **state)
{
	struct command c[MCU_PENDING + 1];
	(void)state;
	rig.faults.slow = 3600;
	for (int64_t i = 0; i <= MCU_PENDING; i++) {
		rig_make(&c[i], (struct wish){.operation = "locate", .counter = 1 + i});
		rig_hand_over(&c[i], 1);
	}
	rig_assert_sent(MCU_PENDING, &c[MCU_PENDING], COMMAND_REJECTED, 1);
	rig_power_off(); /* the others were begun */
	rig.faults.slow = 0;
	rig.count = 0;
	rig_power_on();
	assert_int_equal(rig.count, MCU_PENDING + 1);
	rig_assert_sent(0, &c[MCU_PENDING], COMMAND_REJECTED, 1);
	for (size_t i = 0; i < MCU_PENDING; i++)
		rig_assert_sent(1 + i, &c[i], COMMAND_FAILED, 1);
	rig_hand_over(&c[MCU_PENDING], 2); /* somebody brings it again now that there is room */
	rig_assert_sent(MCU_PENDING + 1, &c[MCU_PENDING], COMMAND_REJECTED, 2);
	assert_int_equal(rig_acts(), 0);
}

static void test_disable_and_enable_find_room_whatever_waits(void **state)
{
	struct command slow[MCU_PENDING], halt[MCU_PENDING + 2], locate;
	(void)state;
	rig.faults.slow = 3600;
	for (int64_t i = 0; i < MCU_PENDING; i++) {
		rig_make(&slow[i], (struct wish){.operation = "locate", .counter = 1 + i});
		rig_hand_over(&slow[i], 1);
	}
	for (int64_t i = 0; i < MCU_PENDING + 2; i++) {
		rig_make(&halt[i],
			 (struct wish){.operation = "disable", .arguments = "{\"mode\": \"halt\"}", .counter = 10 + i});
		rig_hand_over(&halt[i], 1);
		rig_assert_sent(rig.count - 2, i < MCU_PENDING ? &slow[i] : &halt[i - MCU_PENDING], COMMAND_FAILED, 1);
		rig_assert_sent(rig.count - 1, &halt[i], COMMAND_ACCEPTED, 1);
	}
	rig_make(&locate, (struct wish){.operation = "locate", .counter = 90});
	rig_hand_over(&locate, 1);
	rig_assert_sent(rig.count - 1, &locate, COMMAND_REJECTED, 1);
	rig.faults.slow = 0;
	size_t before = rig.count;
	rig_make(&halt[0], (struct wish){.operation = "disable", .arguments = "{\"mode\": \"halt\"}", .counter = 91});
	rig_hand_over(&halt[0], 1);
	rig_wait_sent(before + 2 +
		      MCU_PENDING); /* the last that gave way, accepted, done, and those that came before it */
	assert_true(mcu_state(rig.mcu)->disabled);
	assert_int_equal(rig_acts(), 1);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		RIG_TEST(test_slow_update_does_not_hold_up_a_locate),
		RIG_TEST(test_slow_disable_does_not_undo_an_enable_that_came_after_it),
		RIG_TEST(test_more_than_can_be_carried_out_at_once_is_rejected),
		RIG_TEST(test_disable_and_enable_find_room_whatever_waits),
	};
	return cmocka_run_group_tests(tests, rig_make_keys, rig_free_keys);
}
