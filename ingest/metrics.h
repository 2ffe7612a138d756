/* SPDX-License-Identifier: Apache-2.0
 *
 * The metrics of coldfleet-ingest: the rows of its table, and which row counts a quarantine reason. */
#ifndef COLDFLEET_INGEST_METRICS_H
#define COLDFLEET_INGEST_METRICS_H

#include "core/metrics.h"

enum ingest_metric {
	M_MESSAGES,
	M_READINGS,
	M_DUPLICATES,
	M_QUARANTINED_EMPTY,
	M_QUARANTINED_TOO_LARGE,
	M_QUARANTINED_SYNTAX,
	M_QUARANTINED_SENML,
	M_QUARANTINED_CONTENT,
	M_QUARANTINED_CLOCK,
	M_QUARANTINED_TOPIC,
	M_QUARANTINED_UNKNOWN_DEVICE,
	M_QUARANTINED_CONFLICT,
	M_QUARANTINED_REFUSED,
	M_STATUSES_STORED,
	M_STATUSES_OLDER,
	M_STATUSES_REFUSED,
	M_SPLITS,
	M_BATCHES,
	M_COMMIT_SECONDS,
	M_RECEIPTS,
	M_LANES_ONLINE,
	M_LANE_DROPS,
	M_RING_BYTES,
	M_RING_USED,
	M_RING_HIGHEST,
	M_RING_REFUSED,
	M_DEVICES,
	M_DEVICES_BYTES,
	INGEST_METRICS
};

extern const struct metric_def ingest_metric_defs[INGEST_METRICS];

/* The row of a word of telemetry.quarantine.reason. */
enum ingest_metric metric_of_reason(const char *reason);

#endif
