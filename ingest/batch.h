/* SPDX-License-Identifier: Apache-2.0
 *
 * What a source has taken and not yet stored: messages with their raw bytes, decoded. Everything lives in the batch's
 * arena, so an empty batch costs nothing and a full one is freed at once. */
#ifndef COLDFLEET_INGEST_BATCH_H
#define COLDFLEET_INGEST_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker-bridge/mqtt.h"
#include "core/arena.h"
#include "core/err.h"
#include "ingest/devices.h"
#include "ingest/pack.h"
#include "ingest/status.h"

/* The words of telemetry.quarantine.reason beyond those of pack_fault_name(). */
#define REASON_TOPIC          "topic"
#define REASON_UNKNOWN_DEVICE "unknown-device"
#define REASON_CONFLICT       "conflict"
#define REASON_REFUSED        "refused"

struct message {
	const char *topic;
	const uint8_t *payload;
	size_t payload_len;
	const char *content_type; /* NULL: none */
	int64_t received_at;      /* microseconds since 1970 */
	const char *serial;       /* points into topic */
	size_t serial_len;
	int32_t device_id;      /* 0: not known (yet) */
	struct pack pack;       /* empty when it could not be decoded, or is no telemetry */
	struct status status;   /* empty when it could not be decoded, or is none */
	bool is_status;         /* by its topic */
	bool store;             /* what it says is to be stored */
	bool asked;             /* wants a receipt of its samples */
	bool status_asked;      /* wants to be told that the status is stored */
	const char *quarantine; /* reason word, or NULL: not to be quarantined. A message may be both. */
	const char *detail;     /* words to the reason */
	bool kept;              /* its quarantine entry is committed */
};

struct batch {
	struct arena *arena;
	struct message *messages;
	size_t count, limit; /* limit grows */
	size_t readings;
	size_t unresolved; /* messages of devices that were not known when they came */
};

void batch_init(struct batch *b);
void batch_fini(struct batch *b);
void batch_reset(struct batch *b);

/* Copies and decodes one message. Whatever is wrong with it is noted in the message itself. */
void batch_add(struct batch *b, const struct mqtt_message *m, int64_t now, const struct devices *devices,
	       const struct pack_limits *limits);

/* Looks the unresolved messages up again; those still unknown are marked for quarantine. */
void batch_resolve(struct batch *b, const struct devices *devices);

/* Marks a message for quarantine, in words that are safe to store: valid UTF-8 without control characters. */
void message_quarantine(struct batch *b, struct message *m, const char *reason, const char *detail);

#endif
