/* SPDX-License-Identifier: Apache-2.0
 *
 * When to look again. command.sweep() does what time alone makes due and names the next moment; in between NOTIFY
 * tells of news. It also knows, cheaply, whether any command may be under way at all: if none is, nobody who says hello
 * needs to be looked up. */
#ifndef COLDFLEET_BROKER_BRIDGE_BRIDGE_SWEEP_H
#define COLDFLEET_BROKER_BRIDGE_BRIDGE_SWEEP_H

#include <stdbool.h>

#include <event2/event.h>

#include "broker-bridge/bridge_config.h"
#include "core/db.h"
#include "core/metrics.h"

struct bridge_sweep;

/* A sweep is over, well or not: there may be something to claim. */
typedef void bridge_sweep_cb(void *arg);

/* All borrowed; `db` must have stmt_bridge_sweep prepared. */
struct bridge_sweep *bridge_sweep_new(struct event_base *base, struct db *db, const struct bridge_config *config,
				      struct metrics *metrics, bridge_sweep_cb *cb, void *arg);
void bridge_sweep_free(struct bridge_sweep **s);

void bridge_sweep_now(struct bridge_sweep *s);  /* the database is there (again) */
void bridge_sweep_news(struct bridge_sweep *s); /* NOTIFY: commands are on their way */
void bridge_sweep_soon(struct bridge_sweep *s); /* something failed: look again after look_every */
void bridge_sweep_halt(struct bridge_sweep *s); /* not until bridge_sweep_now() */

/* Commands may be under way. */
bool bridge_sweep_outstanding(const struct bridge_sweep *s);
void bridge_sweep_expect(struct bridge_sweep *s); /* they are */

#endif
