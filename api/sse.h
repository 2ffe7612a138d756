/* SPDX-License-Identifier: Apache-2.0
 *
 * Server-Sent Events as text (WHATWG HTML, 9.2), and the ids of ours: how far a reader has come. */
#ifndef COLDFLEET_API_SSE_H
#define COLDFLEET_API_SSE_H

#include <stdint.h>

#include <event2/buffer.h>

/* The last event that was sent (its transaction and number), and the transaction since which states may be missing. */
struct sse_place {
	uint64_t xid;
	int64_t id;
	uint64_t since;
};

/* `data` may have line ends of any kind; `type` has none. */
void sse_event(struct evbuffer *to, const struct sse_place *at, const char *type, const char *data);
/* No event, but a sign of life: who resumes after it has missed nothing before. */
void sse_beat(struct evbuffer *to, const struct sse_place *at); /* NULL: without a place */
void sse_retry(struct evbuffer *to, double seconds);

#endif
