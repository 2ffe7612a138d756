/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as a status: it is refused with words, or taken as text that is a status again, the same one. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ingest/status.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct pack_limits limits = PACK_LIMITS_DEFAULT;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct arena *arena;
	const struct pack_limits wide = {.max_status_bytes = SIZE_MAX};
	struct status status, again;
	struct err e = {0};
	if (arena == NULL)
		arena = arena_new(1 << 20);
	enum pack_fault fault = status_decode(data, size, NULL, &limits, arena, &status, &e);
	if ((fault == PACK_OK) != (status.json != NULL) || (fault != PACK_OK) != (e.detail[0] != '\0'))
		abort();
	if (fault == PACK_OK) {
		/* Numbers may become longer when they are written anew. */
		const uint8_t *text = (const uint8_t *)status.json;
		if (status_decode(text, strlen(status.json), "application/json", &wide, arena, &again, &e) != PACK_OK ||
		    strcmp(status.json, again.json) != 0 || status.has_clock != again.has_clock ||
		    status.clock != again.clock)
			abort();
	}
	arena_reset(arena);
	return 0;
}
