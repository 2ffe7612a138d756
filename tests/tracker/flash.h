/* SPDX-License-Identifier: Apache-2.0
 *
 * The flash of one tracker: the queue of samples from measurement until a receipt covers them. It is bounded: when it
 * is full the oldest sample is overwritten, and remembered as lost. With a file behind it, a tracker that is killed at
 * any instruction goes on where it was; what a damaged file no longer holds is known as lost too. */
#ifndef COLDFLEET_TRACKER_FLASH_H
#define COLDFLEET_TRACKER_FLASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "tests/tracker/receipt.h"
#include "tests/tracker/sample.h"

#define FLASH_CAPACITY_DEFAULT 20000
#define EPOCH_UNKNOWN          (-1)

struct flash;

/* In memory only. With `keep`, stored samples stay readable until flash_free (delivery is DELIVERY_STORED). */
struct flash *flash_new(size_t capacity, bool keep);
/* Behind a file, which is made when missing. A file without a valid header counts as lost: the flash is empty and its
 * epoch EPOCH_UNKNOWN. NULL with `e` only when the file cannot be read or written. */
struct flash *flash_open(const char *path, size_t capacity, struct err *e);
void flash_free(struct flash **f);

/* EPOCH_UNKNOWN until someone sets it: numbers start at 0 in an epoch, so that is right only while none was sent. */
int32_t flash_epoch(const struct flash *f);
void flash_set_epoch(struct flash *f, int32_t epoch);
/* The number of the first sample; only while nothing was appended. */
void flash_start_at(struct flash *f, int32_t seq);

/* Copies; returns the sample's number. A failed write to the file makes flash_fault() say so. */
int32_t flash_append(struct flash *f, int64_t ts, const struct measure *measures, size_t count);
/* NULL when it is not there. Stays valid until it is covered or overwritten. */
struct sample *flash_get(const struct flash *f, int32_t seq);

int32_t flash_first(const struct flash *f);   /* number of the oldest sample not yet stored; flash_next() when empty */
int32_t flash_next(const struct flash *f);    /* number of the next sample to be appended */
size_t flash_used(const struct flash *f);     /* samples not yet stored */
int64_t flash_last_ts(const struct flash *f); /* of the newest sample ever appended, INT64_MIN: none */
size_t flash_overwritten(const struct flash *f);
const char *flash_fault(const struct flash *f); /* NULL: the file is good */

/* Lets go of what the receipt covers; returns how many samples that were. */
size_t flash_cover(struct flash *f, const struct receipt *r);

/* Which numbers that the receipt misses were here once, or never, and cannot be sent: at most LOST_MAX ranges. */
size_t flash_lost(const struct flash *f, const struct receipt *r, struct range *out);

#endif
