/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of metrics of coldfleet-notify. */
#include "broker-bridge/notify_metrics.h"

const struct metric_def notify_metric_defs[NOTIFY_METRICS] = {
	[M_DEALT] = {"coldfleet_notify_dealt_total", METRIC_COUNTER, "Notices dealt to the webhooks that want them",
		     NULL},
	[M_SENT] = {"coldfleet_notify_sent_total", METRIC_COUNTER, "Attempts to deliver to a webhook", NULL},
	[M_DELIVERED] = {"coldfleet_notify_delivered_total", METRIC_COUNTER, "Attempts that were answered with 2xx",
			 NULL},
	[M_FAILED] = {"coldfleet_notify_failed_total", METRIC_COUNTER, "Attempts that failed", NULL},
	[M_SSRF_REFUSED] = {"coldfleet_notify_refused_addresses_total", METRIC_COUNTER,
			    "Attempts given up because the webhook's address is private and not allowed", NULL},
	[M_IN_FLIGHT] = {"coldfleet_notify_in_flight", METRIC_GAUGE, "Attempts under way", NULL},
	[M_POST_SECONDS] = {"coldfleet_notify_post_seconds", METRIC_SECONDS, "How long an attempt took", NULL},
	[M_PUBLISHED] = {"coldfleet_notify_published_total", METRIC_COUNTER, "Notices that the broker took", NULL},
	[M_PUBLISH_REFUSED] = {"coldfleet_notify_publish_refused_total", METRIC_COUNTER,
			       "Notices that the broker refused; they are tried again", NULL},
	[M_BROKER_ONLINE] = {"coldfleet_notify_broker_online", METRIC_GAUGE, "1 while the broker is there", NULL},
	[M_JOBS] = {"coldfleet_notify_jobs_total", METRIC_COUNTER, "Jobs that were run in the database", NULL},
	[M_JOB_SECONDS] = {"coldfleet_notify_job_seconds", METRIC_SECONDS, "How long a job took", NULL},
	[M_EVALUATED] = {"coldfleet_notify_evaluated_total", METRIC_COUNTER, "Devices evaluated for excursions", NULL},
	[M_ROLLED_UP] = {"coldfleet_notify_rolled_up_total", METRIC_COUNTER,
			 "Devices taken up for hours and days, and computed, each counted", NULL},
	[M_WATCHED] = {"coldfleet_notify_watched_total", METRIC_COUNTER,
		       "Looks at changed devices after which there was more to look at", NULL},
	[M_SILENCES] = {"coldfleet_notify_silences_total", METRIC_COUNTER,
			"Looks for silent devices after which there was more to look at", NULL},
	[M_CALIBRATIONS] = {"coldfleet_notify_calibrations_total", METRIC_COUNTER,
			    "Looks for calibrations due soon after which there was more to look at", NULL},
	[M_ESCALATED] = {"coldfleet_notify_escalated_total", METRIC_COUNTER,
			 "Alarms that escalated, or were told of late because they lasted", NULL},
	[M_PUSHED] = {"coldfleet_notify_pushed_total", METRIC_COUNTER,
		      "Devices whose new readings were made into transfers", NULL},
	[M_FORGOTTEN] = {"coldfleet_notify_forgotten_total", METRIC_COUNTER, "Old notices deleted", NULL},
};
