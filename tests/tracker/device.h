/* SPDX-License-Identifier: Apache-2.0
 *
 * One tracker: its connection, its flash, and the duty between them. It publishes packs with a bounded window in
 * flight, lets go of samples only by receipt, sends again what a receipt does not cover, says what is lost, and asks
 * for a receipt when none comes. */
#ifndef COLDFLEET_TRACKER_DEVICE_H
#define COLDFLEET_TRACKER_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <event2/event.h>

#include "core/err.h"
#include "tests/tracker/command.h"
#include "tests/tracker/encode.h"
#include "tests/tracker/flash.h"
#include "tests/tracker/jobs.h"
#include "tests/tracker/link.h"

struct device;

struct device_options {
	const char *serial;      /* copied */
	const struct link *link; /* borrowed */
	enum encoding encoding;
	size_t pack;         /* samples a message, of what is measured now */
	size_t backlog;      /* samples a message, of what was in flash before */
	size_t window;       /* messages without PUBACK */
	double resend_after; /* seconds from PUBACK until a sample without receipt is sent again; doubles each time */
	double lose;         /* misbehave: probability that a message with samples is lost after its PUBACK */
	struct mcu *mcu;     /* borrowed; NULL: no controller, so no status and no commands */
	const struct command_faults *faults; /* borrowed; with a controller */
	/* Where it is, and a sample at once: called with the argument of the callback; false: it cannot. */
	bool (*locate)(double *latitude, double *longitude, void *arg);
	bool (*measure)(void *arg);
};

enum device_event {
	DEVICE_UP, /* connected and subscribed */
	DEVICE_DOWN,
	DEVICE_PROGRESS, /* a PUBACK or a receipt came */
};
typedef void device_cb(struct device *d, enum device_event event, void *arg);

struct device_counts {
	size_t packs;      /* published with samples, of any kind */
	size_t duplicates; /* of these: sent again because the plan said so */
	size_t resent;     /* of these: sent again because no receipt covered them */
	size_t acked;      /* PUBACKs */
	size_t refused;    /* PUBACKs with an error */
	size_t receipts, bad_receipts;
	size_t asked;  /* packs that only ask for a receipt */
	size_t lost;   /* samples reported as lost */
	size_t stored; /* samples covered by a receipt */
	size_t connects, statuses;
};

/* Takes the flash, also when it fails. */
struct device *device_new(struct event_base *base, const struct device_options *options, struct flash *flash_take,
			  device_cb *cb, void *arg, struct err *e);
void device_free(struct device **d);
void device_start(struct device *d);
void device_stop(struct device *d);

struct flash *device_flash(struct device *d);
/* After flash_append: sends what makes a full pack. */
void device_measured(struct device *d);
/* Sends what is in flash and in no message yet, in full and partial packs of `backlog` samples. */
void device_flush(struct device *d);
/* Sends these numbers next in the queue, whatever else happens to them. */
void device_send(struct device *d, struct range samples, enum job_kind kind);

/* Something that the status tells has changed: sends it. A new connection begins with it anyway. */
void device_tell_status(struct device *d);

bool device_up(const struct device *d);
/* Everything queued has been sent and acknowledged by the broker, every sample is covered by a receipt, every command
 * carried out and answered. */
bool device_done(const struct device *d);
const char *device_serial(const struct device *d);
const struct device_counts *device_counts(const struct device *d);
/* All zero without a controller. */
struct command_counts device_commands(const struct device *d);

#endif
