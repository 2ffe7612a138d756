/* SPDX-License-Identifier: Apache-2.0
 *
 * A tracker that has lost its flash must number its samples in an epoch that the backend has never seen from it, or a
 * receipt for old samples would pass for one for new samples. Which epochs are used, the backend's receipts tell: this
 * is the search, first in doubling steps, then by halving. Pure. */
#ifndef COLDFLEET_TRACKER_EPOCH_H
#define COLDFLEET_TRACKER_EPOCH_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/tracker/receipt.h"

/* Two halves of the range of epochs, so that measured samples never meet those of a replayed file. */
#define EPOCH_RUN_MAX      16383
#define EPOCH_REPLAY_FIRST 16384

struct epoch_search {
	int32_t start;
	int32_t used;   /* highest epoch known to be used, start - 1 at first */
	int32_t unused; /* lowest known to be unused, -1: none yet */
};

void epoch_search_init(struct epoch_search *s, int32_t start);
/* The epoch to ask a receipt for. */
int32_t epoch_search_ask(const struct epoch_search *s);
/* Takes the answer to that question. True when `unused` is the epoch looked for. */
bool epoch_search_answer(struct epoch_search *s, const struct receipt *r);

/* Whether a tracker that numbers in epoch `own` has been in epoch `of` before and left it: its flash was lost, so it
 * holds nothing of that. Never true between series, nor between a series and what is measured: another flash may hold
 * those. */
bool epoch_left(int32_t own, int32_t of);

/* The epoch of a replayed series: the same for the same samples, so that a file replayed twice makes no second rows. */
int32_t epoch_of_series(uint64_t fingerprint);

#endif
