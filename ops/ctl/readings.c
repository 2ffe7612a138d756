/* SPDX-License-Identifier: Apache-2.0
 *
 * What a device measured: as a table, as a chart, or as it came. */
#include <stdlib.h>
#include <string.h>

#include "ops/ctl/chart.h"
#include "ops/ctl/ctl.h"
#include "ops/ctl/when.h"

#define PROBES_MAX   8
#define CHART_WIDTH  72
#define CHART_HEIGHT 8
#define CHART_LEAST  20

static const struct column bucket_columns[] = {
	{"FROM", "ts", CELL_TEXT},
	{"PROBE", "probe", CELL_NUMBER},
	{"SAMPLES", "count", CELL_NUMBER},
	{"MIN °C", "temperature_c.min", CELL_TENTHS},
	{"MEAN °C", "temperature_c.mean", CELL_TENTHS},
	{"MAX °C", "temperature_c.max", CELL_TENTHS},
	{"MIN %RH", "humidity_pct.min", CELL_TENTHS},
	{"MEAN %RH", "humidity_pct.mean", CELL_TENTHS},
	{"MAX %RH", "humidity_pct.max", CELL_TENTHS},
};

struct show {
	struct table *table;
	struct chart *charts[PROBES_MAX]; /* of the temperature, by probe */
};

static bool page_json(struct ctl *ctl, void *arg, const struct reply *r, json_t *items, struct err *e)
{
	(void)arg;
	(void)items;
	(void)e;
	ctl_pass(ctl, r->body, r->len);
	return true;
}

static bool page_table(struct ctl *ctl, void *arg, const struct reply *r, json_t *items, struct err *e)
{
	struct show *show = arg;
	size_t i;
	json_t *item;

	(void)ctl;
	(void)r;
	(void)e;
	json_array_foreach(items, i, item)
	{
		table_add(show->table, item);
	}
	table_flush(show->table);
	return true;
}

static bool page_chart(struct ctl *ctl, void *arg, const struct reply *r, json_t *items, struct err *e)
{
	struct show *show = arg;
	size_t i;
	json_t *item;

	(void)ctl;
	(void)r;
	(void)e;
	json_array_foreach(items, i, item)
	{
		json_int_t probe = json_integer_value(value_at(item, "probe"));
		const char *ts = json_string_value(value_at(item, "ts"));
		const json_t *value = value_at(item, "temperature_c");
		if (json_is_object(value)) /* of a bucket */
			value = value_at(value, "mean");
		if (ts != NULL && json_is_number(value) && probe >= 0 && probe < PROBES_MAX)
			chart_add(show->charts[probe], when_seconds(ts), json_number_value(value));
	}
	return true;
}

static void print_charts(const struct ctl *ctl, const struct show *show)
{
	size_t width = ctl->width >= CHART_LEAST + 10 ? ctl->width - 10 : CHART_WIDTH;

	for (int probe = 0; probe < PROBES_MAX; probe++) {
		char title[40];
		snprintf(title, sizeof(title), "temperature_c, probe %d", probe);
		chart_print(show->charts[probe], title, width, CHART_HEIGHT, ctl->utf8, ctl->out);
	}
}

/* Whole and straight through: pages are for looking, these are for keeping. */
static bool pass_whole(struct ctl *ctl, const struct invocation *in, const char *format, struct err *e)
{
	if (invocation_value(in, "limit") != NULL)
		return err_set(e, ERR_CONFIG, "--limit: %s comes whole; --from and --to make it shorter", format);
	return run_export(ctl, in, e);
}

bool run_readings(struct ctl *ctl, const struct invocation *in, struct err *e)
{
	const char *format = invocation_value(in, "format");
	bool chart = invocation_value(in, "chart") != NULL, buckets = invocation_value(in, "bucket") != NULL;

	if (chart && format != NULL)
		return err_set(e, ERR_CONFIG, "--chart: expected no --format beside it");
	if (format != NULL && strcmp(format, "json") != 0)
		return pass_whole(ctl, in, format, e);
	page_fn page = chart ? page_chart : ctl->json || format != NULL ? page_json : page_table;
	struct show show = {.table = table_new(buckets ? bucket_columns : in->command->columns,
					       buckets ? sizeof(bucket_columns) / sizeof(bucket_columns[0])
						       : in->command->column_count,
					       ctl->out, ctl->width, ctl->color, ctl->now)};
	for (int i = 0; i < PROBES_MAX; i++)
		show.charts[i] = chart_new();
	bool ok = ctl_walk(ctl, in, page, &show, e);
	if (ok && chart)
		print_charts(ctl, &show);
	for (int i = 0; i < PROBES_MAX; i++)
		chart_free(&show.charts[i]);
	table_free(&show.table);
	return ok;
}
