/* SPDX-License-Identifier: Apache-2.0
 *
 * What a tracker says about itself when it connects and whenever it changes: which firmware is in which slot, how often
 * it started, its radio module and SIM, its configuration in force, the state of its controller. */
#ifndef COLDFLEET_TRACKER_STATUS_H
#define COLDFLEET_TRACKER_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/tracker/mcu.h"

#define STATUS_BYTES 4096 /* what the back end takes */

/* Borrowed. */
struct report {
	const char *serial;
	const struct mcu_state *mcu;
	double uptime; /* seconds since that start, by a clock that is never set */
	int64_t clock; /* microseconds since 1970; -1: not known */
};

/* Writes the status as JSON, not terminated; returns its length. Module and SIM are drawn from the serial, so that a
 * tracker tells the same ones for ever. A configuration that does not fit is told by its version alone. */
size_t status_write(const struct report *r, char out[STATUS_BYTES]);

/* The firmware that a tracker left the factory with, drawn from its serial, into a controller that has none yet. */
void status_factory(const char *serial, struct mcu *m);

#endif
