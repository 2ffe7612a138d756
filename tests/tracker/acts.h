/* SPDX-License-Identifier: Apache-2.0
 *
 * What each operation does to a tracker. */
#ifndef COLDFLEET_TRACKER_ACTS_H
#define COLDFLEET_TRACKER_ACTS_H

#include "tests/tracker/command.h"

struct act {
	struct mcu *mcu;
	const struct command_message *command;
	const struct command_hooks *hooks;
	void *arg;
	int64_t now;               /* seconds since 1970 */
	struct cbor_writer result; /* a map, or nothing */
	uint8_t bytes[MCU_RESULT_MAX];
	bool changed, reboots;
};

/* Whether it can be done at all; false with the reason. Changes nothing. */
bool act_possible(struct act *a, struct err *e);
/* Does it. What it changes in the controller's state is not on disk yet. False with the reason. */
bool act_do(struct act *a, struct err *e);

#endif
