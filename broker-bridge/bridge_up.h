/* SPDX-License-Identifier: Apache-2.0
 *
 * The way up: a lane that takes replies from the broker, records them in one transaction a batch and acknowledges them
 * after its commit. A reply that PostgreSQL refuses is found by halving and kept as one that could not be read. */
#ifndef COLDFLEET_BROKER_BRIDGE_BRIDGE_UP_H
#define COLDFLEET_BROKER_BRIDGE_BRIDGE_UP_H

#include <event2/event.h>

#include "broker-bridge/bridge_config.h"
#include "core/metrics.h"

struct bridge_up;

enum bridge_up_event { BRIDGE_UP_ONLINE, BRIDGE_UP_OFFLINE, BRIDGE_UP_STOPPED };
typedef void bridge_up_cb(enum bridge_up_event event, void *arg);

/* `number` is part of the MQTT client id, so stable from one start to the next. `config` and `metrics` are borrowed. */
struct bridge_up *bridge_up_new(struct event_base *base, unsigned number, const struct bridge_config *config,
				struct metrics *metrics, bridge_up_cb *cb, void *arg, struct err *e);
void bridge_up_free(struct bridge_up **up);
void bridge_up_start(struct bridge_up *up);
/* Finishes the batch in work, acknowledges it, disconnects. */
void bridge_up_stop(struct bridge_up *up);

#endif
