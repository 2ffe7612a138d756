/* SPDX-License-Identifier: Apache-2.0
 *
 * Publishes the newest signed checkpoint of the audit trail, retained, on cf/v1/fleet/audit/checkpoint: a copy that the
 * database's superuser cannot take back from whoever listened. It rides on the connections of the way down. */
#ifndef COLDFLEET_BROKER_BRIDGE_BRIDGE_CHECKPOINT_H
#define COLDFLEET_BROKER_BRIDGE_BRIDGE_CHECKPOINT_H

#include "broker-bridge/mqtt.h"
#include "core/db.h"
#include "core/metrics.h"

#define BRIDGE_CHECKPOINT_TOPIC "cf/v1/fleet/audit/checkpoint"

struct bridge_checkpoint;

/* All borrowed; `db` must have stmt_bridge_checkpoint prepared. */
struct bridge_checkpoint *bridge_checkpoint_new(struct db *db, struct mqtt *mqtt, struct metrics *metrics);
void bridge_checkpoint_free(struct bridge_checkpoint **c);

/* There may be a newer one, or the connection that the last one went over is gone. */
void bridge_checkpoint_again(struct bridge_checkpoint *c);
/* Database and broker are there: does what is due. */
void bridge_checkpoint_pump(struct bridge_checkpoint *c);
/* True when `mid` was the checkpoint's. */
bool bridge_checkpoint_published(struct bridge_checkpoint *c, int mid, int reason);

#endif
