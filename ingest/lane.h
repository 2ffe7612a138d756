/* SPDX-License-Identifier: Apache-2.0
 *
 * A lane is an MQTT connection whose messages are stored over connections to PostgreSQL of its own: read, store,
 * acknowledge. Nothing is acknowledged that is not committed. */
#ifndef COLDFLEET_INGEST_LANE_H
#define COLDFLEET_INGEST_LANE_H

#include <event2/event.h>

#include "core/metrics.h"
#include "ingest/config.h"
#include "ingest/directory.h"

struct lane;

struct lane_options {
	unsigned number;                    /* part of the MQTT client id, so stable from one start to the next */
	const struct ingest_config *config; /* borrowed; limits are read anew for each message */
	struct directory *directory;
	struct metrics *metrics;
};

/* Called when the lane begins or ceases to take messages, and once after lane_stop() when it has let go. */
enum lane_event { LANE_ONLINE, LANE_OFFLINE, LANE_STOPPED };
typedef void lane_cb(struct lane *lane, enum lane_event event, void *arg);

struct lane *lane_new(struct event_base *base, const struct lane_options *options, lane_cb *cb, void *arg,
		      struct err *e);
void lane_free(struct lane **lane);

void lane_start(struct lane *lane);
/* The directory was loaded: lanes that waited for it may begin. */
void lane_directory_loaded(struct lane *lane);
/* Finishes the batch in work, acknowledges it, disconnects. */
void lane_stop(struct lane *lane);

#endif
