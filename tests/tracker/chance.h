/* SPDX-License-Identifier: Apache-2.0
 *
 * Chance by which a tracker misbehaves: the same at every run. */
#ifndef COLDFLEET_TRACKER_CHANCE_H
#define COLDFLEET_TRACKER_CHANCE_H

#include <stdbool.h>
#include <stdint.h>

/* Where the chance of this tracker begins, of its start number `n`. */
uint64_t chance_seed(const char *serial, uint64_t n);
/* True with probability p. */
bool chance_hits(uint64_t *chance, double p);

#endif
