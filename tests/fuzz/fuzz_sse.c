/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes are a stream of events: what is read of them does not depend on the pieces that they come in. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ops/ctl/sse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A digest of all that was told (FNV-1a). */
static void digest(uint64_t *d, const char *text)
{
	for (const char *p = text;; p++) {
		*d = (*d ^ (unsigned char)*p) * UINT64_C(1099511628211);
		if (*p == '\0')
			return;
	}
}

static bool on_event(void *arg, const char *type, const char *text, const char *id)
{
	digest(arg, type);
	digest(arg, text);
	digest(arg, id);
	return true;
}

static uint64_t read_in_pieces(const char *data, size_t size, size_t piece)
{
	uint64_t d = UINT64_C(14695981039346656037);
	struct sse *s = sse_new(on_event, &d);
	bool ok = true;
	for (size_t at = 0; ok && at < size; at += piece)
		ok = sse_feed(s, data + at, size - at < piece ? size - at : piece);
	digest(&d, sse_last_id(s));
	d += (uint64_t)sse_pause(s);
	sse_free(&s);
	return d;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	uint64_t whole = read_in_pieces(text, size, size + 1);
	for (size_t piece = 1; piece <= 3; piece++)
		if (read_in_pieces(text, size, piece) != whole)
			abort();
	return 0;
}
