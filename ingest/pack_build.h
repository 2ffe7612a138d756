/* SPDX-License-Identifier: Apache-2.0
 *
 * Between the files that make a pack: what a record's name means, the items that resolved records become, and how items
 * become samples and readings. Everything lives in the pack's arena. */
#ifndef COLDFLEET_INGEST_PACK_BUILD_H
#define COLDFLEET_INGEST_PACK_BUILD_H

#include "ingest/pack.h"
#include "ingest/senml.h"

/* One value of one probe at one moment. */
struct item {
	int64_t ts;
	uint32_t sample; /* number of its sample within the pack, from 0 in time order */
	uint8_t probe;
	uint8_t channel; /* enum channel; CHANNELS: kept in `extra` */
	bool boolean;
	bool fault; /* temperature outside what any sensor can measure */
	double number;
	struct extra *extra; /* not NULL exactly when the channel is CHANNELS */
};

/* A record of a name that is not in the table, already as the member of a JSON object. */
struct extra {
	struct senml_text name;
	struct senml_text member;  /* "co2":{"v":412,"u":"ppm"} */
	const struct item *before; /* the same name at the same probe and time earlier in the pack, or NULL */
};

struct pack_build {
	const struct pack_limits *limits;
	int64_t now;
	size_t payload_len;
	struct arena *arena;
	struct pack *pack;
	struct item *items; /* in pack order */
	size_t count, room, extras;
	int32_t first; /* `seq` */
	size_t lost_room;
};

/* senml_record_cb: adds one record to the struct pack_build behind `arg`; false is PACK_CONTENT. */
bool pack_record(const struct senml_resolved *r, void *arg, struct err *e);

/* Items become the pack's readings. PACK_OK, PACK_TOO_LARGE (samples) or PACK_CONTENT (numbers run out). */
enum pack_fault pack_finish(struct pack_build *b, struct err *e);

/* The record as a member of the JSON object `extra`; without its value when `sum_only`. */
struct senml_text pack_extra_member(struct arena *arena, struct senml_text name, const struct senml_resolved *r,
				    bool sum_only);

/* What the pseudo-records say: "seq", "epoch", "clock", "rr", "lost". The value has the right type and unit. */
bool pack_seq(struct pack_build *b, const struct senml_resolved *r, struct err *e);
bool pack_epoch(struct pack_build *b, const struct senml_resolved *r, struct err *e);
bool pack_clock(struct pack_build *b, const struct senml_resolved *r, struct err *e);
bool pack_rr(struct pack_build *b, const struct senml_resolved *r, struct err *e);
bool pack_lost(struct pack_build *b, const struct senml_resolved *r, struct err *e);

#endif
