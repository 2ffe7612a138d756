/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of metrics of coldfleet-ingest. */
#include "ingest/metrics.h"

#include <string.h>

#define QUARANTINED(reason)                                                                                            \
	{                                                                                                              \
		"coldfleet_ingest_quarantined_total", METRIC_COUNTER,                                                  \
			"Messages kept whole in telemetry.quarantine, by reason", "reason=\"" reason "\""              \
	}

#define STATUSES(outcome)                                                                                              \
	{                                                                                                              \
		"coldfleet_ingest_statuses_total", METRIC_COUNTER,                                                     \
			"Statuses: newer than what was known, not newer, or quarantined", "outcome=\"" outcome "\""    \
	}

const struct metric_def ingest_metric_defs[INGEST_METRICS] = {
	[M_MESSAGES] = {"coldfleet_ingest_messages_total", METRIC_COUNTER,
			"Messages committed, quarantined ones included", NULL},
	[M_READINGS] = {"coldfleet_ingest_readings_total", METRIC_COUNTER, "Readings stored", NULL},
	[M_DUPLICATES] = {"coldfleet_ingest_duplicates_total", METRIC_COUNTER, "Readings that were already stored",
			  NULL},
	[M_QUARANTINED_EMPTY] = QUARANTINED("empty"),
	[M_QUARANTINED_TOO_LARGE] = QUARANTINED("too-large"),
	[M_QUARANTINED_SYNTAX] = QUARANTINED("syntax"),
	[M_QUARANTINED_SENML] = QUARANTINED("senml"),
	[M_QUARANTINED_CONTENT] = QUARANTINED("content"),
	[M_QUARANTINED_CLOCK] = QUARANTINED("clock"),
	[M_QUARANTINED_TOPIC] = QUARANTINED("topic"),
	[M_QUARANTINED_UNKNOWN_DEVICE] = QUARANTINED("unknown-device"),
	[M_QUARANTINED_CONFLICT] = QUARANTINED("conflict"),
	[M_QUARANTINED_REFUSED] = QUARANTINED("refused"),
	[M_STATUSES_STORED] = STATUSES("stored"),
	[M_STATUSES_OLDER] = STATUSES("older"),
	[M_STATUSES_REFUSED] = STATUSES("refused"),
	[M_SPLITS] = {"coldfleet_ingest_splits_total", METRIC_COUNTER,
		      "Batches or parts that PostgreSQL refused and that were split in halves", NULL},
	[M_BATCHES] = {"coldfleet_ingest_batches_total", METRIC_COUNTER, "Batches committed and acknowledged", NULL},
	[M_COMMIT_SECONDS] = {"coldfleet_ingest_commit_seconds", METRIC_SECONDS,
			      "From the last message of a batch to its commit", NULL},
	[M_RECEIPTS] = {"coldfleet_ingest_receipts_total", METRIC_COUNTER, "Receipts sent", NULL},
	[M_LANES_ONLINE] = {"coldfleet_ingest_lanes_online", METRIC_GAUGE, "Lanes connected to broker and database",
			    NULL},
	[M_LANE_DROPS] = {"coldfleet_ingest_lane_drops_total", METRIC_COUNTER,
			  "Batches given up unacknowledged: their messages come again", NULL},
	[M_RING_BYTES] = {"coldfleet_ingest_ring_bytes", METRIC_GAUGE, "Room of the ring; 0: there is none", NULL},
	[M_RING_USED] = {"coldfleet_ingest_ring_used_bytes", METRIC_GAUGE, "Room taken by what is not stored yet",
			 NULL},
	[M_RING_HIGHEST] = {"coldfleet_ingest_ring_highest_bytes", METRIC_GAUGE,
			    "Most room ever taken since the ring was made", NULL},
	[M_RING_REFUSED] = {"coldfleet_ingest_ring_refused", METRIC_GAUGE,
			    "Messages since the ring was made that found it full and stayed with their trackers", NULL},
	[M_DEVICES] = {"coldfleet_ingest_devices", METRIC_GAUGE, "Devices known to this process", NULL},
	[M_DEVICES_BYTES] = {"coldfleet_ingest_devices_bytes", METRIC_GAUGE, "Memory of the device table", NULL},
};

enum ingest_metric metric_of_reason(const char *reason)
{
	static const char *const words[] = {"empty", "too-large", "syntax",         "senml",    "content",
					    "clock", "topic",     "unknown-device", "conflict", "refused"};
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(words[i], reason) == 0)
			return (enum ingest_metric)(M_QUARANTINED_EMPTY + i);
	}
	return M_QUARANTINED_REFUSED;
}
