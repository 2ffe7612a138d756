/* SPDX-License-Identifier: Apache-2.0
 *
 * What a batch says about each of its devices: the newest value of every channel, the sample numbers that are now
 * accounted for, and who asked for a receipt. */
#include <stdlib.h>
#include <string.h>

#include "ingest/rows.h"

/* Channels whose newest value is shown; those of one group share the time of the first. */
enum group { G_TEMP, G_HUM, G_BATT, G_RSRP, G_POSITION, G_DOOR, G_TAMPER, G_POWER, GROUPS };

static const struct {
	enum channel lead; /* its presence is the presence of the group */
	bool probe_zero;   /* taken from probe 0 only */
} groups[GROUPS] = {
	[G_TEMP] = {CH_TEMP, true},      [G_HUM] = {CH_HUM, true},       [G_BATT] = {CH_BATT, false},
	[G_RSRP] = {CH_RSRP, false},     [G_POSITION] = {CH_LAT, false}, [G_DOOR] = {CH_DOOR, false},
	[G_TAMPER] = {CH_TAMPER, false}, [G_POWER] = {CH_POWER, false},
};

struct device {
	int32_t id;
	int64_t received_at;
	const struct reading *newest, *oldest;
	const struct reading *coldest, *warmest; /* of all probes */
	const struct reading *latest[GROUPS];    /* the reading that the group's value is taken from */
	bool has_clock;
	int64_t clock, clock_at;
};

struct fact {
	int32_t device_id;
	int16_t epoch;
	struct seq_range range;
	bool lost;
};

#define NO_WISH (-2) /* in place of an epoch */

struct wish {
	int32_t device_id;
	int16_t epoch; /* -1: the latest one */
};

struct advance {
	struct device *devices;
	size_t device_count;
	struct fact *facts;
	size_t fact_count;
	struct wish *wishes;
	size_t wish_count;
};

static double lead_value(const struct reading *r, enum channel c)
{
	return c < CH_NUMBERS ? r->number[c] : r->boolean[c - CH_NUMBERS];
}

static bool takes_part(const struct reading *r, enum group g)
{
	if (!(r->has & 1u << groups[g].lead) || (groups[g].probe_zero && r->probe != 0))
		return false;
	if (g == G_POSITION)
		return r->has & 1u << CH_LON;
	return g != G_TEMP || !(r->flags & READING_SENSOR_FAULT);
}

static int compare_parts(const struct reading *a, const struct reading *b, enum channel c)
{
	bool has_a = a->has & 1u << c, has_b = b->has & 1u << c;
	if (!has_a || !has_b)
		return has_b - has_a; /* an absent part sorts highest, as in telemetry.position_wins() */
	double x = lead_value(a, c), y = lead_value(b, c);
	return (x > y) - (x < y);
}

/* The newer one, and of two at the same time the greater, so that the result does not depend on order. */
static bool wins(const struct reading *r, const struct reading *over, enum group g)
{
	static const enum channel position[] = {CH_LAT, CH_LON, CH_ALT, CH_ACC};
	if (over == NULL || r->ts != over->ts)
		return over == NULL || r->ts > over->ts;
	if (g != G_POSITION)
		return lead_value(r, groups[g].lead) > lead_value(over, groups[g].lead);
	int order = 0;
	for (size_t i = 0; i < sizeof(position) / sizeof(position[0]) && order == 0; i++)
		order = compare_parts(r, over, position[i]);
	return order > 0;
}

static void note_reading(struct device *d, const struct reading *r)
{
	if (d->newest == NULL || r->ts > d->newest->ts)
		d->newest = r;
	if (d->oldest == NULL || r->ts < d->oldest->ts)
		d->oldest = r;
	if ((r->has & 1u << CH_TEMP) && !(r->flags & READING_SENSOR_FAULT)) {
		if (d->coldest == NULL || r->number[CH_TEMP] < d->coldest->number[CH_TEMP])
			d->coldest = r;
		if (d->warmest == NULL || r->number[CH_TEMP] > d->warmest->number[CH_TEMP])
			d->warmest = r;
	}
	for (enum group g = 0; g < GROUPS; g++) {
		if (takes_part(r, g) && wins(r, d->latest[g], g))
			d->latest[g] = r;
	}
}

static void note_message(struct device *d, const struct message *m)
{
	if (m->received_at > d->received_at)
		d->received_at = m->received_at;
	bool has_clock = m->is_status ? m->status.has_clock : m->pack.has_clock;
	int64_t clock = m->is_status ? m->status.clock : m->pack.clock;
	/* Of two at once the greater, as telemetry.later() decides between batches. */
	if (has_clock &&
	    (!d->has_clock || m->received_at > d->clock_at || (m->received_at == d->clock_at && clock > d->clock))) {
		d->has_clock = true;
		d->clock = clock;
		d->clock_at = m->received_at;
	}
}

static int compare_messages(const void *va, const void *vb)
{
	const struct message *a = *(const struct message *const *)va, *b = *(const struct message *const *)vb;
	if (a->device_id != b->device_id)
		return a->device_id < b->device_id ? -1 : 1;
	return a < b ? -1 : a > b;
}

static int compare_facts(const void *va, const void *vb)
{
	const struct fact *a = va, *b = vb;
	if (a->device_id != b->device_id)
		return a->device_id < b->device_id ? -1 : 1;
	if (a->epoch != b->epoch)
		return a->epoch < b->epoch ? -1 : 1;
	if (a->lost != b->lost)
		return a->lost < b->lost ? -1 : 1;
	return a->range.first < b->range.first ? -1 : a->range.first > b->range.first;
}

/* Joins facts that touch or overlap: one range a device is the case that the database does fastest. */
static void join_facts(struct advance *v)
{
	size_t kept = 0;
	qsort(v->facts, v->fact_count, sizeof(*v->facts), compare_facts);
	for (size_t i = 0; i < v->fact_count; i++) {
		struct fact *f = &v->facts[i], *last = kept > 0 ? &v->facts[kept - 1] : NULL;
		if (last != NULL && last->device_id == f->device_id && last->epoch == f->epoch &&
		    last->lost == f->lost && (int64_t)f->range.first <= (int64_t)last->range.last + 1) {
			if (f->range.last > last->range.last)
				last->range.last = f->range.last;
			continue;
		}
		v->facts[kept++] = *f;
	}
	v->fact_count = kept;
}

static void note_facts(struct advance *v, const struct message *m)
{
	const struct pack *p = &m->pack;
	if (p->sequenced && p->sample_count > 0)
		v->facts[v->fact_count++] =
			(struct fact){.device_id = m->device_id, .epoch = p->epoch, .range = p->samples};
	for (size_t i = 0; i < p->lost_count; i++)
		v->facts[v->fact_count++] =
			(struct fact){.device_id = m->device_id, .epoch = p->epoch, .range = p->lost[i], .lost = true};
	if (!m->asked)
		return;
	struct wish wish = {.device_id = m->device_id,
			    .epoch = p->sequenced || p->names_epoch || p->lost_count > 0 ? p->epoch : -1};
	struct wish *last = v->wish_count > 0 ? &v->wishes[v->wish_count - 1] : NULL;
	if (last == NULL || last->device_id != wish.device_id || last->epoch != wish.epoch)
		v->wishes[v->wish_count++] = wish;
}

static struct advance gather(const struct rows *r, const struct batch *b, size_t from, size_t to, struct arena *arena)
{
	struct advance v = {0};
	const struct message **sorted = arena_alloc(arena, (to - from) * sizeof(const struct message *));
	size_t n = 0, facts = 0, row = 0;
	for (size_t i = from; i < to; i++) {
		if (!b->messages[i].store)
			continue;
		sorted[n++] = &b->messages[i];
		facts += 1 + b->messages[i].pack.lost_count;
	}
	qsort(sorted, n, sizeof(const struct message *), compare_messages);
	v.devices = arena_alloc(arena, n * sizeof(*v.devices));
	v.facts = arena_alloc(arena, facts * sizeof(*v.facts));
	v.wishes = arena_alloc(arena, n * sizeof(*v.wishes));
	for (size_t i = 0; i < n; i++) {
		struct device *d = v.device_count > 0 ? &v.devices[v.device_count - 1] : NULL;
		if (d == NULL || d->id != sorted[i]->device_id) {
			d = &v.devices[v.device_count++];
			*d = (struct device){.id = sorted[i]->device_id};
			for (; row < r->count && r->rows[row].device_id == d->id; row++)
				note_reading(d, r->rows[row].reading);
		}
		note_message(d, sorted[i]);
		note_facts(&v, sorted[i]);
	}
	join_facts(&v);
	return v;
}

/* ---- parameters ---- */

static void number_param(struct pg_params *p, const struct advance *v, enum group g, enum channel c, enum pg_type type,
			 struct arena *arena)
{
	struct pg_array a = pg_array_new(arena, type, v->device_count, v->device_count * 8);
	for (size_t i = 0; i < v->device_count; i++)
		rows_append_channel(&a, type, v->devices[i].latest[g], c);
	pg_params_array_or_null(p, &a);
}

static void time_param(struct pg_params *p, const struct advance *v, enum group g, struct arena *arena)
{
	struct pg_array a = pg_array_new(arena, PG_TIMESTAMPTZ, v->device_count, v->device_count * 8);
	for (size_t i = 0; i < v->device_count; i++) {
		const struct reading *r = g < GROUPS ? v->devices[i].latest[g] : v->devices[i].newest;
		if (r != NULL)
			pg_array_time(&a, r->ts);
		else
			pg_array_null(&a);
	}
	pg_params_array_or_null(p, &a);
}

static void clock_params(struct pg_params *p, const struct advance *v, struct arena *arena)
{
	struct pg_array offset = pg_array_new(arena, PG_FLOAT4, v->device_count, v->device_count * 4);
	struct pg_array at = pg_array_new(arena, PG_TIMESTAMPTZ, v->device_count, v->device_count * 8);
	for (size_t i = 0; i < v->device_count; i++) {
		const struct device *d = &v->devices[i];
		if (d->has_clock) {
			pg_array_float4(&offset, (float)((double)(d->clock - d->clock_at) / 1e6));
			pg_array_time(&at, d->clock_at);
		} else {
			pg_array_null(&offset);
			pg_array_null(&at);
		}
	}
	pg_params_array_or_null(p, &offset);
	pg_params_array_or_null(p, &at);
}

static void device_params(struct pg_params *p, const struct advance *v, struct arena *arena)
{
	struct pg_array id = pg_array_new(arena, PG_INT4, v->device_count, v->device_count * 4);
	struct pg_array received = pg_array_new(arena, PG_TIMESTAMPTZ, v->device_count, v->device_count * 8);
	for (size_t i = 0; i < v->device_count; i++) {
		pg_array_int4(&id, v->devices[i].id);
		pg_array_time(&received, v->devices[i].received_at);
	}
	pg_params_array(p, &id);
	pg_params_array(p, &received);
	time_param(p, v, GROUPS, arena);
}

static void fact_params(struct pg_params *p, const struct advance *v, struct arena *arena)
{
	size_t n = v->fact_count;
	struct pg_array device = pg_array_new(arena, PG_INT4, n, n * 4), epoch = pg_array_new(arena, PG_INT2, n, n * 2);
	struct pg_array first = pg_array_new(arena, PG_INT4, n, n * 4), last = pg_array_new(arena, PG_INT4, n, n * 4);
	struct pg_array lost = pg_array_new(arena, PG_BOOL, n, n);
	for (size_t i = 0; i < n; i++) {
		pg_array_int4(&device, v->facts[i].device_id);
		pg_array_int2(&epoch, v->facts[i].epoch);
		pg_array_int4(&first, v->facts[i].range.first);
		pg_array_int4(&last, v->facts[i].range.last);
		pg_array_bool(&lost, v->facts[i].lost);
	}
	pg_params_array(p, &device);
	pg_params_array(p, &epoch);
	pg_params_array(p, &first);
	pg_params_array(p, &last);
	pg_params_array(p, &lost);
}

static void wish_epoch(struct pg_array *a, const struct wish *wish)
{
	if (wish->epoch >= 0)
		pg_array_int2(a, wish->epoch);
	else
		pg_array_null(a);
}

/* No device has two wishes. */
static bool one_wish_each(const struct advance *v)
{
	for (size_t i = 1; i < v->wish_count; i++) {
		if (v->wishes[i].device_id == v->wishes[i - 1].device_id)
			return false;
	}
	return true;
}

/* Beside the devices if that can be: the database need not look for them, a quarter of its time with one wish in ten.
 */
static void wish_params(struct pg_params *p, const struct advance *v, struct arena *arena)
{
	bool beside = v->wish_count > 0 && one_wish_each(v);
	size_t n = beside ? v->device_count : v->wish_count, next = 0;
	struct pg_array device = pg_array_new(arena, PG_INT4, n, n * 4), epoch = pg_array_new(arena, PG_INT2, n, n * 2);
	for (size_t i = 0; i < n; i++) {
		pg_array_int4(&device, beside ? v->devices[i].id : v->wishes[i].device_id);
		if (!beside)
			wish_epoch(&epoch, &v->wishes[i]);
		else if (next < v->wish_count && v->wishes[next].device_id == v->devices[i].id)
			wish_epoch(&epoch, &v->wishes[next++]);
		else
			pg_array_int2(&epoch, NO_WISH);
	}
	pg_params_array(p, &device);
	pg_params_array(p, &epoch);
}

/* What decides in the database whether a device has to be evaluated. */
static void watch_params(struct pg_params *p, const struct advance *v, struct arena *arena)
{
	size_t n = v->device_count;
	struct pg_array low = pg_array_new(arena, PG_FLOAT4, n, n * 4), high = pg_array_new(arena, PG_FLOAT4, n, n * 4);
	struct pg_array oldest = pg_array_new(arena, PG_TIMESTAMPTZ, n, n * 8);
	for (size_t i = 0; i < n; i++) {
		const struct device *d = &v->devices[i];
		rows_append_channel(&low, PG_FLOAT4, d->coldest, CH_TEMP);
		rows_append_channel(&high, PG_FLOAT4, d->warmest, CH_TEMP);
		if (d->oldest != NULL)
			pg_array_time(&oldest, d->oldest->ts);
		else
			pg_array_null(&oldest);
	}
	pg_params_array_or_null(p, &low);
	pg_params_array_or_null(p, &high);
	pg_params_array_or_null(p, &oldest);
}

size_t rows_advance_params(struct pg_params *p, const struct rows *r, const struct batch *b, size_t from, size_t to,
			   struct arena *arena)
{
	static const struct {
		enum group group;
		enum channel channel;
		enum pg_type type;
	} flags[] = {{G_DOOR, CH_DOOR, PG_BOOL}, {G_TAMPER, CH_TAMPER, PG_BOOL}, {G_POWER, CH_POWER, PG_BOOL}},
	  numbers[] = {{G_TEMP, CH_TEMP, PG_FLOAT4},
		       {G_HUM, CH_HUM, PG_FLOAT4},
		       {G_BATT, CH_BATT, PG_FLOAT4},
		       {G_RSRP, CH_RSRP, PG_FLOAT4}};
	*p = (struct pg_params){0};
	struct advance v = gather(r, b, from, to, arena);
	if (v.device_count == 0)
		return 0;
	device_params(p, &v, arena);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		number_param(p, &v, numbers[i].group, numbers[i].channel, numbers[i].type, arena);
		time_param(p, &v, numbers[i].group, arena);
	}
	number_param(p, &v, G_POSITION, CH_LAT, PG_FLOAT8, arena);
	number_param(p, &v, G_POSITION, CH_LON, PG_FLOAT8, arena);
	number_param(p, &v, G_POSITION, CH_ALT, PG_FLOAT4, arena);
	number_param(p, &v, G_POSITION, CH_ACC, PG_FLOAT4, arena);
	time_param(p, &v, G_POSITION, arena);
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		number_param(p, &v, flags[i].group, flags[i].channel, flags[i].type, arena);
		time_param(p, &v, flags[i].group, arena);
	}
	clock_params(p, &v, arena);
	fact_params(p, &v, arena);
	wish_params(p, &v, arena);
	watch_params(p, &v, arena);
	return v.device_count;
}
