/* SPDX-License-Identifier: Apache-2.0
 *
 * Counts events, keeps the last message. */
#include "mqtt_peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "servers.h"

static void copy_text(char *to, size_t size, const char *from)
{
	snprintf(to, size, "%s", from != NULL ? from : "-");
}

static void take_message(struct peer *p, const struct mqtt_message *m)
{
	size_t len = m->payload_len < sizeof(p->payload) - 1 ? m->payload_len : sizeof(p->payload) - 1;
	memcpy(p->payload, m->payload, len);
	p->payload[len] = '\0';
	p->payload_len = m->payload_len;
	p->qos = m->qos;
	p->retain = m->retain;
	p->correlation_len = m->correlation_len;
	memset(p->correlation, 0, sizeof(p->correlation));
	if (m->correlation != NULL && m->correlation_len < sizeof(p->correlation))
		memcpy(p->correlation, m->correlation, m->correlation_len);
	copy_text(p->topic, sizeof(p->topic), m->topic);
	copy_text(p->content_type, sizeof(p->content_type), m->content_type);
	copy_text(p->response_topic, sizeof(p->response_topic), m->response_topic);
	if (++p->messages == p->pause_after)
		mqtt_pause(p->m);
}

static void on_event(struct mqtt *m, const struct mqtt_event *event, void *arg)
{
	struct peer *p = arg;
	switch (event->type) {
	case MQTT_CONNECTED:
		if (p->connects++ == 0 && p->filter != NULL)
			mqtt_subscribe(m, p->filter, 1, NULL);
		break;
	case MQTT_SUBSCRIBED:
		p->subscribes += event->reason < 0x80;
		break;
	case MQTT_UNSUBSCRIBED:
		break;
	case MQTT_MESSAGE:
		take_message(p, event->message);
		break;
	case MQTT_IDLE:
		p->idles++;
		p->idle_messages = p->messages;
		break;
	case MQTT_PUBLISHED:
		p->published++;
		if (p->chain-- > 0)
			mqtt_publish(m, &(struct mqtt_publish){.topic = "chain", .qos = 1}, NULL, NULL);
		break;
	case MQTT_RELEASED:
		p->released++;
		break;
	case MQTT_LOST:
		p->losses++;
		copy_text(p->why, sizeof(p->why), event->why);
		break;
	}
}

struct peer *peer_new(struct event_base *base, struct mqtt_options options, bool tls)
{
	static unsigned number;
	char id[32];
	struct err e = {0};
	struct peer *p = calloc(1, sizeof(*p));
	snprintf(id, sizeof(id), "peer-%u", number++);
	options.name = "test-mqtt";
	options.keepalive = 30;
	if (options.client_id == NULL)
		options.client_id = id;
	if (options.reconnect_first <= 0)
		options.reconnect_first = options.reconnect_limit = 0.1;
	if (options.host == NULL) {
		options.host = tls ? "127.0.0.1" : broker_socket();
		options.port = tls ? broker_tls_port() : 0;
	}
	if (tls && options.ca_file == NULL) {
		options.ca_file = servers_path("ca.crt");
		options.cert_file = servers_path("client.crt");
		options.key_file = servers_path("client.key");
	}
	p->m = mqtt_new(base, &options, on_event, p, &e);
	if (p->m == NULL) {
		fprintf(stderr, "mqtt_new: %s\n", e.detail);
		exit(1);
	}
	return p;
}

struct peer *peer_up(struct event_base *base, struct mqtt_options options, bool tls, const char *filter)
{
	struct peer *p = peer_new(base, options, tls);
	p->filter = filter;
	mqtt_start(p->m);
	if (!peer_wait(base, filter != NULL ? &p->subscribes : &p->connects, 1, 10)) {
		fprintf(stderr, "not connected within 10 s\n");
		exit(1);
	}
	return p;
}

void peer_free(struct peer *p)
{
	mqtt_free(&p->m);
	free(p);
}

void peer_publish(struct event_base *base, struct peer *p, const char *topic, int first, int count)
{
	int wanted = p->published + count;
	for (int i = first; i < first + count; i++) {
		char payload[16];
		struct err e = {0};
		int len = snprintf(payload, sizeof(payload), "%d", i);
		const struct mqtt_publish message = {
			.topic = topic, .payload = payload, .payload_len = (size_t)len, .qos = 1};
		if (!mqtt_publish(p->m, &message, NULL, &e)) {
			fprintf(stderr, "publish: %s\n", e.detail);
			exit(1);
		}
	}
	if (!peer_wait(base, &p->published, wanted, 10)) {
		fprintf(stderr, "the broker did not take %d messages within 10 s\n", count);
		exit(1);
	}
}

struct wanted {
	const int *counter;
	int least;
};

static bool reached(void *arg)
{
	const struct wanted *w = arg;
	return *w->counter >= w->least;
}

bool peer_wait(struct event_base *base, const int *counter, int least, double seconds)
{
	return loop_until(base, reached, &(struct wanted){counter, least}, seconds);
}

void peer_run(struct event_base *base, double seconds)
{
	static const int never;
	peer_wait(base, &never, 1, seconds);
}
