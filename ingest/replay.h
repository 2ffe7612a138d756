/* SPDX-License-Identifier: Apache-2.0
 *
 * The source of messages that somebody wants decoded anew: takes them out of quarantine when NOTIFY says that there
 * are some, once a minute in any case, and lets them go the way of any message. Nobody is sent a receipt: the device
 * learns with its next one. One connection for the list, one for the store. */
#ifndef COLDFLEET_INGEST_REPLAY_H
#define COLDFLEET_INGEST_REPLAY_H

#include <event2/event.h>

#include "core/metrics.h"
#include "ingest/config.h"
#include "ingest/directory.h"

struct replay;

/* All are borrowed. */
struct replay *replay_new(struct event_base *base, const struct ingest_config *config, struct directory *directory,
			  struct metrics *metrics);
void replay_free(struct replay **r);
void replay_start(struct replay *r);

#endif
