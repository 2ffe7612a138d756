/* SPDX-License-Identifier: Apache-2.0
 *
 * Items become samples and samples become readings. A tracker sends in time order, so the order is checked before
 * anything is sorted; a pack in any other order costs n log n, whatever its sender intended. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ingest/pack_build.h"

typedef int item_order(const struct item *a, const struct item *b);

static int by_time(const struct item *a, const struct item *b)
{
	return (a->ts > b->ts) - (a->ts < b->ts);
}

static int by_sample(const struct item *a, const struct item *b)
{
	if (a->sample != b->sample)
		return a->sample > b->sample ? 1 : -1;
	return a->probe - b->probe;
}

static int by_extra_name(const struct item *a, const struct item *b)
{
	int order = by_time(a, b);
	if (order == 0)
		order = a->probe - b->probe;
	if (order != 0)
		return order;
	struct senml_text x = a->extra->name, y = b->extra->name;
	order = memcmp(x.at, y.at, x.len < y.len ? x.len : y.len);
	return order != 0 ? order : (x.len > y.len) - (x.len < y.len);
}

static void merge(struct item **from, struct item **to, size_t low, size_t middle, size_t high, item_order *order)
{
	size_t i = low, k = middle;
	for (size_t n = low; n < high; n++)
		to[n] = i < middle && (k >= high || order(from[i], from[k]) <= 0) ? from[i++] : from[k++];
}

/* Stable merge sort; nothing to do for what is in order already. qsort() is neither stable nor free of malloc(). */
static struct item **sort(struct item **items, size_t count, item_order *order, struct arena *arena)
{
	size_t i = 1;
	while (i < count && order(items[i - 1], items[i]) <= 0)
		i++;
	if (i >= count)
		return items;
	struct item **other = arena_alloc(arena, count * sizeof(*other));
	for (size_t width = 1; width < count; width *= 2) {
		for (size_t low = 0; low < count; low += 2 * width) {
			size_t middle = low + width < count ? low + width : count;
			size_t high = middle + width < count ? middle + width : count;
			merge(items, other, low, middle, high, order);
		}
		struct item **swap = items;
		items = other;
		other = swap;
	}
	return items;
}

/* Links each extra to the one with the same name, probe and time before it in the pack. */
static void extras_link(struct pack_build *b)
{
	if (b->extras < 2)
		return;
	struct item **extras = arena_alloc(b->arena, b->extras * sizeof(*extras));
	size_t n = 0;
	for (size_t i = 0; i < b->count; i++)
		if (b->items[i].extra != NULL)
			extras[n++] = &b->items[i];
	extras = sort(extras, n, by_extra_name, b->arena);
	for (size_t i = 1; i < n; i++)
		if (by_extra_name(extras[i - 1], extras[i]) == 0)
			extras[i]->extra->before = extras[i - 1];
}

/* What the current sample has of one probe. */
struct presence {
	uint32_t sample; /* the sample `has` is about, plus 1 */
	uint32_t has;    /* bit per channel */
};

static bool repeats(const struct item *item, uint32_t sample, const struct presence *p)
{
	if (item->extra != NULL)
		return item->extra->before != NULL && item->extra->before->sample == sample;
	return p->sample == sample + 1 && p->has >> item->channel & 1;
}

/* Gives each item its sample: a new moment starts one, and so does a name that its probe already has in it. Returns
 * how many there are. `items` are in time order. */
static size_t samples_assign(struct item **items, size_t count)
{
	struct presence probes[UINT8_MAX + 1] = {{0, 0}};
	uint32_t sample = 0;
	for (size_t i = 0; i < count; i++) {
		struct item *item = items[i];
		struct presence *p = &probes[item->probe];
		if (i > 0 && (item->ts != items[i - 1]->ts || repeats(item, sample, p)))
			sample++;
		if (p->sample != sample + 1)
			*p = (struct presence){.sample = sample + 1};
		p->has |= item->extra != NULL ? 0 : 1U << item->channel;
		item->sample = sample;
	}
	return count > 0 ? (size_t)sample + 1 : 0;
}

/* {"co2":{…},"voc":{…}} of the items of one reading. */
static void extra_join(struct reading *r, struct item **items, size_t count, struct arena *arena)
{
	size_t size = 1;
	for (size_t i = 0; i < count; i++)
		size += items[i]->extra != NULL ? items[i]->extra->member.len + 1 : 0;
	if (size == 1)
		return;
	char *text = arena_alloc(arena, size + 1);
	size_t len = 0;
	for (size_t i = 0; i < count; i++) {
		if (items[i]->extra == NULL)
			continue;
		text[len] = len == 0 ? '{' : ',';
		len++;
		memcpy(text + len, items[i]->extra->member.at, items[i]->extra->member.len);
		len += items[i]->extra->member.len;
	}
	text[len++] = '}';
	text[len] = '\0';
	r->extra = text;
	r->extra_len = len;
}

static void reading_fill(struct reading *r, struct item **items, size_t count, struct arena *arena)
{
	memset(r, 0, sizeof(*r));
	r->ts = items[0]->ts;
	r->probe = items[0]->probe;
	bool extra = false;
	for (size_t i = 0; i < count; i++) {
		const struct item *item = items[i];
		if (item->channel < CH_NUMBERS)
			r->number[item->channel] = item->number;
		else if (item->channel < CHANNELS)
			r->boolean[item->channel - CH_NUMBERS] = item->boolean;
		if (item->channel < CHANNELS)
			r->has |= (uint16_t)(1U << item->channel);
		r->flags |= item->fault ? READING_SENSOR_FAULT : 0;
		extra |= item->extra != NULL;
	}
	if (extra)
		extra_join(r, items, count, arena);
}

/* One reading a run of items of the same sample and probe; `items` are in that order. */
static void readings_build(struct pack_build *b, struct item **items)
{
	size_t runs = 0;
	for (size_t i = 0; i < b->count; i++)
		runs += i == 0 || by_sample(items[i - 1], items[i]) != 0;
	struct pack *p = b->pack;
	p->readings = arena_alloc(b->arena, runs * sizeof(*p->readings));
	int32_t nth = 0; /* sample of its moment, from 1 */
	for (size_t start = 0, end; start < b->count; start = end) {
		for (end = start + 1; end < b->count && by_sample(items[start], items[end]) == 0;)
			end++;
		if (start == 0 || items[start]->ts != items[start - 1]->ts)
			nth = 1;
		else if (items[start]->sample != items[start - 1]->sample)
			nth++;
		struct reading *r = &p->readings[p->reading_count++];
		reading_fill(r, items + start, end - start, b->arena);
		r->epoch = p->epoch;
		r->seq = p->sequenced ? p->samples.first + (int32_t)items[start]->sample : -nth;
	}
}

/* "1970-01-01T00:00:10Z"; gmtime_r() knows every year that a time within SENML_TIME_MAX can have. */
static void time_format(char *out, size_t size, int64_t ts)
{
	int64_t seconds = ts / 1000000 - (ts % 1000000 < 0);
	struct tm tm;
	if (gmtime_r(&seconds, &tm) == NULL || strftime(out, size, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		snprintf(out, size, "%" PRId64 " s", seconds);
}

static void rejected_explain(const struct pack_build *b, const struct reading *first, size_t samples)
{
	char when[64];
	time_format(when, sizeof(when), first->ts);
	bool past = first->ts < b->now;
	double limit = past ? b->limits->past_seconds : b->limits->future_seconds;
	bool days = limit >= 86400;
	err_set(&b->pack->rejected_why, ERR_DECODE, "clock: %zu of %zu samples: first %s is more than %g %s %s receipt",
		samples, b->pack->sample_count, when, days ? limit / 86400 : limit, days ? "days" : "s",
		past ? "before" : "after");
}

static void window_check(struct pack_build *b)
{
	int64_t from = b->now - (int64_t)(b->limits->past_seconds * 1e6);
	int64_t to = b->now + (int64_t)(b->limits->future_seconds * 1e6);
	const struct reading *first = NULL, *last = NULL;
	size_t samples = 0;
	struct pack *p = b->pack;
	for (size_t i = 0; i < p->reading_count; i++) {
		struct reading *r = &p->readings[i];
		r->out_of_window = r->ts < from || r->ts > to;
		if (!r->out_of_window)
			continue;
		p->rejected++;
		samples += last == NULL || last->ts != r->ts || last->seq != r->seq;
		first = first != NULL ? first : r;
		last = r;
	}
	if (first != NULL)
		rejected_explain(b, first, samples);
}

static enum pack_fault samples_number(struct pack_build *b, struct err *e)
{
	struct pack *p = b->pack;
	if (p->sample_count > b->limits->max_samples) {
		err_set(e, ERR_DECODE, "%zu samples: expected at most %zu", p->sample_count, b->limits->max_samples);
		return PACK_TOO_LARGE;
	}
	if (!p->sequenced || p->sample_count == 0)
		return PACK_OK;
	int64_t last = b->first + (int64_t)p->sample_count - 1;
	if (last > PACK_SEQ_MAX) {
		err_set(e, ERR_DECODE, "seq %d and %zu samples: expected the last number to be at most %d", b->first,
			p->sample_count, PACK_SEQ_MAX);
		return PACK_CONTENT;
	}
	p->samples = (struct seq_range){b->first, (int32_t)last};
	return PACK_OK;
}

enum pack_fault pack_finish(struct pack_build *b, struct err *e)
{
	struct item **items = arena_alloc(b->arena, b->count * sizeof(*items));
	for (size_t i = 0; i < b->count; i++)
		items[i] = &b->items[i];
	items = sort(items, b->count, by_time, b->arena);
	extras_link(b);
	b->pack->sample_count = samples_assign(items, b->count);
	enum pack_fault fault = samples_number(b, e);
	if (fault != PACK_OK || b->count == 0)
		return fault;
	items = sort(items, b->count, by_sample, b->arena);
	readings_build(b, items);
	window_check(b);
	return PACK_OK;
}
