/* SPDX-License-Identifier: Apache-2.0
 *
 * coldfleet_broker.so, a plugin of Mosquitto 2.0 (plugin interface 5): each telemetry message that the broker has
 * accepted, after its access control, goes into the ring that ingest reads. Nothing is delivered for it and nothing
 * acknowledged to a subscriber; other subscribers of the same topics get theirs as ever.
 *
 * The broker has one thread, so nothing here waits. A message that finds the ring full is refused in its PUBACK, reason
 * 0x87, or, before MQTT 5, where a PUBACK has no reason, by the end of its connection: the tracker keeps it and sends
 * it again later. From then on all are refused until half of the ring is free, so that what a tracker sends next is
 * not taken while what it sent before was not. Options: `plugin_opt_ring FILE`. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <mosquitto.h>
#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>
#include <mqtt_protocol.h>

#include "broker-bridge/ring.h"
#include "broker-bridge/topic.h"
#include "core/clock.h"

#define REMIND_AFTER 10 /* seconds between two lines in the log about a full ring */

struct plugin {
	mosquitto_plugin_id_t *id;
	struct ring *ring;
	time_t said_at;
	unsigned long refused; /* since the last line */
	bool full;             /* it was, and half of it is not free yet */
};

/* The broker finds these by name; nothing else of this module is seen. */
#define ENTRY __attribute__((visibility("default")))
ENTRY int mosquitto_plugin_version(int version_count, const int *versions);
ENTRY int mosquitto_plugin_init(mosquitto_plugin_id_t *id, void **user_data, struct mosquitto_opt *options, int count);
ENTRY int mosquitto_plugin_cleanup(void *user_data, struct mosquitto_opt *options, int count);

static void say_refused(struct plugin *p, const char *why)
{
	time_t now = time(NULL);
	p->refused++;
	if (now - p->said_at < REMIND_AFTER)
		return;
	mosquitto_log_printf(MOSQ_LOG_WARNING, "coldfleet: the ring is %s: %lu messages left to their trackers", why,
			     p->refused);
	p->said_at = now;
	p->refused = 0;
}

static const mosquitto_property *find_property(const mosquitto_property *list, int identifier)
{
	while (list != NULL && mosquitto_property_identifier(list) != identifier)
		list = mosquitto_property_next(list);
	return list;
}

static bool still_full(struct plugin *p)
{
	struct ring_state state;
	if (!p->full)
		return false;
	ring_state(p->ring, &state);
	p->full = state.used > state.bytes / 2;
	return p->full;
}

static enum ring_put try(struct plugin *p, const struct ring_message *m)
{
	if (!still_full(p))
		return ring_put(p->ring, m);
	ring_refuse(p->ring);
	return RING_FULL;
}

static int put(struct plugin *p, const struct ring_message *m, const struct mosquitto *client)
{
	switch (try(p, m)) {
	case RING_PUT:
		return MOSQ_ERR_SUCCESS;
	case RING_FULL:
		p->full = true;
		say_refused(p, "full");
		if (mosquitto_client_protocol_version(client) == 5)
			return MOSQ_ERR_ACL_DENIED; /* is PUBACK 0x87; before MQTT 5 it would be a PUBACK like any */
		break;
	case RING_TOO_LARGE:
		say_refused(p, "too small for one of them");
		break;
	}
	return MOSQ_ERR_NOMEM; /* ends the connection */
}

static int on_message(int event, void *event_data, void *user_data)
{
	const struct mosquitto_evt_message *m = event_data;
	struct plugin *p = user_data;
	struct topic topic;
	char *content_type = NULL;
	size_t topic_len = strlen(m->topic);
	(void)event;
	if (!topic_parse(m->topic, topic_len, &topic, NULL) || topic.leaf != TOPIC_TELEMETRY)
		return MOSQ_ERR_SUCCESS;
	struct ring_message message = {
		.received_us = clock_now_us(),
		.topic = m->topic,
		.topic_len = topic_len,
		.asks_receipt = find_property(m->properties, MQTT_PROP_RESPONSE_TOPIC) != NULL,
		.payload = m->payload,
		.payload_len = m->payloadlen,
	};
	const mosquitto_property *type = find_property(m->properties, MQTT_PROP_CONTENT_TYPE);
	if (type != NULL &&
	    mosquitto_property_read_string(type, MQTT_PROP_CONTENT_TYPE, &content_type, false) != NULL) {
		message.content_type = content_type;
		/* No content type that means anything is that long; ingest says what it thinks of the rest of it. */
		message.content_type_len = strnlen(content_type, RING_CONTENT_MAX);
	}
	int result = put(p, &message, m->client);
	free(content_type);
	return result;
}

int mosquitto_plugin_version(int version_count, const int *versions)
{
	for (int i = 0; i < version_count; i++) {
		if (versions[i] == MOSQ_PLUGIN_VERSION)
			return MOSQ_PLUGIN_VERSION;
	}
	return -1;
}

static const char *ring_path(const struct mosquitto_opt *options, int count)
{
	const char *path = NULL;
	for (int i = 0; i < count; i++) {
		if (strcmp(options[i].key, "ring") == 0) {
			path = options[i].value;
		} else {
			mosquitto_log_printf(MOSQ_LOG_ERR, "coldfleet: unknown plugin_opt_%s, expected plugin_opt_ring",
					     options[i].key);
			return NULL;
		}
	}
	if (path == NULL)
		mosquitto_log_printf(MOSQ_LOG_ERR, "coldfleet: expected plugin_opt_ring FILE");
	return path;
}

int mosquitto_plugin_init(mosquitto_plugin_id_t *id, void **user_data, struct mosquitto_opt *options, int count)
{
	struct err e = {0};
	const char *path = ring_path(options, count);
	if (path == NULL)
		return MOSQ_ERR_INVAL;
	struct plugin *p = calloc(1, sizeof(*p));
	if (p == NULL)
		return MOSQ_ERR_NOMEM;
	p->id = id;
	p->ring = ring_open(path, RING_WRITER, &e);
	if (p->ring == NULL) {
		mosquitto_log_printf(MOSQ_LOG_ERR, "coldfleet: %s", e.detail);
		free(p);
		return MOSQ_ERR_INVAL;
	}
	int rc = mosquitto_callback_register(id, MOSQ_EVT_MESSAGE, on_message, NULL, p);
	if (rc != MOSQ_ERR_SUCCESS) {
		ring_close(&p->ring);
		free(p);
		return rc;
	}
	struct ring_state state;
	ring_state(p->ring, &state);
	mosquitto_log_printf(MOSQ_LOG_INFO, "coldfleet: telemetry goes into the ring %s, %llu of %llu bytes in use",
			     path, (unsigned long long)state.used, (unsigned long long)state.bytes);
	*user_data = p;
	return MOSQ_ERR_SUCCESS;
}

int mosquitto_plugin_cleanup(void *user_data, struct mosquitto_opt *options, int count)
{
	struct plugin *p = user_data;
	(void)options, (void)count;
	if (p == NULL)
		return MOSQ_ERR_SUCCESS;
	mosquitto_callback_unregister(p->id, MOSQ_EVT_MESSAGE, on_message, NULL);
	ring_close(&p->ring);
	free(p);
	return MOSQ_ERR_SUCCESS;
}
