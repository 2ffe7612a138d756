/* SPDX-License-Identifier: Apache-2.0
 *
 * The inside of a device, for the files that make it up. */
#ifndef COLDFLEET_TRACKER_DEVICE_INTERNAL_H
#define COLDFLEET_TRACKER_DEVICE_INTERNAL_H

#include <time.h>

#include "broker-bridge/topic.h"
#include "core/backoff.h"
#include "tests/tracker/device.h"
#include "tests/tracker/epoch.h"
#include "tests/tracker/receipt.h"

enum device_state { DEV_DOWN, DEV_SUBSCRIBING, DEV_ASKING, DEV_SENDING, DEV_STATES };

struct flight {
	int mid; /* 0: free */
	struct job job;
};

struct device {
	struct device_options o;
	char serial[TOPIC_SERIAL_MAX + 1];
	char telemetry[TOPIC_MAX], receipt[TOPIC_MAX], command[TOPIC_MAX], status[TOPIC_MAX], reply[TOPIC_MAX];
	int64_t started; /* of the monotonic clock */
	struct mqtt *mqtt;
	struct flash *flash;
	struct commander *commander; /* NULL: without a controller */
	struct event *timer;         /* asks for a receipt */
	struct event *status_timer;  /* tells a status again that no receipt has come for */
	double status_uptime;        /* of the status that was told last */
	double status_wait;          /* seconds until then */
	struct event *pause_timer;   /* goes on after the broker refused a message */
	struct backoff pause;        /* how long until then */
	device_cb *cb;
	void *arg;
	enum device_state state;
	unsigned subscribed;
	bool clock_told;
	uint64_t chance;
	bool paused;        /* the broker has no room at present */
	int64_t pause_over; /* of the monotonic clock, microseconds */
	bool hurried;       /* a receipt has come in this pause */
	bool probing;   /* since the pause the broker has acknowledged nothing: one message finds out whether it does */
	int64_t stored; /* of the monotonic clock, microseconds: the last receipt that covered something */
	int32_t unqueued; /* number of the first sample that is in no job yet */
	struct jobs jobs;
	struct flight *flights;
	size_t flight_count;
	struct epoch_search search;
	double ask_wait;
	struct {
		int64_t at; /* of the monotonic clock, 0: never */
		int32_t epoch, first;
	} lost_told; /* the last report of lost samples: when, of which epoch, from which number on */
	struct device_counts counts;
};

/* Sends what is queued, as far as window and controller allow. */
void device_pump(struct device *d);
/* Asks for a receipt after the usual wait, unless that is arranged already. */
void device_ask_later(struct device *d);

/* A disabled tracker sends no telemetry: not samples, not questions. */
bool device_speaks(const struct device *d);
bool device_knows_time(const struct device *d);
/* A receipt says that this status is stored: it need not be told again. */
void device_status_stored(struct device *d, const struct receipt *r);
int64_t device_clock_us(clockid_t id);
/* From now, unless the timer runs already. */
void device_arm(struct event *timer, double seconds);
/* What commands may do with a device. */
extern const struct command_hooks device_hooks;

#endif
