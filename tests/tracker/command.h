/* SPDX-License-Identifier: Apache-2.0
 *
 * What a tracker does with a command: judge it, keep its counter, act, reply. Everything from the first byte to the
 * last reply, but for the connection, which the caller has. */
#ifndef COLDFLEET_TRACKER_COMMAND_H
#define COLDFLEET_TRACKER_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <event2/event.h>

#include "tests/tracker/mcu.h"

enum command_verdict {
	VERDICT_NEW,      /* to be carried out */
	VERDICT_REPEATED, /* known by its id: answered with what became of it */
	VERDICT_REJECTED, /* of a key that may command this tracker, but too old or not understood */
	VERDICT_UNTIMELY, /* new, but too early or too late: refused, and kept so that it stays refused */
	VERDICT_FOREIGN,  /* not such a command: nothing in it may be believed */
};

/* Judges bytes; changes nothing. `now` in seconds since 1970, -1: the tracker does not know the time. `e` says why when
 * it is rejected, untimely or foreign. *c points into `bytes`. */
enum command_verdict command_judge(struct mcu *m, const char *serial, int64_t now, const void *bytes, size_t len,
				   struct command_message *c, struct err *e);

/* Ways to misbehave; all zero is a good tracker. */
struct command_faults {
	bool deaf;                  /* takes commands from the broker and does nothing */
	double slow;                /* seconds between accepted and the act */
	const char *slow_operation; /* of this operation only; NULL: of all */
	double late_reply;          /* seconds between the act and its reply */
	bool die_after_persist;     /* the process kills itself between keeping the counter and the act */
	double drop_replies;        /* probability that a reply is never sent */
	bool no_clock;              /* the tracker does not know the time */
};

/* What the rest of the tracker does for commands. */
struct command_hooks {
	/* False while there is no connection: the reply is kept. *mid comes back in commander_published(). */
	bool (*publish)(const uint8_t *bytes, size_t len, int *mid, void *arg);
	bool (*locate)(double *latitude, double *longitude, void *arg);
	/* Measures and sends; false: it cannot in its present state. */
	bool (*report)(void *arg);
	/* Sends samples from `first` to `last` of this epoch (-1: the present one) again and tells how many it still
	 * had; false: that epoch is gone. */
	bool (*resend)(int64_t epoch, int64_t first, int64_t last, size_t *sent, void *arg);
	void (*changed)(void *arg); /* the controller's state is another one: say so in a status */
	void (*reboot)(void *arg);
};

struct command_counts {
	size_t received, accepted, succeeded, failed, rejected, foreign, repeated;
};

struct commander;

/* Borrows serial, mcu, faults and hooks. Calls none of the hooks. */
struct commander *commander_new(struct event_base *base, const char *serial, struct mcu *mcu,
				const struct command_faults *faults, const struct command_hooks *hooks, void *arg);
void commander_free(struct commander **c);

/* Once, before the first message and when the hooks can do what they say. What was begun before a power loss is brought
 * to its end here: carried out when the log says that it was decided, else failed. */
void commander_resume(struct commander *c);

/* One message of the command topic. `correlation` is its MQTT 5 correlation data. */
void commander_take(struct commander *c, const void *bytes, size_t len, const void *correlation,
		    size_t correlation_len);
void commander_up(struct commander *c);   /* replies can be sent */
void commander_down(struct commander *c); /* what has no PUBACK is sent again after the next commander_up() */
/* True when the message was a reply. */
bool commander_published(struct commander *c, int mid, int reason);
/* Nothing is being carried out, and every reply was acknowledged by the broker. */
bool commander_idle(const struct commander *c);
const struct command_counts *commander_counts(const struct commander *c);

#endif
