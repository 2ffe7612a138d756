/* SPDX-License-Identifier: Apache-2.0
 *
 * The metrics of coldfleet-bridge: the rows of its table. */
#ifndef COLDFLEET_BROKER_BRIDGE_BRIDGE_METRICS_H
#define COLDFLEET_BROKER_BRIDGE_BRIDGE_METRICS_H

#include "core/metrics.h"

enum bridge_metric {
	M_CLAIMED,
	M_PUBLISHED,
	M_UNREACHABLE,
	M_TOO_LATE,
	M_REFUSED,
	M_IN_DOUBT,
	M_IN_FLIGHT,
	M_PUBACK_SECONDS,
	M_SWEEPS,
	M_PRESENT,
	M_PRESENT_DROPPED,
	M_SENDER_ONLINE,
	M_CHECKPOINTS,
	M_REPLIES,
	M_BAD_REPLIES,
	M_SPLITS,
	M_BATCHES,
	M_COMMIT_SECONDS,
	M_LANES_ONLINE,
	M_LANE_DROPS,
	BRIDGE_METRICS
};

extern const struct metric_def bridge_metric_defs[BRIDGE_METRICS];

#endif
