/* SPDX-License-Identifier: Apache-2.0
 *
 * An intake is an MQTT connection whose messages are acknowledged after somebody has stored them: take some, hand them
 * over, acknowledge them. How they are stored, and whether others are read meanwhile, is its owner's business, told
 * through a table of calls. */
#ifndef COLDFLEET_BROKER_BRIDGE_INTAKE_H
#define COLDFLEET_BROKER_BRIDGE_INTAKE_H

#include <event2/event.h>

#include "broker-bridge/mqtt.h"

struct intake;

enum intake_event {
	INTAKE_ONLINE,  /* subscribed: messages come */
	INTAKE_OFFLINE, /* no more */
	INTAKE_STOPPED, /* once, after intake_stop() or when a leaving intake has left: it has let go */
};

/* The owner's side. No call may free the intake. */
struct intake_calls {
	/* Takes a message, valid during the call. True: it is enough, no more is read for now. */
	bool (*take)(const struct mqtt_message *message, void *arg);
	size_t (*count)(void *arg); /* messages taken and not acknowledged */
	/* There is nothing more to read for now, or it is enough. True: all that was taken is being stored;
	 * intake_stored() comes later, never inside this call, and nothing is read until then. False: what was taken
	 * waits for more or is stored while reading goes on, and the owner calls intake_look() or intake_stored()
	 * later. `all`: do not wait. */
	bool (*store)(bool all, void *arg);
	/* Something that was taken is being stored. NULL: only after `store` has said so. */
	bool (*busy)(void *arg);
	/* Forget what was taken and is not being stored. Not `stored`: nothing was acknowledged, so it comes again. */
	void (*clear)(bool stored, void *arg);
	void (*event)(enum intake_event event, void *arg);
};

#define INTAKE_FILTERS 4

struct intake_options {
	/* hold_acks is the intake's own. receive_maximum bounds what is taken and not acknowledged. */
	struct mqtt_options mqtt;
	const char *filters[INTAKE_FILTERS]; /* subscribed at QoS 1; NULL: no more. Copied */
	/* Unsubscribed on each connection: what an earlier start had subscribed to. NULL: nothing. Copied */
	const char *unwanted;
	bool leave; /* unsubscribe, store what waits in the session, end the session, stop */
};

/* Strings are copied, `calls` is borrowed. Returns NULL and fills `e` on bad options. */
struct intake *intake_new(struct event_base *base, const struct intake_options *options,
			  const struct intake_calls *calls, void *arg, struct err *e);
void intake_free(struct intake **in);

/* There is somewhere to put what comes, and nothing of before is being stored: connects. */
void intake_open(struct intake *in);
/* There is not: lets go of everything without acknowledging. */
void intake_close(struct intake *in);

/* Nothing is read, and intake_stored() is awaited. */
bool intake_storing(const struct intake *in);
/* All that was taken is stored, and is acknowledged now. Ignored when it was let go meanwhile. Not `ok`: nothing is
 * acknowledged, and the intake comes back after a back-off. */
void intake_stored(struct intake *in, bool ok);
/* Asks `store` again, unless that is awaited; and reads on, if it was enough, when `room`. */
void intake_look(struct intake *in, bool room);
/* The connection that was taken from: what is published goes out with the acknowledgements. NULL: it is gone. */
struct mqtt *intake_mqtt(const struct intake *in);

/* Stores what was taken, acknowledges it, disconnects; INTAKE_STOPPED follows, perhaps inside this call. */
void intake_stop(struct intake *in);

#endif
