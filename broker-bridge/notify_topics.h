/* SPDX-License-Identifier: Apache-2.0
 *
 * Alarms on MQTT, for systems of the OEM: each notice on cf/v1/fleet/alarm/{kind}/{serial}, QoS 1, as the CloudEvent
 * that webhooks get. One whose acknowledgement did not come is published again when its lease has run out. */
#ifndef COLDFLEET_BROKER_BRIDGE_NOTIFY_TOPICS_H
#define COLDFLEET_BROKER_BRIDGE_NOTIFY_TOPICS_H

#include <stdbool.h>

#include <event2/event.h>

#include "broker-bridge/notify_config.h"
#include "core/db.h"
#include "core/metrics.h"

#define NOTIFY_TOPIC "cf/v1/fleet/alarm/"

struct topics;

enum topics_event { TOPICS_ONLINE, TOPICS_OFFLINE, TOPICS_STOPPED };
typedef void topics_cb(enum topics_event event, void *arg);

/* All borrowed; `db` must have stmt_notify_publish and stmt_notify_published prepared. */
struct topics *topics_new(struct event_base *base, struct db *db, const struct notify_config *config,
			  struct metrics *metrics, topics_cb *cb, void *arg, struct err *e);
void topics_free(struct topics **t);

void topics_start(struct topics *t);
void topics_look(struct topics *t); /* there may be something to publish */
void topics_stop(struct topics *t); /* TOPICS_STOPPED follows */

#endif
