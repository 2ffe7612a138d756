/* SPDX-License-Identifier: Apache-2.0
 *
 * What holds for every message, shared by the fuzz targets of the telemetry decoder: a refused pack is empty and has
 * words; an accepted one has its readings in order, numbered without holes, and `extra` is a JSON object. */
#ifndef COLDFLEET_TESTS_FUZZ_SENML_CHECK_H
#define COLDFLEET_TESTS_FUZZ_SENML_CHECK_H

#include <jansson.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "ingest/pack.h"

#define REQUIRE(condition)                                                                                             \
	do {                                                                                                           \
		if (!(condition))                                                                                      \
			abort();                                                                                       \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void reading_require(const struct pack *p, size_t i)
{
	const struct reading *r = &p->readings[i], *before = i > 0 ? r - 1 : r;
	REQUIRE(before->ts <= r->ts && r->probe >= 0 && r->probe <= 255 && r->epoch == p->epoch);
	REQUIRE(r->has != 0 || r->extra != NULL);
	if (p->sequenced)
		REQUIRE(before->seq <= r->seq && r->seq >= p->samples.first && r->seq <= p->samples.last);
	else
		REQUIRE(r->seq < 0 && (before->ts < r->ts || before->seq >= r->seq));
	if (i > 0 && before->seq == r->seq && before->ts == r->ts)
		REQUIRE(before->probe < r->probe);
	for (unsigned c = 0; c < CH_NUMBERS; c++)
		REQUIRE(isfinite((float)r->number[c]));
	if (r->extra == NULL)
		return;
	json_t *extra = json_loadb(r->extra, r->extra_len, JSON_REJECT_DUPLICATES, NULL);
	REQUIRE(json_is_object(extra) && json_object_size(extra) > 0);
	json_decref(extra);
}

static inline enum pack_fault senml_check(const char *type, const uint8_t *data, size_t size)
{
	static struct arena *arena;
	if (arena == NULL)
		arena = arena_new((size_t)1 << 20);
	arena_reset(arena);
	const struct pack_limits limits = PACK_LIMITS_DEFAULT;
	struct pack pack;
	struct err e = {0};
	enum pack_fault fault = pack_decode(data, size, type, INT64_C(1790000000000000), &limits, arena, &pack, &e);
	if (fault != PACK_OK) {
		REQUIRE(pack.reading_count == 0 && e.code == ERR_DECODE && e.detail[0] != '\0');
		return fault;
	}
	REQUIRE(pack.sample_count <= limits.max_samples && pack.sample_count <= pack.reading_count);
	size_t rejected = 0;
	for (size_t i = 0; i < pack.reading_count; i++) {
		reading_require(&pack, i);
		rejected += pack.readings[i].out_of_window;
	}
	REQUIRE(rejected == pack.rejected && (rejected == 0) == (pack.rejected_why.detail[0] == '\0'));
	for (size_t i = 0; i < pack.lost_count; i++)
		REQUIRE(pack.lost[i].first >= 0 && pack.lost[i].first <= pack.lost[i].last);
	return fault;
}

#endif
