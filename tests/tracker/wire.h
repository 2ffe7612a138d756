/* SPDX-License-Identifier: Apache-2.0
 *
 * A tracker's connection for generators: what a broker reads is what libmosquitto sends (MQTT 5, TLS, each PUBLISH a
 * record of its own), for a fraction of the processor time. One write for what is published together, one read for all
 * acknowledgements that wait, nothing allocated, nothing queued. It connects and reconnects by itself. */
#ifndef COLDFLEET_TRACKER_WIRE_H
#define COLDFLEET_TRACKER_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include <event2/event.h>

#include "core/err.h"
#include "tests/tracker/link.h"
#include "tests/tracker/packet.h"

#define WIRE_PAYLOAD_MAX (256 * 1024)

/* What all connections to one broker share. */
struct wire_hub;
/* Resolves the host and reads the CA's certificate. `link` is borrowed. NULL and `e` when that fails. */
struct wire_hub *wire_hub_new(const struct link *link, struct event_base *base, struct err *e);
void wire_hub_free(struct wire_hub **hub);

enum wire_event_type {
	WIRE_UP,       /* accepted by the broker: subscribe, publish */
	WIRE_WRITABLE, /* again, after it was not */
	WIRE_ACKED,    /* `id` with `reason`, 0x80 and more is a refusal */
	WIRE_RECEIVED, /* a message */
	WIRE_LOST      /* was up and is not, or could not come up: `why`; tries again by itself */
};

struct wire_event {
	enum wire_event_type type;
	uint16_t id;
	int reason;
	const char *why;
};

typedef void wire_cb(const struct wire_event *event, void *arg);

struct wire;
/* Not started. NULL and `e` when a certificate is missing or no good. `serial` is borrowed. */
struct wire *wire_new(struct wire_hub *hub, const char *serial, wire_cb *cb, void *arg, struct err *e);
void wire_free(struct wire **w); /* not from within its callback */
void wire_start(struct wire *w);

/* Up, and all that was sent before has been taken by the kernel. */
bool wire_writable(const struct wire *w);
/* PUBLISH that the broker lets be unacknowledged at once. */
uint16_t wire_receive_maximum(const struct wire *w);
/* What is published between the two leaves in one write. In clear text it leaves at once. */
void wire_hold(struct wire *w);
void wire_release(struct wire *w);
/* Over TLS, and until the connection ends: acknowledgements are read when so many wait, or a second later; 1: each. */
void wire_read_at(struct wire *w, int acknowledgements);
/* False when it is not up; WIRE_LOST follows then, but never within these. */
bool wire_subscribe(struct wire *w, uint16_t id, const char *filter);
/* To a wire_writable() one. The number of `head` is set; at most WIRE_PAYLOAD_MAX bytes. */
bool wire_publish(struct wire *w, const struct packet_head *head, const uint8_t *payload, size_t payload_len);

#endif
