/* SPDX-License-Identifier: Apache-2.0
 *
 * What the reference tracker refuses: commands that are old, early, late or forged, and stays with it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/cbor_json.h"
#include "tracker_rig.h"

static void assert_rejected(struct wish w, const char *because)
{
	struct command c;
	size_t before = rig.count, acted = rig_acts();
	int64_t counter = mcu_state(rig.mcu)->counter;
	rig_make(&c, w);
	rig_hand_over(&c, 9);
	rig_wait_sent(before + 1);
	rig_assert_sent(before, &c, COMMAND_REJECTED, 9);
	if (strstr(rig.sent[before].reason, because) == NULL)
		fail_msg("said \"%s\", expected \"%s\"", rig.sent[before].reason, because);
	assert_int_equal(rig_acts(), acted);
	assert_int_equal(mcu_state(rig.mcu)->counter, counter);
}

static void test_old_commands_are_rejected(void **state)
{
	struct command c;
	(void)state;
	rig_carry_out(&c, (struct wish){.operation = "locate", .counter = 5, .epoch = 1});
	assert_rejected((struct wish){.operation = "locate", .counter = 5, .epoch = 1},
			"counter 5, expected more than 5");
	assert_rejected((struct wish){.operation = "locate", .counter = 4, .epoch = 1}, "counter 4");
	assert_rejected((struct wish){.operation = "locate", .counter = 6, .epoch = 0}, "epoch 0");
	rig_carry_out(&c, (struct wish){.operation = "locate", .counter = 1, .epoch = 2, .from = 60, .to = 120});
	rig.faults.no_clock = true;
	rig_carry_out(&c, (struct wish){.operation = "locate", .counter = 2, .epoch = 2, .from = -120, .to = -60});
	assert_int_equal(rig.sent[rig.count - 1].device_time, -1);
}

/* Refused once; then the bytes come again, when nothing would speak against them any more. */
static void assert_stays_refused(const struct command *c, const char *because)
{
	size_t at = rig.count - 1, acted = rig_acts();
	rig_assert_sent(at, c, COMMAND_REJECTED, 9);
	if (strstr(rig.sent[at].reason, because) == NULL)
		fail_msg("said \"%s\", expected \"%s\"", rig.sent[at].reason, because);
	rig.faults.no_clock = true;
	rig.faults.slow = 0;
	rig_power_off();
	rig.count = 0;
	rig_power_on();
	rig_wait_sent(1);
	size_t told = rig.count;
	rig_hand_over(c, 10);
	rig_wait_sent(told + 1);
	rig_assert_sent(told, c, COMMAND_REJECTED, 10);
	assert_int_equal(rig_acts(), acted);
	rig.faults.no_clock = false;
}

static void test_early_and_late_commands_are_rejected_and_stay_so_when_they_are_replayed(void **state)
{
	struct command c;
	(void)state;
	rig_make(&c, (struct wish){.operation = "locate", .counter = 6, .from = 180, .to = 240});
	rig_hand_over(&c, 9);
	rig_wait_sent(1);
	assert_stays_refused(&c, "not before");
	rig_make(&c, (struct wish){.operation = "locate", .counter = 7, .from = -120, .to = -60});
	rig_hand_over(&c, 9);
	assert_stays_refused(&c, "expired");
	rig_carry_out(&c, (struct wish){.operation = "locate", .counter = 8});
}

static void test_bytes_that_are_no_command_are_refused_without_naming_one(void **state)
{
	struct command c;
	static const uint8_t nobody[COMMAND_ID_BYTES];
	(void)state;
	for (int i = 0; i < 3; i++) {
		size_t before = rig.count;
		rig_make(&c,
			 (struct wish){.operation = "locate", .counter = 5, .key = i == 0 ? rig_other_key : rig_key});
		if (i == 1)
			c.bytes[c.len - 100] ^= 1;
		if (i == 2)
			c.len = 3;
		rig_hand_over(&c, 1);
		rig_wait_sent(before + 1);
		const struct command_reply *r = &rig.sent[before];
		assert_int_equal(r->status, COMMAND_REJECTED);
		assert_memory_equal(r->id, nobody, sizeof(nobody));
		assert_int_equal(r->counter, 0);
		struct cbor_reader reader;
		assert_true(cbor_open(&reader, r->result.at, r->result.len, NULL));
		json_t *result = cbor_to_json(&reader, NULL);
		assert_int_equal(json_string_length(json_object_get(result, "sha256")), 64);
		json_decref(result);
	}
	assert_int_equal(rig_acts(), 0);
	assert_int_equal(mcu_state(rig.mcu)->counter, 0);
}

static void test_tracker_without_a_trust_list_obeys_nobody(void **state)
{
	struct command c;
	struct command_message m;
	struct err e = {0};
	struct mcu *nobody = mcu_open(NULL, NULL, &e);
	(void)state;
	rig_make(&c, (struct wish){.operation = "locate", .counter = 1});
	assert_int_equal(command_judge(nobody, RIG_SERIAL, -1, c.bytes, c.len, &m, &e), VERDICT_FOREIGN);
	mcu_free(&nobody);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		RIG_TEST(test_old_commands_are_rejected),
		RIG_TEST(test_early_and_late_commands_are_rejected_and_stay_so_when_they_are_replayed),
		RIG_TEST(test_bytes_that_are_no_command_are_refused_without_naming_one),
		RIG_TEST(test_tracker_without_a_trust_list_obeys_nobody),
	};
	return cmocka_run_group_tests(tests, rig_make_keys, rig_free_keys);
}
