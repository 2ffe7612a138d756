/* SPDX-License-Identifier: Apache-2.0
 *
 * The numbers of a daemon and their Prometheus text form (exposition format 0.0.4). */
#include "core/metrics.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const double bucket_limits[] = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
				       0.1,    0.25,    0.5,    1,     2.5,    5,     10,   30,    60};
#define BUCKETS (sizeof(bucket_limits) / sizeof(bucket_limits[0]))

struct histogram {
	uint64_t bucket[BUCKETS + 1]; /* not cumulative; the last is above every limit */
	uint64_t count;
	double sum;
};

struct metrics {
	const struct metric_def *defs;
	size_t count;
	double *values;
	struct histogram **histograms; /* NULL for rows that are none */
};

struct metrics *metrics_new(const struct metric_def *defs, size_t count)
{
	struct metrics *m = calloc(1, sizeof(*m));
	if (m == NULL)
		abort();
	m->defs = defs;
	m->count = count;
	m->values = calloc(count + 1, sizeof(*m->values));
	m->histograms = calloc(count + 1, sizeof(*m->histograms));
	if (m->values == NULL || m->histograms == NULL)
		abort();
	for (size_t i = 0; i < count; i++) {
		if (defs[i].type != METRIC_SECONDS)
			continue;
		m->histograms[i] = calloc(1, sizeof(struct histogram));
		if (m->histograms[i] == NULL)
			abort();
	}
	return m;
}

void metrics_free(struct metrics **mp)
{
	if (*mp == NULL)
		return;
	for (size_t i = 0; i < (*mp)->count; i++)
		free((*mp)->histograms[i]);
	free((*mp)->histograms);
	free((*mp)->values);
	free(*mp);
	*mp = NULL;
}

void metric_add(struct metrics *m, size_t row, double by)
{
	m->values[row] += by;
}

void metric_set(struct metrics *m, size_t row, double to)
{
	m->values[row] = to;
}

void metric_observe(struct metrics *m, size_t row, double seconds)
{
	struct histogram *h = m->histograms[row];
	size_t i = 0;
	while (i < BUCKETS && seconds > bucket_limits[i])
		i++;
	h->bucket[i]++;
	h->count++;
	h->sum += seconds;
}

double metric_value(const struct metrics *m, size_t row)
{
	return m->histograms[row] != NULL ? (double)m->histograms[row]->count : m->values[row];
}

static void render_histogram(const struct metric_def *def, const struct histogram *h, struct evbuffer *to)
{
	const char *labels = def->labels != NULL ? def->labels : "";
	const char *comma = def->labels != NULL ? "," : "";
	uint64_t below = 0;
	for (size_t i = 0; i < BUCKETS; i++) {
		below += h->bucket[i];
		evbuffer_add_printf(to, "%s_bucket{%s%sle=\"%g\"} %llu\n", def->name, labels, comma, bucket_limits[i],
				    (unsigned long long)below);
	}
	evbuffer_add_printf(to, "%s_bucket{%s%sle=\"+Inf\"} %llu\n", def->name, labels, comma,
			    (unsigned long long)h->count);
	const char *open = def->labels != NULL ? "{" : "", *close = def->labels != NULL ? "}" : "";
	evbuffer_add_printf(to, "%s_sum%s%s%s %.9g\n", def->name, open, labels, close, h->sum);
	evbuffer_add_printf(to, "%s_count%s%s%s %llu\n", def->name, open, labels, close, (unsigned long long)h->count);
}

void metrics_render(const struct metrics *m, struct evbuffer *to)
{
	static const char *const type_names[] = {"counter", "gauge", "histogram"};
	for (size_t i = 0; i < m->count; i++) {
		const struct metric_def *def = &m->defs[i];
		if (i == 0 || strcmp(def->name, m->defs[i - 1].name) != 0)
			evbuffer_add_printf(to, "# HELP %s %s\n# TYPE %s %s\n", def->name, def->help, def->name,
					    type_names[def->type]);
		if (def->type == METRIC_SECONDS)
			render_histogram(def, m->histograms[i], to);
		else if (def->labels != NULL)
			evbuffer_add_printf(to, "%s{%s} %.17g\n", def->name, def->labels, m->values[i]);
		else
			evbuffer_add_printf(to, "%s %.17g\n", def->name, m->values[i]);
	}
}
