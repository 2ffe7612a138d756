/* SPDX-License-Identifier: Apache-2.0
 *
 * Taking a message: copy, topic, device, payload, in this order. A message that fails any of them is kept whole for
 * quarantine. */
#include "ingest/batch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker-bridge/topic.h"

#define ARENA_KEEP     ((size_t)8 * 1024 * 1024)
#define MESSAGES_FIRST 256

void batch_init(struct batch *b)
{
	*b = (struct batch){.arena = arena_new(ARENA_KEEP), .limit = MESSAGES_FIRST};
	b->messages = malloc(b->limit * sizeof(*b->messages));
	if (b->messages == NULL)
		abort();
}

void batch_fini(struct batch *b)
{
	arena_free(&b->arena);
	free(b->messages);
	b->messages = NULL;
}

void batch_reset(struct batch *b)
{
	arena_reset(b->arena);
	b->count = b->readings = b->unresolved = 0;
}

static struct message *next_message(struct batch *b)
{
	if (b->count == b->limit) {
		b->limit *= 2;
		b->messages = realloc(b->messages, b->limit * sizeof(*b->messages));
		if (b->messages == NULL)
			abort();
	}
	struct message *m = &b->messages[b->count++];
	*m = (struct message){0};
	return m;
}

void message_quarantine(struct batch *b, struct message *m, const char *reason, const char *detail)
{
	char *text = arena_text(b->arena, detail, strlen(detail));
	for (char *p = text; *p != '\0'; p++) {
		unsigned char c = (unsigned char)*p;
		if (c < 0x20 || c >= 0x7f)
			*p = '?';
	}
	m->quarantine = reason;
	m->detail = text;
}

static void decode_telemetry(struct batch *b, struct message *m, const struct pack_limits *limits)
{
	struct err e = {0};
	enum pack_fault fault = pack_decode(m->payload, m->payload_len, m->content_type, m->received_at, limits,
					    b->arena, &m->pack, &e);
	if (fault != PACK_OK) {
		message_quarantine(b, m, pack_fault_name(fault), e.detail);
		return;
	}
	/* Readings outside the time window stay out of the table, but the message is kept: nothing is lost. */
	if (m->pack.rejected > 0)
		message_quarantine(b, m, pack_fault_name(PACK_CLOCK), m->pack.rejected_why.detail);
	m->store = true;
	m->asked |= m->pack.wants_receipt;
	b->readings += m->pack.reading_count;
}

static void decode_status(struct batch *b, struct message *m, const struct pack_limits *limits)
{
	struct err e = {0};
	enum pack_fault fault =
		status_decode(m->payload, m->payload_len, m->content_type, limits, b->arena, &m->status, &e);
	m->is_status = true;
	m->status_asked = m->asked;
	m->asked = false;
	if (fault != PACK_OK)
		message_quarantine(b, m, pack_fault_name(fault), e.detail);
	else
		m->store = true;
}

typedef void decoder(struct batch *b, struct message *m, const struct pack_limits *limits);

static decoder *const decoders[TOPIC_LEAVES] = {[TOPIC_TELEMETRY] = decode_telemetry, [TOPIC_STATUS] = decode_status};

void batch_add(struct batch *b, const struct mqtt_message *in, int64_t now, const struct devices *devices,
	       const struct pack_limits *limits)
{
	struct err e = {0};
	struct topic topic;
	struct message *m = next_message(b);
	m->topic = arena_text(b->arena, in->topic, strlen(in->topic));
	m->payload = arena_copy(b->arena, in->payload, in->payload_len);
	m->payload_len = in->payload_len;
	if (in->content_type != NULL)
		m->content_type = arena_text(b->arena, in->content_type, strlen(in->content_type));
	m->received_at = now;
	if (!topic_parse(m->topic, strlen(m->topic), &topic, &e)) {
		message_quarantine(b, m, REASON_TOPIC, e.detail);
		return;
	}
	if (decoders[topic.leaf] == NULL) {
		message_quarantine(b, m, REASON_TOPIC, "topic: expected the leaf telemetry or status");
		return;
	}
	m->serial = topic.serial;
	m->serial_len = topic.serial_len;
	m->device_id = devices_find(devices, m->serial, m->serial_len);
	if (m->device_id == 0)
		b->unresolved++;
	m->asked = in->response_topic != NULL;
	decoders[topic.leaf](b, m, limits);
}

void batch_resolve(struct batch *b, const struct devices *devices)
{
	for (size_t i = 0; i < b->count; i++) {
		struct message *m = &b->messages[i];
		if (m->device_id != 0 || m->serial == NULL)
			continue;
		m->device_id = devices_find(devices, m->serial, m->serial_len);
		if (m->device_id != 0)
			continue;
		m->store = false;
		message_quarantine(b, m, REASON_UNKNOWN_DEVICE,
				   arena_format(b->arena, "no device has the serial %.*s; register it, then replay",
						(int)m->serial_len, m->serial));
	}
	b->unresolved = 0;
}
