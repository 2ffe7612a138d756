/* SPDX-License-Identifier: Apache-2.0
 *
 * What one source has read, on its way into PostgreSQL: while a turn is committed the next one is read. A turn is a
 * batch for every shard; a shard is a connection to PostgreSQL and the devices that fall to it by their topic, so that
 * what a device says is committed in the order in which it was read. While one connection keeps up it gets all: one
 * large batch costs less than two. Turns are filled one after the other, sent one after the other, and reported one
 * after the other. */
#ifndef COLDFLEET_INGEST_TURNS_H
#define COLDFLEET_INGEST_TURNS_H

#include <event2/event.h>

#include "core/metrics.h"
#include "ingest/config.h"
#include "ingest/directory.h"
#include "ingest/store.h"

struct turns;

struct turns_options {
	const char *name;                   /* for the log; borrowed until turns_new() has returned */
	size_t shards;                      /* at most 16 are made */
	const struct ingest_config *config; /* borrowed; limits are read anew for each message */
	struct directory *directory;
	struct metrics *metrics;
};

/* The owner's side. Each comes from the event loop. */
struct turns_calls {
	/* All shards are connected; or not any more. */
	void (*up)(bool up, void *arg);
	/* What the devices of this batch, which is committed, are to be told. */
	void (*receipts)(const struct batch *batch, const struct receipt *receipts, size_t count, void *arg);
	/* The oldest turn is committed, up to the mark that it was closed with. */
	void (*stored)(uint64_t mark, void *arg);
	/* A turn could not be stored. Nothing is in work any more, and what was read and not reported as stored is
	 * dropped. */
	void (*failed)(void *arg);
	/* There may be room again, or a turn may be due: look at both. */
	void (*ready)(void *arg);
};

/* `calls` is borrowed. */
struct turns *turns_new(struct event_base *base, const struct turns_options *options, const struct turns_calls *calls,
			void *arg);
void turns_free(struct turns **t);
void turns_start(struct turns *t);

/* All shards are connected. */
bool turns_up(const struct turns *t);
/* A turn can be filled and closed. Not while one that failed waits for the end of the others. */
bool turns_room(const struct turns *t);
/* Turns that are closed and not yet reported. */
size_t turns_busy(const struct turns *t);
/* Messages in the turn that is being filled. */
size_t turns_filled(struct turns *t);

/* Adds a message, in the batch of its device's shard. Without room too, until the turn is closed: a source cannot
 * always stop at once. `received_at` is in microseconds since 1970. */
void turns_add(struct turns *t, const struct mqtt_message *message, int64_t received_at);
/* The turn that is being filled has reached a limit of the configuration. */
bool turns_full(struct turns *t);
/* It has messages, none is in work, and the one before was closed long enough ago (ingest.batch_interval), or it has
 * many readings: a few large batches cost less than many small ones. When only time is wanting, `ready` comes within
 * `look_again` seconds. */
bool turns_due(struct turns *t, double look_again);
/* Stores the turn that is being filled, which must have messages. Without room only when nothing is added until there
 * is some. */
void turns_close(struct turns *t, uint64_t mark);
/* Empties the turn that is being filled. */
void turns_drop(struct turns *t);

#endif
