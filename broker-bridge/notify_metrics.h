/* SPDX-License-Identifier: Apache-2.0
 *
 * What coldfleet-notify counts. */
#ifndef COLDFLEET_BROKER_BRIDGE_NOTIFY_METRICS_H
#define COLDFLEET_BROKER_BRIDGE_NOTIFY_METRICS_H

#include "core/metrics.h"

enum notify_metric {
	M_DEALT,
	M_SENT,
	M_DELIVERED,
	M_FAILED,
	M_SSRF_REFUSED,
	M_IN_FLIGHT,
	M_POST_SECONDS,
	M_PUBLISHED,
	M_PUBLISH_REFUSED,
	M_BROKER_ONLINE,
	M_JOBS,
	M_JOB_SECONDS,
	M_EVALUATED,
	M_ROLLED_UP,
	M_WATCHED,
	M_SILENCES,
	M_CALIBRATIONS,
	M_ESCALATED,
	M_PUSHED,
	M_FORGOTTEN,
	NOTIFY_METRICS
};

extern const struct metric_def notify_metric_defs[NOTIFY_METRICS];

#endif
