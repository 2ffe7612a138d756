/* SPDX-License-Identifier: Apache-2.0
 *
 * A ring of pointers indexed by sample number, which grows on demand up to its capacity, and a short list of the ranges
 * that were overwritten or damaged. Every change goes to the journal first where there is one. */
#include "tests/tracker/flash.h"

#include <stdlib.h>
#include <string.h>

#include "tests/tracker/encode.h"
#include "tests/tracker/journal.h"

#define LOST_KEPT 64 /* ranges; beyond it the oldest two become one */

struct flash {
	struct sample **ring; /* slot seq % ring_size */
	size_t ring_size, capacity;
	size_t used;
	bool keep;
	int32_t epoch;
	int32_t start;       /* first number this flash ever held */
	int32_t kept;        /* oldest number that may still be in the ring */
	int32_t first, next; /* not stored: first..next-1, with holes */
	int64_t last_ts;
	struct range lost[LOST_KEPT];
	size_t lost_count;
	size_t overwritten;
	struct journal *journal;
	bool faulty;
	struct err fault;
};

static void *must(void *memory)
{
	if (memory == NULL)
		abort();
	return memory;
}

static struct sample **slot(const struct flash *f, int32_t seq)
{
	return &f->ring[(size_t)seq % f->ring_size];
}

struct flash *flash_new(size_t capacity, bool keep)
{
	struct flash *f = must(calloc(1, sizeof(*f)));

	f->capacity = capacity > 0 ? capacity : 1;
	f->ring_size = f->capacity < 16 ? f->capacity : 16;
	f->ring = must(calloc(f->ring_size, sizeof(*f->ring)));
	f->keep = keep;
	f->epoch = EPOCH_UNKNOWN;
	f->last_ts = INT64_MIN;
	return f;
}

void flash_free(struct flash **f)
{
	if (*f == NULL)
		return;
	for (size_t i = 0; i < (*f)->ring_size; i++)
		free((*f)->ring[i]);
	free((*f)->ring);
	journal_close(&(*f)->journal);
	free(*f);
	*f = NULL;
}

static void fail(struct flash *f, const struct err *e)
{
	f->faulty = true;
	f->fault = *e;
	journal_close(&f->journal);
}

static struct journal_state state_of(const struct flash *f)
{
	return (struct journal_state){f->epoch, f->first, f->next, f->last_ts};
}

static void save_state(struct flash *f)
{
	struct journal_state state = state_of(f);
	struct err e;

	if (f->journal != NULL && !journal_write_state(f->journal, &state, &e))
		fail(f, &e);
}

static bool rewrite(struct flash *f, struct err *e)
{
	struct journal_state state = state_of(f);

	if (!journal_replace_begin(f->journal, e))
		return false;
	for (int32_t seq = f->first; seq < f->next; seq++) {
		const struct sample *s = flash_get(f, seq);
		if (s != NULL && !journal_append(f->journal, s, e))
			return false;
	}
	return journal_replace_end(f->journal, &state, e);
}

static void save_and_tidy(struct flash *f)
{
	struct err e;

	save_state(f);
	if (f->journal != NULL && journal_worn(f->journal, f->used) && !rewrite(f, &e))
		fail(f, &e);
}

static void remember_lost(struct flash *f, int32_t seq)
{
	struct range *last = f->lost_count > 0 ? &f->lost[f->lost_count - 1] : NULL;

	if (last != NULL && last->last + 1 == seq) {
		last->last = seq;
		return;
	}
	if (f->lost_count == LOST_KEPT) {
		f->lost[1].first = f->lost[0].first;
		memmove(f->lost, f->lost + 1, --f->lost_count * sizeof(*f->lost));
	}
	f->lost[f->lost_count++] = (struct range){seq, seq};
}

static void grow(struct flash *f)
{
	size_t size = f->ring_size * 2 < f->capacity ? f->ring_size * 2 : f->capacity;
	struct sample **ring = must(calloc(size, sizeof(*ring)));

	for (int32_t seq = f->kept; seq < f->next; seq++)
		ring[(size_t)seq % size] = *slot(f, seq);
	free(f->ring);
	f->ring = ring;
	f->ring_size = size;
}

static void skip_holes(struct flash *f)
{
	while (f->first < f->next && (*slot(f, f->first) == NULL || (*slot(f, f->first))->delivery == DELIVERY_STORED))
		f->first++;
	if (!f->keep)
		f->kept = f->first;
}

/* Makes the slot of number `next` free. */
static void make_room(struct flash *f)
{
	while ((size_t)(f->next - f->kept) >= f->ring_size && f->ring_size < f->capacity)
		grow(f);
	if ((size_t)(f->next - f->kept) < f->ring_size)
		return;
	struct sample **oldest = slot(f, f->kept);
	if (*oldest != NULL && (*oldest)->delivery != DELIVERY_STORED) {
		remember_lost(f, f->kept);
		f->overwritten++;
		f->used--;
	}
	free(*oldest);
	*oldest = NULL;
	f->kept++;
	if (f->first < f->kept)
		f->first = f->kept;
	skip_holes(f);
}

static void insert(struct flash *f, struct sample *s)
{
	make_room(f);
	*slot(f, s->seq) = s;
	f->next = s->seq + 1;
	f->used++;
	f->last_ts = s->ts;
}

static struct sample *sample_make(int64_t ts, int32_t seq, const struct measure *measures, size_t count)
{
	struct sample *s = must(calloc(1, sizeof(*s) + count * sizeof(*measures)));

	s->ts = ts;
	s->seq = seq;
	s->count = (uint16_t)count;
	memcpy(s->measures, measures, count * sizeof(*measures));
	return s;
}

int32_t flash_append(struct flash *f, int64_t ts, const struct measure *measures, size_t count)
{
	struct sample *s = sample_make(ts, f->next, measures, count);
	struct err e;

	insert(f, s);
	if (f->journal != NULL && !journal_append(f->journal, s, &e))
		fail(f, &e);
	save_and_tidy(f);
	return s->seq;
}

struct restoring {
	struct flash *flash;
	int32_t next; /* of the header; a kill can leave one sample that it does not count yet */
};

/* A number between those read back was stored, or damaged before an earlier start: whoever misses it is told that it
 * is lost. */
static void restore(const struct sample *s, void *arg)
{
	const struct restoring *r = arg;
	struct flash *f = r->flash;

	if (s->seq < f->next || s->seq > r->next)
		return;
	while (f->next < s->seq) {
		remember_lost(f, f->next);
		make_room(f);
		f->next++;
	}
	insert(f, sample_make(s->ts, s->seq, s->measures, s->count));
}

/* Samples are read back before the header's numbers are known to the flash, so the journal is opened twice: the first
 * pass finds the state, the second the samples. */
static void ignore_sample(const struct sample *s, void *arg)
{
	(void)s;
	(void)arg;
}

static bool open_journal(struct flash *f, const char *path, struct err *e)
{
	struct journal_state state = state_of(f);
	bool known = false;

	f->journal = journal_open(path, &state, &known, ignore_sample, NULL, e);
	if (f->journal == NULL)
		return false;
	if (!known) {
		save_state(f);
		save_state(f);
		return true;
	}
	journal_close(&f->journal);
	f->epoch = state.epoch;
	f->start = f->kept = f->first = f->next = state.first;
	struct restoring r = {f, state.next};
	f->journal = journal_open(path, &state, &known, restore, &r, e);
	f->last_ts = state.last_ts;
	while (f->next < state.next) {
		remember_lost(f, f->next);
		make_room(f);
		f->next++;
	}
	skip_holes(f);
	return f->journal != NULL;
}

struct flash *flash_open(const char *path, size_t capacity, struct err *e)
{
	struct flash *f = flash_new(capacity, false);

	if (!open_journal(f, path, e))
		flash_free(&f);
	return f;
}

int32_t flash_epoch(const struct flash *f)
{
	return f->epoch;
}

void flash_set_epoch(struct flash *f, int32_t epoch)
{
	f->epoch = epoch;
	save_state(f);
}

void flash_start_at(struct flash *f, int32_t seq)
{
	f->start = f->kept = f->first = f->next = seq;
	save_state(f);
}

struct sample *flash_get(const struct flash *f, int32_t seq)
{
	return seq >= f->kept && seq < f->next ? *slot(f, seq) : NULL;
}

int32_t flash_first(const struct flash *f)
{
	return f->first;
}

int32_t flash_next(const struct flash *f)
{
	return f->next;
}

size_t flash_used(const struct flash *f)
{
	return f->used;
}

int64_t flash_last_ts(const struct flash *f)
{
	return f->last_ts;
}

size_t flash_overwritten(const struct flash *f)
{
	return f->overwritten;
}

const char *flash_fault(const struct flash *f)
{
	return f->faulty ? f->fault.detail : NULL;
}

size_t flash_cover(struct flash *f, const struct receipt *r)
{
	size_t covered = 0;

	for (int32_t seq = f->first; seq < f->next && seq <= r->through; seq++) {
		struct sample *s = flash_get(f, seq);
		if (s == NULL || s->delivery == DELIVERY_STORED || !receipt_covers(r, seq))
			continue;
		covered++;
		s->delivery = DELIVERY_STORED;
		if (!f->keep) {
			free(s);
			*slot(f, seq) = NULL;
		}
	}
	f->used -= covered;
	skip_holes(f);
	if (covered > 0)
		save_and_tidy(f);
	return covered;
}

static size_t put_overlap(struct range a, struct range b, struct range *out)
{
	out->first = a.first > b.first ? a.first : b.first;
	out->last = a.last < b.last ? a.last : b.last;
	return out->first <= out->last;
}

/* A number below `start` was never in this flash; one that was stored is in neither list, and a receipt that misses it
 * is an old one which was overtaken. */
size_t flash_lost(const struct flash *f, const struct receipt *r, struct range *out)
{
	size_t n = 0;

	for (size_t i = 0; i < r->missing_count && n < LOST_MAX; i++) {
		n += put_overlap(r->missing[i], (struct range){0, f->start - 1}, &out[n]);
		for (size_t k = 0; k < f->lost_count && n < LOST_MAX; k++)
			n += put_overlap(r->missing[i], f->lost[k], &out[n]);
	}
	return n;
}
