/* SPDX-License-Identifier: Apache-2.0
 *
 * The signer as a witness of the audit trail: while entries are added it verifies the chain from its last checkpoint to
 * the head, signs where the head is, and appends that to a file that no role of the database can reach, then to the
 * database. A chain that does not follow from the last checkpoint is never signed: that is said loudly, and again. */
#ifndef COLDFLEET_BROKER_BRIDGE_SIGNER_CHECKPOINT_H
#define COLDFLEET_BROKER_BRIDGE_SIGNER_CHECKPOINT_H

#include <event2/event.h>

#include "broker-bridge/signer_config.h"
#include "core/audit.h"
#include "core/cose.h"
#include "core/db.h"
#include "core/metrics.h"

struct witness;

/* `key` signs, and is the one whose checkpoints count in the file. Reads the last checkpoint of the file, which is made
 * when it is not there. NULL: ERR_CONFIG when the file cannot be written to, ends in a line that is no checkpoint of
 * this key, or others may write to it. All else is borrowed. */
struct witness *witness_new(struct event_base *base, const struct signer_config *config, const struct cose_key *key,
			    struct metrics *metrics, struct err *e);
void witness_free(struct witness **w);
void witness_start(struct witness *w);
bool witness_up(const struct witness *w); /* connected to the database */

#endif
