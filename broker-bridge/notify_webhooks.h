/* SPDX-License-Identifier: Apache-2.0
 *
 * Deliveries to webhooks: taken from the database when they are due, posted, and what became of each told to the
 * database. What a killed process had taken is taken again when its lease has run out. */
#ifndef COLDFLEET_BROKER_BRIDGE_NOTIFY_WEBHOOKS_H
#define COLDFLEET_BROKER_BRIDGE_NOTIFY_WEBHOOKS_H

#include <stdbool.h>

#include <event2/event.h>

#include "broker-bridge/notify_config.h"
#include "core/db.h"
#include "core/metrics.h"

struct webhooks;

/* Nothing is under way any more after webhooks_stop(). */
typedef void webhooks_stopped(void *arg);

/* All borrowed; `db` must have stmt_notify_deal, stmt_notify_take and stmt_notify_done prepared. */
struct webhooks *webhooks_new(struct event_base *base, struct db *db, const struct notify_config *config,
			      struct metrics *metrics, webhooks_stopped *stopped, void *arg);
void webhooks_free(struct webhooks **w);

void webhooks_look(struct webhooks *w); /* there may be something: a notice, a moment, the database is back */
void webhooks_stop(struct webhooks *w);

#endif
