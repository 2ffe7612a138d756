/* SPDX-License-Identifier: Apache-2.0
 *
 * The working part of coldfleet-signer: takes commands that are next, judges each for itself, signs, stores. What
 * happens between taking and storing is lost without harm: the command is taken again, with a new counter. */
#ifndef COLDFLEET_BROKER_BRIDGE_SIGNER_H
#define COLDFLEET_BROKER_BRIDGE_SIGNER_H

#include <event2/event.h>

#include "broker-bridge/signer_config.h"
#include "core/cose.h"
#include "core/metrics.h"

struct signer;

/* `up`: connected to the database. */
typedef void signer_cb(bool up, void *arg);
/* The batch in work is done, after signer_stop(). */
typedef void signer_stopped_cb(void *arg);

/* All is borrowed. */
struct signer *signer_new(struct event_base *base, const struct signer_config *config, const struct cose_key *key,
			  struct metrics *metrics, signer_cb *cb, void *arg);
void signer_free(struct signer **s);
void signer_start(struct signer *s);
/* Finishes the batch in work and takes no other; then `stopped`, perhaps inside this call. */
void signer_stop(struct signer *s, signer_stopped_cb *stopped);

#endif
