/* SPDX-License-Identifier: Apache-2.0
 *
 * A batch of replies as they came from the broker, decoded, and as parameters of the statements that record them. A
 * reply is its device's by the topic that it came on; what it says about a command is for the database to judge. */
#ifndef COLDFLEET_BROKER_BRIDGE_BRIDGE_REPLIES_H
#define COLDFLEET_BROKER_BRIDGE_BRIDGE_REPLIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker-bridge/command_message.h"
#include "broker-bridge/mqtt.h"
#include "core/arena.h"
#include "core/pg_array.h"

#define BRIDGE_REPLY_KEPT 65536 /* bytes of a reply that cannot be read which are kept */

struct bridge_reply {
	const char *serial; /* not terminated */
	size_t serial_len;
	const uint8_t *raw;
	size_t raw_len;
	int64_t received_at; /* microseconds since 1970 */
	struct command_reply reply;
	const char *result; /* JSON text, NULL: none */
	const char *bad;    /* why it cannot be read; NULL: it can, and `reply` holds */
};

struct bridge_replies {
	struct arena *arena;
	struct bridge_reply *list;
	size_t count, limit; /* limit grows */
};

void bridge_replies_init(struct bridge_replies *b);
void bridge_replies_fini(struct bridge_replies *b);
void bridge_replies_reset(struct bridge_replies *b);

/* Copies and decodes one message. */
void bridge_replies_add(struct bridge_replies *b, const struct mqtt_message *m, int64_t now);
/* A reply that was read turns into one that could not be; `why` is copied, without control characters. */
void bridge_reply_spoil(struct bridge_replies *b, struct bridge_reply *r, const char *why);

/* Parameters of bridge_record_replies and bridge_bad_replies for list[from..to); how many replies they are. */
size_t bridge_replies_params(struct pg_params *p, const struct bridge_replies *b, size_t from, size_t to);
size_t bridge_replies_bad_params(struct pg_params *p, const struct bridge_replies *b, size_t from, size_t to);

#endif
