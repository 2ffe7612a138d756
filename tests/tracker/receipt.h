/* SPDX-License-Identifier: Apache-2.0
 *
 * A receipt: what the backend has committed of one epoch of one tracker. Strict, because a tracker deletes from its
 * flash by it. */
#ifndef COLDFLEET_TRACKER_RECEIPT_H
#define COLDFLEET_TRACKER_RECEIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "tests/tracker/sample.h"

#define RECEIPT_RANGES_MAX 32
#define RECEIPT_BYTES_MAX  2048
#define EPOCH_MAX          32767

struct receipt {
	int32_t epoch;
	int32_t through; /* -1: nothing */
	size_t missing_count;
	struct range missing[RECEIPT_RANGES_MAX]; /* ascending, apart from each other, none above `through` */
	bool of_status; /* of a status instead, the one with this boot count and uptime; the rest is empty */
	int32_t boot;
	double uptime; /* seconds */
};

/* Fails with ERR_DECODE and words that name the field. */
bool receipt_parse(const uint8_t *payload, size_t len, struct receipt *out, struct err *e);

bool receipt_covers(const struct receipt *r, int32_t seq);

#endif
