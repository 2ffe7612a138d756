/* SPDX-License-Identifier: Apache-2.0
 *
 * Spans and moments as people write them at a prompt, and as the API wants them. */
#ifndef COLDFLEET_CTL_WHEN_H
#define COLDFLEET_CTL_WHEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "core/err.h"

#define WHEN_MAX 40 /* an RFC 3339 time, with room */

/* "90s", "15m", "1h30m", "7d", "2w": whole numbers, each unit once, the larger ones first, at most 100 years. */
bool span_parse(const char *text, int64_t *seconds, struct err *e);

/* A span in the largest unit up to days that leaves no rest: "36h". */
void span_text(int64_t seconds, char *to, size_t size);

/* "now", "-24h" (before now), "+30d" (after now), "2026-11-22" (its first moment in UTC), or RFC 3339 as it is. */
bool when_parse(const char *text, time_t now, char to[WHEN_MAX], struct err *e);

/* Seconds since 1970 of an RFC 3339 time of the API's ("…Z"), NAN when it is none. */
double when_seconds(const char *rfc3339);

/* How long ago, with one unit: "12s", "5m", "3h", "12d"; "-5m" is ahead. */
void when_ago(const char *rfc3339, time_t now, char *to, size_t size);

#endif
