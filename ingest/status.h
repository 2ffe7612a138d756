/* SPDX-License-Identifier: Apache-2.0
 *
 * One status message, decoded: what a tracker says about itself (docs/protocol.md), as JSON. Strict, because a status
 * is small and rare: an unknown member or a value outside its bounds refuses the whole, which is kept and can be
 * decoded anew by a later release. Pure: bytes and a content type go in, JSON that holds or a reason comes out. */
#ifndef COLDFLEET_INGEST_STATUS_H
#define COLDFLEET_INGEST_STATUS_H

#include "ingest/pack.h"

struct status {
	const char *json; /* in the arena, terminated: the same members, sorted, without white space */
	bool has_clock;
	int64_t clock; /* microseconds since 1970, what the device's clock said when it sent the status */
	int32_t boot;  /* with uptime: which of the device's statuses it is */
	double uptime; /* seconds */
};

/* Decodes one payload into *out; nothing points into the payload. `content_type` may be NULL. PACK_OK, PACK_EMPTY,
 * PACK_TOO_LARGE (over limits->max_status_bytes), PACK_SYNTAX (no JSON object) or PACK_CONTENT; on anything but PACK_OK
 * `e` says what, where and what was expected ("module.imei: expected 15 digits, got '4901'"), and *out is empty. */
enum pack_fault status_decode(const uint8_t *payload, size_t len, const char *content_type,
			      const struct pack_limits *limits, struct arena *arena, struct status *out, struct err *e);

#endif
