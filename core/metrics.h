/* SPDX-License-Identifier: Apache-2.0
 *
 * A daemon's metrics: one table `[M_ROWS] = {name, type, help}`, indexed by the daemon's own enum, and the Prometheus
 * text exposition of it. Counters and gauges are doubles; histograms have fixed buckets for seconds (100 us .. 60 s).
 */
#ifndef COLDFLEET_CORE_METRICS_H
#define COLDFLEET_CORE_METRICS_H

#include <stddef.h>

#include <event2/buffer.h>

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_SECONDS };

struct metric_def {
	const char *name; /* "coldfleet_ingest_messages_total" */
	enum metric_type type;
	const char *help;
	const char *labels; /* "reason=\"clock\"" or NULL; rows of one name follow each other */
};

struct metrics;

struct metrics *metrics_new(const struct metric_def *defs, size_t count); /* `defs` is borrowed */
void metrics_free(struct metrics **m);

void metric_add(struct metrics *m, size_t row, double by);
void metric_set(struct metrics *m, size_t row, double to);
void metric_observe(struct metrics *m, size_t row, double seconds);
double metric_value(const struct metrics *m, size_t row); /* count of observations for METRIC_SECONDS */

void metrics_render(const struct metrics *m, struct evbuffer *to);

#endif
