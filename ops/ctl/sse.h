/* SPDX-License-Identifier: Apache-2.0
 *
 * Server-Sent Events (WHATWG HTML, 9.2): bytes in, events out, whatever pieces the bytes come in. */
#ifndef COLDFLEET_CTL_SSE_H
#define COLDFLEET_CTL_SSE_H

#include <stdbool.h>
#include <stddef.h>

#define SSE_ID_MAX    256
#define SSE_EVENT_MAX ((size_t)1 << 20) /* bytes of a line or an event; larger ones end the stream */

struct sse;

/* `type` is "message" when the event names none. False: no more. */
typedef bool (*sse_fn)(void *arg, const char *type, const char *data, const char *id);

struct sse *sse_new(sse_fn event, void *arg);
void sse_free(struct sse **s);
/* False when the function said so, or a line or an event is too long. */
bool sse_feed(struct sse *s, const char *data, size_t len);
/* A new connection begins: what was half read is dropped, the last id stays. */
void sse_restart(struct sse *s);
/* Of the last event, for Last-Event-ID; empty before the first one. */
const char *sse_last_id(const struct sse *s);
/* Milliseconds that the server wants between connections; 0 when it did not say. */
long sse_pause(const struct sse *s);

#endif
