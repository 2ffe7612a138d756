/* SPDX-License-Identifier: Apache-2.0
 *
 * A command is carried out at most once by the reference tracker, whatever is repeated, lost or killed in between, and
 * its reply says the truth about it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tracker_rig.h"

static void test_repeated_command_is_answered_with_its_outcome_and_not_carried_out_again(void **state)
{
	struct command c;
	(void)state;
	rig_carry_out(&c, (struct wish){.operation = "report-now", .counter = 5});
	rig_hand_over(&c, 2);
	rig_wait_sent(3);
	rig_assert_sent(2, &c, COMMAND_SUCCEEDED, 2);
	rig_power_off();
	rig_power_on();
	rig.count = 0;
	commander_down(rig.commander);
	rig_hand_over(&c, 3);
	commander_up(rig.commander);
	rig_wait_sent(2);
	rig_assert_sent(rig.count - 1, &c, COMMAND_SUCCEEDED, 3);
	assert_int_equal(rig.reports, 1);
	assert_int_equal(rig_acts(), 1);
}

static void test_command_repeated_while_it_is_carried_out_is_accepted_once_more_and_done_once(void **state)
{
	struct command c;
	(void)state;
	rig_make(&c, (struct wish){.operation = "report-now", .counter = 5});
	rig_hand_over(&c, 1);
	rig_hand_over(&c, 2);
	rig_wait_sent(3);
	rig_assert_sent(0, &c, COMMAND_ACCEPTED, 1);
	rig_assert_sent(1, &c, COMMAND_ACCEPTED, 2);
	rig_assert_sent(2, &c, COMMAND_SUCCEEDED, 2);
	assert_int_equal(rig.reports, 1);
}

/* In a child of its own, which kills itself. */
static void test_power_loss_between_counter_and_act_leaves_a_failed_command_that_never_acts(void **state)
{
	struct command c;
	int status;
	(void)state;
	rig_make(&c, (struct wish){.operation = "disable", .arguments = "{\"mode\":\"halt\"}", .counter = 5});
	rig_power_off();
	pid_t child = fork();
	if (child == 0) {
		rig.faults.die_after_persist = true;
		rig_power_on();
		rig_hand_over(&c, 1);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	rig_power_on();
	rig_wait_sent(1);
	rig_assert_sent(0, &c, COMMAND_FAILED, 1);
	assert_string_equal(rig.sent[0].reason, "power was lost before it was carried out");
	assert_true(mcu_measures(rig.mcu));
	assert_int_equal(mcu_state(rig.mcu)->counter, 5);
	rig_hand_over(&c, 2);
	rig_wait_sent(2);
	rig_assert_sent(1, &c, COMMAND_FAILED, 2);
	assert_int_equal(rig_acts(), 0);
}

static void test_power_loss_after_the_act_was_logged_brings_it_to_its_end(void **state)
{
	struct command c;
	struct command_message m;
	struct cose_keyring ring = {.keys = {rig_key}, .count = 1};
	(void)state;
	rig_make(&c, (struct wish){.operation = "disable", .arguments = "{\"mode\":\"halt\"}", .counter = 5});
	assert_true(command_open(&ring, RIG_SERIAL, c.bytes, c.len, &m, NULL));
	assert_true(mcu_begin(rig.mcu, &m, m.payload, 4, NULL));
	assert_true(mcu_log_act(rig.mcu, &m, NULL));
	rig_power_off();
	rig_power_on();
	rig_wait_sent(1);
	rig_assert_sent(0, &c, COMMAND_SUCCEEDED, 4);
	assert_false(mcu_measures(rig.mcu));
	assert_int_equal(rig_acts(), 1);
}

static void test_reply_that_nobody_heard_goes_out_again(void **state)
{
	struct command c;
	(void)state;
	rig_carry_out(&c, (struct wish){.operation = "locate", .counter = 5});
	assert_true(commander_published(rig.commander, rig.mid - 1, 0));
	assert_true(commander_published(rig.commander, rig.mid, 0x10));
	assert_false(commander_idle(rig.commander));
	rig_wait_sent(3);
	rig_assert_sent(2, &c, COMMAND_SUCCEEDED, 1);
	assert_true(commander_published(rig.commander, rig.mid, 0));
	assert_true(commander_idle(rig.commander));
}

static void test_reply_is_kept_until_the_broker_has_it(void **state)
{
	struct command c;
	(void)state;
	rig.connected = false;
	commander_down(rig.commander);
	rig_make(&c, (struct wish){.operation = "locate", .counter = 5});
	rig_hand_over(&c, 1);
	while (mcu_state(rig.mcu)->outcome_count == 0)
		event_base_loop(rig.base, EVLOOP_ONCE);
	assert_int_equal(rig.count, 0);
	rig.connected = true;
	commander_up(rig.commander);
	assert_int_equal(rig.count, 2);
	rig_assert_sent(0, &c, COMMAND_ACCEPTED, 1);
	rig_assert_sent(1, &c, COMMAND_SUCCEEDED, 1);
	assert_false(commander_idle(rig.commander));
	commander_down(rig.commander);
	commander_up(rig.commander);
	assert_int_equal(rig.count, 4);
	rig_power_off(); /* neither was acknowledged: the outcome is told by the next life */
	rig_power_on();
	assert_int_equal(rig.count, 5);
	rig_assert_sent(4, &c, COMMAND_SUCCEEDED, 1);
	assert_true(commander_published(rig.commander, rig.mid, 0));
	assert_false(commander_published(rig.commander, rig.mid, 0));
	assert_true(commander_idle(rig.commander));
	rig_power_off();
	rig_power_on();
	assert_int_equal(rig.count, 5);
}

static void test_thirty_third_command_pushes_out_the_first_which_is_then_too_old(void **state)
{
	struct command first, c;
	(void)state;
	rig_carry_out(&first, (struct wish){.operation = "report-now", .counter = 1});
	for (int64_t i = 2; i <= MCU_OUTCOMES + 1; i++)
		rig_carry_out(&c, (struct wish){.operation = "report-now", .counter = i});
	size_t before = rig.count;
	rig_hand_over(&first, 2);
	rig_wait_sent(before + 1);
	rig_assert_sent(before, &first, COMMAND_REJECTED, 2);
	rig_hand_over(&c, 2);
	rig_wait_sent(before + 2);
	rig_assert_sent(before + 1, &c, COMMAND_SUCCEEDED, 2);
	assert_int_equal(rig.reports, MCU_OUTCOMES + 1);
	assert_int_equal(rig_acts(), MCU_OUTCOMES + 1);
}

static void test_misbehaving_trackers_do_so(void **state)
{
	struct command c;
	(void)state;
	rig.faults.deaf = true;
	rig_make(&c, (struct wish){.operation = "report-now", .counter = 1});
	rig_hand_over(&c, 1);
	event_base_loop(rig.base, EVLOOP_NONBLOCK);
	assert_int_equal(rig.count + rig_acts(), 0);
	rig.faults.deaf = false;
	rig.faults.drop_replies = 1;
	rig_hand_over(&c, 1);
	while (rig.reports == 0)
		event_base_loop(rig.base, EVLOOP_ONCE);
	assert_int_equal(rig.count, 0);
	assert_true(commander_idle(rig.commander));
	rig.faults.drop_replies = 0;
	rig.faults.late_reply = 0.2;
	rig_make(&c, (struct wish){.operation = "report-now", .counter = 2});
	rig_hand_over(&c, 1);
	while (rig.reports == 1)
		event_base_loop(rig.base, EVLOOP_ONCE);
	assert_int_equal(rig.count, 1);
	rig_assert_sent(0, &c, COMMAND_ACCEPTED, 1);
	rig_wait_sent(2);
	rig_assert_sent(1, &c, COMMAND_SUCCEEDED, 1);
}

static void test_damaged_memory_is_not_guessed_at(void **state)
{
	char path[128];
	struct err e = {0};
	struct command c;
	(void)state;
	rig_carry_out(&c, (struct wish){.operation = "disable", .arguments = "{\"mode\":\"halt\"}", .counter = 1});
	snprintf(path, sizeof(path), "%s.mcu", rig_base_path);
	FILE *f = fopen(path, "r+");
	assert_non_null(f);
	fseek(f, 20, SEEK_SET);
	int byte = fgetc(f);
	fseek(f, 20, SEEK_SET);
	fputc(byte ^ 1, f);
	fclose(f);
	assert_null(mcu_open(rig_base_path, rig_trust_path, &e));
	assert_non_null(strstr(e.detail, "damaged"));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		RIG_TEST(test_repeated_command_is_answered_with_its_outcome_and_not_carried_out_again),
		RIG_TEST(test_command_repeated_while_it_is_carried_out_is_accepted_once_more_and_done_once),
		RIG_TEST(test_power_loss_between_counter_and_act_leaves_a_failed_command_that_never_acts),
		RIG_TEST(test_power_loss_after_the_act_was_logged_brings_it_to_its_end),
		RIG_TEST(test_reply_that_nobody_heard_goes_out_again),
		RIG_TEST(test_reply_is_kept_until_the_broker_has_it),
		RIG_TEST(test_thirty_third_command_pushes_out_the_first_which_is_then_too_old),
		RIG_TEST(test_misbehaving_trackers_do_so),
		RIG_TEST(test_damaged_memory_is_not_guessed_at),
	};
	return cmocka_run_group_tests(tests, rig_make_keys, rig_free_keys);
}
