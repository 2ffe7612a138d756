/* SPDX-License-Identifier: Apache-2.0
 *
 * The search for an unused epoch, and the epoch of a series. */
#include "tests/tracker/epoch.h"

void epoch_search_init(struct epoch_search *s, int32_t start)
{
	*s = (struct epoch_search){.start = start, .used = start - 1, .unused = -1};
}

int32_t epoch_search_ask(const struct epoch_search *s)
{
	if (s->unused >= 0)
		return s->used + (s->unused - s->used) / 2;
	int64_t next = s->start + 2 * ((int64_t)s->used - s->start + 1);
	if (s->used < s->start)
		next = s->start;
	return next < EPOCH_RUN_MAX ? (int32_t)next : EPOCH_RUN_MAX;
}

bool epoch_search_answer(struct epoch_search *s, const struct receipt *r)
{
	if (r->epoch != epoch_search_ask(s))
		return false;
	if (r->through < 0)
		s->unused = r->epoch;
	else
		s->used = r->epoch;
	/* Every epoch up to the last is used: only sharing the last one is left. */
	if (s->used == EPOCH_RUN_MAX)
		s->unused = EPOCH_RUN_MAX;
	return s->unused >= 0 && s->unused - s->used <= 1;
}

bool epoch_left(int32_t own, int32_t of)
{
	return of < own && own <= EPOCH_RUN_MAX;
}

int32_t epoch_of_series(uint64_t fingerprint)
{
	return EPOCH_REPLAY_FIRST + (int32_t)(fingerprint % (EPOCH_MAX - EPOCH_REPLAY_FIRST + 1));
}
