/* SPDX-License-Identifier: Apache-2.0
 *
 * A reference tracker without its connection: a test hands it commands, cuts its power, and reads the replies that it
 * sent. */
#ifndef COLDFLEET_TESTS_UNIT_TRACKER_RIG_H
#define COLDFLEET_TESTS_UNIT_TRACKER_RIG_H

#include "tests/tracker/command.h"

#define RIG_SERIAL   "T-1"
#define RIG_SENT_MAX 256
#define RIG_PATIENCE 10.0 /* seconds */

struct rig {
	struct event_base *base;
	struct mcu *mcu;
	struct commander *commander;
	struct command_faults faults;
	bool connected;
	int mid; /* of the last reply */
	struct command_reply sent[RIG_SENT_MAX];
	uint8_t results[RIG_SENT_MAX][MCU_RESULT_MAX];
	size_t count;
	size_t changes, reboots, reports, resends;
};
extern struct rig rig;

extern struct cose_key *rig_key, *rig_other_key; /* the tracker trusts the first one */
extern char rig_base_path[96], rig_trust_path[96];

/* A test of a tracker of its own; the keys are made once for all of a program. */
#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, rig_start, rig_end)
int rig_make_keys(void **state);
int rig_free_keys(void **state);
int rig_start(void **state);
int rig_end(void **state);

void rig_power_on(void);
/* The connection goes with it: what was not acknowledged by then never is. */
void rig_power_off(void);

struct command {
	uint8_t bytes[COMMAND_BYTES_MAX];
	size_t len;
	uint8_t id[COMMAND_ID_BYTES];
};

struct wish {
	const char *operation, *arguments; /* JSON; NULL: {} */
	int64_t counter, epoch;
	int64_t from, to;           /* seconds from now; both 0: from now for an hour */
	const struct cose_key *key; /* NULL: rig_key */
};

void rig_make(struct command *c, struct wish w);
void rig_hand_over(const struct command *c, uint32_t generation);
/* Turns the loop until so many replies were sent. */
void rig_wait_sent(size_t count);
void rig_assert_sent(size_t at, const struct command *c, int64_t status, int64_t generation);
/* Makes it and hands it over: accepted and carried out, from reply number rig.count on. */
void rig_carry_out(struct command *c, struct wish w);
/* How many acts the tracker has logged. */
size_t rig_acts(void);

#endif
