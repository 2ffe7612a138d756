/* SPDX-License-Identifier: Apache-2.0
 *
 * One MQTT connection of a test, with what it was told so far. */
#ifndef COLDFLEET_TESTS_UNIT_MQTT_PEER_H
#define COLDFLEET_TESTS_UNIT_MQTT_PEER_H

#include "broker-bridge/mqtt.h"

struct peer {
	struct mqtt *m;
	const char *filter; /* subscribed on the first connect; NULL: none */
	int connects, subscribes, messages, idles, published, released, losses;
	int pause_after;   /* pauses itself at this many messages; 0: never */
	int chain;         /* publishes this many more, each when the one before is acknowledged */
	int idle_messages; /* messages at the last MQTT_IDLE */
	char why[200];     /* of the last loss */
	char payload[32];  /* of the last message, cut off */
	size_t payload_len;
	char topic[64], content_type[64], response_topic[64];
	char correlation[16]; /* terminated */
	size_t correlation_len;
	int qos;
	bool retain;
};

/* Fills in what `options` leaves open (a Unix socket, a client id of its own, quick reconnects), over TLS when `tls`.
 */
struct peer *peer_new(struct event_base *base, struct mqtt_options options, bool tls);
/* And waits until it is connected and subscribed. */
struct peer *peer_up(struct event_base *base, struct mqtt_options options, bool tls, const char *filter);
void peer_free(struct peer *p);

/* QoS 1 messages whose payload is their number, from `first` on; waits until the broker has them. */
void peer_publish(struct event_base *base, struct peer *p, const char *topic, int first, int count);

/* Waits until a counter of a peer reaches `least`. */
bool peer_wait(struct event_base *base, const int *counter, int least, double seconds);
/* Turns the loop for a while. */
void peer_run(struct event_base *base, double seconds);

#endif
