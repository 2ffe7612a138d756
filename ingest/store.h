/* SPDX-License-Identifier: Apache-2.0
 *
 * Stores a batch, whatever is in it: readings, latest state, sample numbers, statuses and quarantine in one
 * transaction. A message that PostgreSQL refuses is found by halving and quarantined alone; readings whose key is
 * already taken by other values are quarantined as a conflict. A store is one connection, and commits batches in the
 * order in which it got them, but for one that had to be halved. */
#ifndef COLDFLEET_INGEST_STORE_H
#define COLDFLEET_INGEST_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <event2/event.h>

#include "core/metrics.h"
#include "ingest/batch.h"

#define RECEIPT_RANGES 32

struct store;

/* What a device is to be told once the batch is committed. */
struct receipt {
	int32_t device_id;
	int16_t epoch;
	int32_t through; /* -1: nothing */
	int missing_count;
	struct seq_range missing[RECEIPT_RANGES];
};

enum store_event {
	STORE_UP,   /* connected and ready for batches */
	STORE_LOST, /* the connection broke; what was sent has had its store_done_cb before */
};
typedef void store_event_cb(enum store_event event, void *arg);

/* `ok`: everything in the batch is committed, receipts[] are due. Otherwise nothing may be acknowledged; parts of the
 * batch may be committed, which does no harm when it comes again. */
typedef void store_done_cb(bool ok, const struct receipt *receipts, size_t count, void *arg);

struct store *store_new(struct event_base *base, const char *name, const char *conninfo, struct metrics *metrics,
			store_event_cb *cb, void *arg);
void store_free(struct store **s);
void store_start(struct store *s);

/* Any number of batches may be in work; two are enough to keep the database busy. The batch stays the caller's, and
 * unchanged but for quarantine marks, until `done` is called with `arg`, which never happens inside this call. */
void store_batch(struct store *s, struct batch *batch, store_done_cb *done, void *arg);

#endif
