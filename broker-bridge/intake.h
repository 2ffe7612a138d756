/* SPDX-License-Identifier: Apache-2.0
 *
 * An intake is an MQTT connection whose messages are acknowledged after somebody has stored them: read a batch, hand it
 * over, acknowledge it. What a batch is and where it is stored is its owner's business, told through a table of calls.
 */
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
	/* Adds a message, valid during the call, to the batch. True: the batch is full. */
	bool (*take)(const struct mqtt_message *message, void *arg);
	size_t (*count)(void *arg); /* messages in the batch */
	/* The batch is closed: store it, and call intake_stored() later, never inside this call. */
	void (*store)(void *arg);
	/* The batch is stored and its acknowledgements are about to leave: what is published now goes with them. */
	void (*acknowledge)(struct mqtt *mqtt, void *arg);
	/* Empty the batch. Not `stored`: nothing was acknowledged, so its messages come again. */
	void (*clear)(bool stored, void *arg);
	void (*event)(enum intake_event event, void *arg);
};

#define INTAKE_FILTERS 4

struct intake_options {
	/* hold_acks, reconnect_first and reconnect_limit are the intake's own. receive_maximum bounds a batch. */
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

/* There is somewhere to put what comes: connects. */
void intake_open(struct intake *in);
/* There is not: lets go of everything without acknowledging. */
void intake_close(struct intake *in);

/* A batch was handed over and intake_stored() is awaited. */
bool intake_storing(const struct intake *in);
/* The outcome. Ignored when the batch was let go meanwhile. Not `ok`: nothing is acknowledged, and the intake comes
 * back after a back-off. */
void intake_stored(struct intake *in, bool ok);

/* Finishes the batch in work, acknowledges it, disconnects; INTAKE_STOPPED follows, perhaps inside this call. */
void intake_stop(struct intake *in);

#endif
