/* SPDX-License-Identifier: Apache-2.0
 *
 * The other way in, beside the lanes: a drain empties the ring that the broker's plugin fills (broker-bridge/ring.h).
 * One reader and several stores, each with a connection to PostgreSQL and devices of its own: while batches commit the
 * next ones are read. The ring's room is given back in the order of the ring, after the commits. */
#ifndef COLDFLEET_INGEST_DRAIN_H
#define COLDFLEET_INGEST_DRAIN_H

#include <event2/event.h>

#include "core/metrics.h"
#include "ingest/config.h"
#include "ingest/directory.h"

struct drain;

struct drain_options {
	const struct ingest_config *config; /* borrowed; limits are read anew for each message */
	struct directory *directory;
	struct metrics *metrics;
};

/* ONLINE: connected to the broker, for receipts, and to PostgreSQL. OFFLINE: not any more; what is in the ring waits.
 * STOPPED: once, after drain_stop(). */
enum drain_event { DRAIN_ONLINE, DRAIN_OFFLINE, DRAIN_STOPPED };
typedef void drain_cb(enum drain_event event, void *arg);

/* NULL: no ring at config->ring, or it is another process's to read; `e` says so. */
struct drain *drain_new(struct event_base *base, const struct drain_options *options, drain_cb *cb, void *arg,
			struct err *e);
void drain_free(struct drain **d);
void drain_start(struct drain *d);
/* The directory was loaded: it may begin. */
void drain_directory_loaded(struct drain *d);
/* Finishes the batches in work, and reads no more. */
void drain_stop(struct drain *d);

#endif
