/* SPDX-License-Identifier: Apache-2.0
 *
 * What a tracker says about itself when it connects and whenever it changes: which firmware is in which slot, how often
 * it started, its radio module and SIM, its configuration in force, the state of its controller. */
#ifndef COLDFLEET_TRACKER_STATUS_H
#define COLDFLEET_TRACKER_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

#define STATUS_BYTES 1024

/* Strings are borrowed. */
struct report {
	const char *serial;
	int32_t boot;   /* above 0 */
	double uptime;  /* seconds since that start, by a clock that is never set */
	int64_t clock;  /* microseconds since 1970 */
	bool disabled;  /* the controller was turned off by a command */
	int32_t config; /* version in force, 0: as it was made */
};

/* Writes the status as JSON, not terminated; returns its length. Firmware, module and SIM are drawn from the serial, so
 * that a tracker tells the same ones for ever. */
size_t status_write(const struct report *r, char out[STATUS_BYTES]);

/* How often this tracker has started, this time included: kept in FOLDER/SERIAL.boot. Without a folder (NULL) it is the
 * number of seconds since 2020, which is higher at every start, too. */
bool status_boot(const char *folder, const char *serial, int32_t *boot, struct err *e);

#endif
