/* SPDX-License-Identifier: Apache-2.0
 *
 * From messages to parameters: the arrays that the statements of a batch take. Readings are sorted by their primary key
 * and devices by their id, so that every connection locks rows in the same order. */
#ifndef COLDFLEET_INGEST_ROWS_H
#define COLDFLEET_INGEST_ROWS_H

#include "core/pg_array.h"
#include "ingest/batch.h"

/* One reading with what it takes from its message. */
struct row {
	int32_t device_id;
	uint32_t message; /* index in the batch */
	int64_t received_at;
	const struct reading *reading;
};

struct rows {
	struct row *rows; /* in the arena, sorted by (device_id, ts, probe, epoch, seq) */
	size_t count;
	int64_t first_ts, last_ts; /* of all rows; only with count > 0 */
};

/* The readings of messages [from, to) that are to be stored and lie within the time window. */
void rows_collect(struct rows *r, const struct batch *b, size_t from, size_t to, struct arena *arena);

/* Parameters of ingest_find_conflicts, and those of ingest_store_readings but for the last. */
void rows_readings_params(struct pg_params *p, const struct rows *r, struct arena *arena);

/* Parameters of ingest_advance: latest values by device, sample numbers accounted for, receipts asked for. Returns the
 * number of devices: with 0 there is nothing to send. */
size_t rows_advance_params(struct pg_params *p, const struct rows *r, const struct batch *b, size_t from, size_t to,
			   struct arena *arena);

/* Parameters of ingest_store_status: the statuses of messages [from, to) that are to be stored. Returns their number:
 * with 0 there is nothing to send. */
size_t rows_status_params(struct pg_params *p, const struct batch *b, size_t from, size_t to, struct arena *arena);

/* Parameters of ingest_quarantine. Returns the number of messages: with 0 there is nothing to send. */
size_t rows_quarantine_params(struct pg_params *p, const struct batch *b, size_t from, size_t to, struct arena *arena);

/* One channel of a reading as PG_BOOL, PG_FLOAT4 or PG_FLOAT8; NULL when there is no reading or it lacks the channel.
 */
void rows_append_channel(struct pg_array *a, enum pg_type type, const struct reading *reading, enum channel channel);

#endif
