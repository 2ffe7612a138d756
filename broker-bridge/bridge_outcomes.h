/* SPDX-License-Identifier: Apache-2.0
 *
 * Commands that were claimed and surely reached nobody, until the database has been told: it lets them wait for their
 * devices. Kept over a lost connection; bounded by the window, since a command is claimed only while there is room. */
#ifndef COLDFLEET_BROKER_BRIDGE_BRIDGE_OUTCOMES_H
#define COLDFLEET_BROKER_BRIDGE_BRIDGE_OUTCOMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/db.h"

struct bridge_outcomes;

/* The database was told (`ok`), or that failed: it is tried again by the next bridge_outcomes_tell(). */
typedef void bridge_outcomes_cb(bool ok, void *arg);

struct bridge_outcomes *bridge_outcomes_new(size_t limit, bridge_outcomes_cb *cb, void *arg);
void bridge_outcomes_free(struct bridge_outcomes **o);

size_t bridge_outcomes_count(const struct bridge_outcomes *o);
/* There must be room. `command_id` is 16 bytes. */
void bridge_outcomes_add(struct bridge_outcomes *o, const uint8_t *command_id, int32_t generation);
/* Sends what is there as one segment, unless one is under way. Call it before a claim on the same connection: it is
 * then done first. `db` must have stmt_bridge_unreachable prepared. The callback may come inside this call. */
void bridge_outcomes_tell(struct bridge_outcomes *o, struct db *db);

#endif
