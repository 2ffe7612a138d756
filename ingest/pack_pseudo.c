/* SPDX-License-Identifier: Apache-2.0
 *
 * Records that are no measurement: where the numbering of samples stands, the device's clock, samples that it has lost,
 * and its wish for a receipt. */
#include <math.h>
#include <string.h>

#include "ingest/pack_build.h"

static bool integer_take(const struct senml_resolved *r, const char *name, int32_t max, int32_t *out, struct err *e)
{
	if (!(r->v >= 0 && r->v <= max) || r->v != floor(r->v))
		return err_set(e, ERR_DECODE, "record %zu: %s is %.17g: expected an integer from 0 to %d", r->number,
			       name, r->v, max);
	*out = (int32_t)r->v;
	return true;
}

bool pack_seq(struct pack_build *b, const struct senml_resolved *r, struct err *e)
{
	int32_t seq = 0;
	if (!integer_take(r, "seq", PACK_SEQ_MAX, &seq, e))
		return false;
	if (b->pack->sequenced && b->first != seq)
		return err_set(e, ERR_DECODE, "record %zu: seq is %d: expected one seq in a pack, and it was %d",
			       r->number, seq, b->first);
	b->pack->sequenced = true;
	b->first = seq;
	return true;
}

bool pack_epoch(struct pack_build *b, const struct senml_resolved *r, struct err *e)
{
	int32_t epoch = 0;
	if (!integer_take(r, "epoch", INT16_MAX, &epoch, e))
		return false;
	if (b->pack->names_epoch && b->pack->epoch != epoch)
		return err_set(e, ERR_DECODE, "record %zu: epoch is %d: expected one epoch in a pack, and it was %d",
			       r->number, epoch, b->pack->epoch);
	b->pack->names_epoch = true;
	b->pack->epoch = (int16_t)epoch;
	return true;
}

bool pack_clock(struct pack_build *b, const struct senml_resolved *r, struct err *e)
{
	if (!(fabs(r->v) <= SENML_TIME_MAX))
		return err_set(e, ERR_DECODE, "record %zu: clock is %g: expected seconds since 1970, at most %g",
			       r->number, r->v, SENML_TIME_MAX);
	int64_t clock = llround(r->v * 1e6);
	if (b->pack->has_clock && b->pack->clock != clock)
		return err_set(e, ERR_DECODE, "record %zu: clock is %.17g: expected one clock in a pack", r->number,
			       r->v);
	b->pack->has_clock = true;
	b->pack->clock = clock;
	return true;
}

bool pack_rr(struct pack_build *b, const struct senml_resolved *r, struct err *e)
{
	(void)e;
	b->pack->wants_receipt |= r->vb;
	return true;
}

static bool digits_take(const char **at, const char *end, int32_t *out)
{
	const char *start = *at;
	int64_t n = 0;
	for (; *at < end && **at >= '0' && **at <= '9' && n <= PACK_SEQ_MAX; ++*at)
		n = n * 10 + (**at - '0');
	*out = (int32_t)n;
	return *at > start && n <= PACK_SEQ_MAX;
}

static bool range_parse(struct senml_text text, struct seq_range *out)
{
	const char *at = text.at, *end = text.at + text.len;
	if (!digits_take(&at, end, &out->first))
		return false;
	out->last = out->first;
	if (at < end && *at == '-') {
		at++;
		if (!digits_take(&at, end, &out->last))
			return false;
	}
	return at == end && out->first <= out->last;
}

bool pack_lost(struct pack_build *b, const struct senml_resolved *r, struct err *e)
{
	struct seq_range range;
	if (!range_parse(r->text, &range))
		return err_set(
			e, ERR_DECODE,
			"record %zu: lost is '%s': expected sample numbers \"first-last\" or \"number\", up to %d",
			r->number, senml_show(r->text.at, r->text.len).text, PACK_SEQ_MAX);
	struct pack *p = b->pack;
	if (p->lost_count == b->lost_room) {
		b->lost_room = b->lost_room > 0 ? b->lost_room * 2 : 4;
		struct seq_range *lost = arena_alloc(b->arena, b->lost_room * sizeof(*lost));
		if (p->lost_count > 0)
			memcpy(lost, p->lost, p->lost_count * sizeof(*lost));
		p->lost = lost;
	}
	p->lost[p->lost_count++] = range;
	return true;
}
