/* SPDX-License-Identifier: Apache-2.0
 *
 * The few MQTT 5 packets of a tracker that only publishes telemetry (QoS 1) and hears receipts (QoS 0), as bytes. For
 * generators: a PUBLISH is encoded once and then only gets another packet identifier. Pure, no allocation. */
#ifndef COLDFLEET_TRACKER_PACKET_H
#define COLDFLEET_TRACKER_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

#define PACKET_SMALL    512         /* bytes that any packet but a PUBLISH fits into, and the head of one */
#define PACKET_IN_MAX   (64 * 1024) /* of a packet that the broker sends */
#define PACKET_TEXT_MAX 128         /* bytes of a topic, client identifier or content type */

/* Control packet types (MQTT 5, 2.1.2). */
enum packet_type {
	PACKET_CONNACK = 2,
	PACKET_PUBLISH = 3,
	PACKET_PUBACK = 4,
	PACKET_SUBACK = 9,
	PACKET_PINGRESP = 13,
	PACKET_DISCONNECT = 14
};

/* Each returns the length. Texts are at most PACKET_TEXT_MAX bytes. */
size_t packet_connect(uint8_t out[PACKET_SMALL], const char *client_id, uint16_t keepalive, uint16_t receive_maximum);
size_t packet_subscribe(uint8_t out[PACKET_SMALL], uint16_t id, const char *filter);
size_t packet_ping(uint8_t out[PACKET_SMALL]);

/* What stands before the payload of a PUBLISH with QoS 1. */
struct packet_head {
	uint8_t bytes[PACKET_SMALL];
	size_t len, id_at;
};
/* `response_topic` may be NULL. */
void packet_head(struct packet_head *h, const char *topic, const char *content_type, const char *response_topic,
		 size_t payload_len);
void packet_head_number(struct packet_head *h, uint16_t id);

/* A packet that the broker sent. */
struct packet {
	enum packet_type type;
	uint16_t id;              /* PUBACK, SUBACK */
	int reason;               /* CONNACK, PUBACK, DISCONNECT; the worst one of a SUBACK */
	uint16_t receive_maximum; /* CONNACK: PUBLISH that may be unacknowledged, 1 or more */
};

/* The first packet of a stream: *used says how many bytes it took, 0 when more are needed. Fails with ERR_DECODE when
 * it is none that a tracker expects. */
bool packet_read(const uint8_t *bytes, size_t len, struct packet *out, size_t *used, struct err *e);

#endif
