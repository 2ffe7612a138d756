/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows of telemetry.reading and entries of telemetry.quarantine as parameter arrays. */
#include "ingest/rows.h"

#include <stdlib.h>
#include <string.h>

static int compare_moments(const struct row *a, const struct row *b)
{
	if (a->device_id != b->device_id)
		return a->device_id < b->device_id ? -1 : 1;
	return (a->reading->ts > b->reading->ts) - (a->reading->ts < b->reading->ts);
}

static int compare_samples(const struct reading *x, const struct reading *y)
{
	if (x->probe != y->probe)
		return x->probe < y->probe ? -1 : 1;
	if (x->epoch != y->epoch)
		return x->epoch < y->epoch ? -1 : 1;
	return (x->seq > y->seq) - (x->seq < y->seq);
}

static int compare_rows(const void *va, const void *vb)
{
	const struct row *a = va, *b = vb;
	int order = compare_moments(a, b);
	if (order == 0)
		order = compare_samples(a->reading, b->reading);
	if (order != 0)
		return order;
	/* The same sample twice in one batch: the one that came first wins, as it would over two batches. */
	return a->message < b->message ? -1 : a->message > b->message;
}

static void collect_message(struct rows *r, const struct message *m, size_t index)
{
	for (size_t i = 0; i < m->pack.reading_count; i++) {
		const struct reading *reading = &m->pack.readings[i];
		if (reading->out_of_window)
			continue;
		r->rows[r->count++] = (struct row){.device_id = m->device_id,
						   .message = (uint32_t)index,
						   .received_at = m->received_at,
						   .reading = reading};
	}
}

void rows_collect(struct rows *r, const struct batch *b, size_t from, size_t to, struct arena *arena)
{
	size_t limit = 0;
	for (size_t i = from; i < to; i++)
		limit += b->messages[i].store ? b->messages[i].pack.reading_count : 0;
	*r = (struct rows){.rows = arena_alloc(arena, limit * sizeof(*r->rows))};
	for (size_t i = from; i < to; i++) {
		if (b->messages[i].store)
			collect_message(r, &b->messages[i], i);
	}
	qsort(r->rows, r->count, sizeof(*r->rows), compare_rows);
	for (size_t i = 0; i < r->count; i++) {
		int64_t ts = r->rows[i].reading->ts;
		if (i == 0 || ts < r->first_ts)
			r->first_ts = ts;
		if (i == 0 || ts > r->last_ts)
			r->last_ts = ts;
	}
}

/* ---- readings ---- */

static bool any_has(const struct rows *r, enum channel channel)
{
	for (size_t i = 0; i < r->count; i++) {
		if (r->rows[i].reading->has & 1u << channel)
			return true;
	}
	return false;
}

/* The columns as ingest_store_readings takes them. */
static const struct {
	enum channel channel;
	enum pg_type type;
	size_t size;
} channel_columns[CHANNELS] = {
	{CH_TEMP, PG_FLOAT4, 4}, {CH_HUM, PG_FLOAT4, 4},  {CH_LUX, PG_FLOAT4, 4}, {CH_SHOCK, PG_FLOAT4, 4},
	{CH_BATT, PG_FLOAT4, 4}, {CH_RSRP, PG_FLOAT4, 4}, {CH_LAT, PG_FLOAT8, 8}, {CH_LON, PG_FLOAT8, 8},
	{CH_ALT, PG_FLOAT4, 4},  {CH_ACC, PG_FLOAT4, 4},  {CH_DOOR, PG_BOOL, 1},  {CH_TAMPER, PG_BOOL, 1},
	{CH_POWER, PG_BOOL, 1},
};

void rows_append_channel(struct pg_array *a, enum pg_type type, const struct reading *reading, enum channel channel)
{
	if (reading == NULL || !(reading->has & 1u << channel))
		pg_array_null(a);
	else if (type == PG_BOOL)
		pg_array_bool(a, reading->boolean[channel - CH_NUMBERS]);
	else if (type == PG_FLOAT4)
		pg_array_float4(a, (float)reading->number[channel]);
	else
		pg_array_float8(a, reading->number[channel]);
}

static void channel_params(struct pg_params *p, const struct rows *r, struct arena *arena)
{
	for (size_t c = 0; c < CHANNELS; c++) {
		if (!any_has(r, channel_columns[c].channel)) {
			pg_params_null(p);
			continue;
		}
		struct pg_array a =
			pg_array_new(arena, channel_columns[c].type, r->count, r->count * channel_columns[c].size);
		for (size_t i = 0; i < r->count; i++)
			rows_append_channel(&a, channel_columns[c].type, r->rows[i].reading,
					    channel_columns[c].channel);
		pg_params_array(p, &a);
	}
}

/* Another sample of the same moment as the row before. The same sample again is none: it is to be found taken. */
static bool is_further(const struct rows *r, size_t i)
{
	const struct row *row = &r->rows[i];
	return i > 0 && compare_moments(row - 1, row) == 0 && compare_samples(row[-1].reading, row->reading) != 0;
}

static void key_params(struct pg_params *p, const struct rows *r, struct arena *arena)
{
	size_t n = r->count;
	struct pg_array device = pg_array_new(arena, PG_INT4, n, n * 4);
	struct pg_array ts = pg_array_new(arena, PG_TIMESTAMPTZ, n, n * 8);
	struct pg_array received = pg_array_new(arena, PG_TIMESTAMPTZ, n, n * 8);
	struct pg_array seq = pg_array_new(arena, PG_INT4, n, n * 4);
	struct pg_array epoch = pg_array_new(arena, PG_INT2, n, n * 2);
	struct pg_array probe = pg_array_new(arena, PG_INT2, n, n * 2);
	for (size_t i = 0; i < n; i++) {
		const struct row *row = &r->rows[i];
		pg_array_int4(&device, row->device_id);
		pg_array_time(&ts, row->reading->ts);
		pg_array_time(&received, row->received_at);
		pg_array_int4(&seq, row->reading->seq);
		pg_array_int2(&epoch, row->reading->epoch);
		pg_array_int2(&probe,
			      is_further(r, i) ? (int16_t)(row->reading->probe + INT16_MIN) : row->reading->probe);
	}
	pg_params_array(p, &device);
	pg_params_array(p, &ts);
	pg_params_array(p, &received);
	pg_params_array(p, &seq);
	pg_params_array(p, &epoch);
	pg_params_array(p, &probe);
}

static void flags_param(struct pg_params *p, const struct rows *r, struct arena *arena)
{
	struct pg_array a = pg_array_new(arena, PG_INT2, r->count, r->count * 2);
	for (size_t i = 0; i < r->count; i++) {
		uint16_t flags = r->rows[i].reading->flags;
		if (flags != 0)
			pg_array_int2(&a, (int16_t)flags);
		else
			pg_array_null(&a);
	}
	pg_params_array_or_null(p, &a);
}

static void extra_param(struct pg_params *p, const struct rows *r, struct arena *arena)
{
	size_t bytes = 0;
	for (size_t i = 0; i < r->count; i++)
		bytes += r->rows[i].reading->extra != NULL ? r->rows[i].reading->extra_len : 0;
	if (bytes == 0) {
		pg_params_null(p);
		return;
	}
	struct pg_array a = pg_array_new(arena, PG_TEXT, r->count, bytes);
	for (size_t i = 0; i < r->count; i++) {
		const struct reading *reading = r->rows[i].reading;
		if (reading->extra != NULL)
			pg_array_bytes(&a, reading->extra, reading->extra_len);
		else
			pg_array_null(&a);
	}
	pg_params_array(p, &a);
}

void rows_readings_params(struct pg_params *p, const struct rows *r, struct arena *arena)
{
	*p = (struct pg_params){0};
	key_params(p, r, arena);
	channel_params(p, r, arena);
	flags_param(p, r, arena);
	extra_param(p, r, arena);
}

/* ---- statuses ---- */

size_t rows_status_params(struct pg_params *p, const struct batch *b, size_t from, size_t to, struct arena *arena)
{
	size_t n = 0, bytes = 0;
	*p = (struct pg_params){0};
	for (size_t i = from; i < to; i++) {
		const struct message *m = &b->messages[i];
		if (!m->store || !m->is_status)
			continue;
		n++;
		bytes += strlen(m->status.json);
	}
	if (n == 0)
		return 0;
	struct pg_array device = pg_array_new(arena, PG_INT4, n, n * 4);
	struct pg_array received = pg_array_new(arena, PG_TIMESTAMPTZ, n, n * 8);
	struct pg_array body = pg_array_new(arena, PG_TEXT, n, bytes);
	for (size_t i = from; i < to; i++) {
		const struct message *m = &b->messages[i];
		if (!m->store || !m->is_status)
			continue;
		pg_array_int4(&device, m->device_id);
		pg_array_time(&received, m->received_at);
		pg_array_bytes(&body, m->status.json, strlen(m->status.json));
	}
	pg_params_array(p, &device);
	pg_params_array(p, &received);
	pg_params_array(p, &body);
	return n;
}

/* ---- quarantine ---- */

size_t rows_quarantine_params(struct pg_params *p, const struct batch *b, size_t from, size_t to, struct arena *arena)
{
	size_t n = 0, topic_bytes = 0, payload_bytes = 0, type_bytes = 0, reason_bytes = 0, detail_bytes = 0;
	*p = (struct pg_params){0};
	for (size_t i = from; i < to; i++) {
		const struct message *m = &b->messages[i];
		if (m->quarantine == NULL || m->kept)
			continue;
		n++;
		topic_bytes += strlen(m->topic);
		payload_bytes += m->payload_len;
		type_bytes += m->content_type != NULL ? strlen(m->content_type) : 0;
		reason_bytes += strlen(m->quarantine);
		detail_bytes += strlen(m->detail);
	}
	if (n == 0)
		return 0;
	struct pg_array device = pg_array_new(arena, PG_INT4, n, n * 4);
	struct pg_array topic = pg_array_new(arena, PG_TEXT, n, topic_bytes);
	struct pg_array payload = pg_array_new(arena, PG_BYTEA, n, payload_bytes);
	struct pg_array content_type = pg_array_new(arena, PG_TEXT, n, type_bytes);
	struct pg_array received = pg_array_new(arena, PG_TIMESTAMPTZ, n, n * 8);
	struct pg_array reason = pg_array_new(arena, PG_TEXT, n, reason_bytes);
	struct pg_array detail = pg_array_new(arena, PG_TEXT, n, detail_bytes);
	for (size_t i = from; i < to; i++) {
		const struct message *m = &b->messages[i];
		if (m->quarantine == NULL || m->kept)
			continue;
		if (m->device_id != 0)
			pg_array_int4(&device, m->device_id);
		else
			pg_array_null(&device);
		pg_array_bytes(&topic, m->topic, strlen(m->topic));
		pg_array_bytes(&payload, m->payload, m->payload_len);
		if (m->content_type != NULL)
			pg_array_bytes(&content_type, m->content_type, strlen(m->content_type));
		else
			pg_array_null(&content_type);
		pg_array_time(&received, m->received_at);
		pg_array_bytes(&reason, m->quarantine, strlen(m->quarantine));
		pg_array_bytes(&detail, m->detail, strlen(m->detail));
	}
	pg_params_array(p, &device);
	pg_params_array(p, &topic);
	pg_params_array(p, &payload);
	pg_params_array(p, &content_type);
	pg_params_array(p, &received);
	pg_params_array(p, &reason);
	pg_params_array(p, &detail);
	return n;
}
