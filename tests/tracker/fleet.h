/* SPDX-License-Identifier: Apache-2.0
 *
 * Many trackers on one event loop: each measures at its own moments of the interval, and starts at its own moment, so
 * that the fleet does not come in step. */
#ifndef COLDFLEET_TRACKER_FLEET_H
#define COLDFLEET_TRACKER_FLEET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <event2/event.h>

#include "core/err.h"
#include "tests/tracker/device.h"
#include "tests/tracker/script.h"
#include "tests/tracker/serials.h"

/* The count of the controller's starts, which survives what the flash does not. */
#define EPOCH_OF_STARTS (-2)

struct fleet;

struct fleet_options {
	struct device_options device; /* `serial` is filled in */
	double interval;              /* seconds between two samples of a tracker */
	double backfill;              /* seconds: samples since then are in flash at the start */
	double speed;      /* above 1: time since then passes so many times as fast, until it is the present */
	double start_over; /* seconds over which connections start */
	uint64_t seed;
	int64_t count; /* samples to measure, not counting the backfill; 0: without end */
	size_t capacity;
	const char *flash;           /* folder, NULL: in memory */
	const char *diary;           /* folder for what each has measured, NULL: nobody writes it down */
	const struct script *script; /* borrowed; what the temperatures are, NULL: as physics say */
	const char *trust;           /* file: whose commands count, NULL: nobody's */
	int32_t epoch;               /* EPOCH_UNKNOWN: ask the backend which is free; EPOCH_OF_STARTS */
};

struct fleet_counts {
	struct device_counts devices; /* sums */
	struct command_counts commands;
	size_t disabled;
	size_t trackers, up, measured, waiting, overwritten;
};

/* `changed` is called, from the loop, when fleet_done() may have become true. */
struct fleet *fleet_new(struct event_base *base, const struct fleet_options *options, const struct serials *serials,
			void (*changed)(void *arg), void *arg, struct err *e);
void fleet_free(struct fleet **f);
void fleet_start(struct fleet *f);
/* Measures no more; what is measured is sent. */
void fleet_finish(struct fleet *f);
/* Everything measured is stored, and no more will be measured. */
bool fleet_done(const struct fleet *f);
struct fleet_counts fleet_counts(const struct fleet *f);

#endif
