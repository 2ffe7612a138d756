/* SPDX-License-Identifier: Apache-2.0
 *
 * Each line of the data becomes a field of its own; the empty line ends the event. */
#include "api/sse.h"

#include <inttypes.h>
#include <string.h>

static void put_id(struct evbuffer *to, const struct sse_place *at)
{
	evbuffer_add_printf(to, "id: %" PRIu64 "-%" PRId64 "-%" PRIu64 "\n", at->xid, at->id, at->since);
}

void sse_event(struct evbuffer *to, const struct sse_place *at, const char *type, const char *data)
{
	put_id(to, at);
	evbuffer_add_printf(to, "event: %s\n", type);
	for (const char *line = data;; line++) {
		size_t len = strcspn(line, "\r\n");
		evbuffer_add(to, "data: ", 6);
		evbuffer_add(to, line, len);
		evbuffer_add(to, "\n", 1);
		line += len;
		if (line[0] == '\r' && line[1] == '\n')
			line++;
		if (*line == '\0')
			break;
	}
	evbuffer_add(to, "\n", 1);
}

/* Without data nothing is dispatched, yet the id counts. */
void sse_beat(struct evbuffer *to, const struct sse_place *at)
{
	evbuffer_add_printf(to, ": beat\n");
	if (at != NULL)
		put_id(to, at);
	evbuffer_add(to, "\n", 1);
}

void sse_retry(struct evbuffer *to, double seconds)
{
	evbuffer_add_printf(to, "retry: %.0f\n\n", seconds * 1e3);
}
