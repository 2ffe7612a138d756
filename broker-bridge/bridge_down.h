/* SPDX-License-Identifier: Apache-2.0
 *
 * The way down: signed commands from the database to the devices that are there. One MQTT connection, which also hears
 * the devices that say hello, and one connection to PostgreSQL. A command is claimed, which is committed as `sent`, and
 * only then published; one that surely reached nobody is given back to wait for its device. */
#ifndef COLDFLEET_BROKER_BRIDGE_BRIDGE_DOWN_H
#define COLDFLEET_BROKER_BRIDGE_BRIDGE_DOWN_H

#include <event2/event.h>

#include "broker-bridge/bridge_config.h"
#include "core/metrics.h"

struct bridge_down;

enum bridge_down_event {
	BRIDGE_DOWN_ONLINE,  /* commands can be sent */
	BRIDGE_DOWN_OFFLINE, /* broker or database is away */
	BRIDGE_DOWN_STOPPED  /* once, after bridge_down_stop() */
};
typedef void bridge_down_cb(enum bridge_down_event event, void *arg);

/* `config` and `metrics` are borrowed; what SIGHUP may change in the configuration is read anew each time. */
struct bridge_down *bridge_down_new(struct event_base *base, const struct bridge_config *config,
				    struct metrics *metrics, bridge_down_cb *cb, void *arg, struct err *e);
void bridge_down_free(struct bridge_down **d);
void bridge_down_start(struct bridge_down *d);
/* Claims nothing more, waits for the acknowledgements of what is in flight, tells the database, disconnects. */
void bridge_down_stop(struct bridge_down *d);

#endif
