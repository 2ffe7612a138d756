/* SPDX-License-Identifier: Apache-2.0
 *
 * One MQTT connection as libevent events, on libmosquitto. It connects and reconnects by itself (back-off with
 * jitter), keeps its session (clean start off), and tells what happens through one callback.
 *
 * Acknowledgements can be held: in mode `hold_acks` libmosquitto queues each PUBACK and nothing is written until
 * mqtt_release(). That is how "acknowledge after commit" is made.
 *
 * Nobody else sees the file descriptor or a libmosquitto type. */
#ifndef COLDFLEET_BROKER_BRIDGE_MQTT_H
#define COLDFLEET_BROKER_BRIDGE_MQTT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <event2/event.h>

#include "core/err.h"

struct mqtt;

struct mqtt_options {
	const char *name; /* object name in logs */
	const char *host; /* name or address, or the absolute path of a Unix socket (then port 0) */
	int port;
	const char *client_id;
	const char *username, *password;  /* NULL: none */
	const char *ca_file;              /* PEM; NULL: clear text, for loopback and Unix sockets only */
	const char *cert_file, *key_file; /* PEM; NULL: no client certificate */
	int keepalive;                    /* seconds, 5..65535 */
	uint32_t session_expiry;          /* seconds that the broker keeps the session; 0: ends with the connection */
	uint16_t receive_maximum;         /* QoS 1 messages the broker may send before an acknowledgement; 0: default */
	uint16_t send_maximum;            /* QoS 1 messages to the broker before an acknowledgement, if it allows as
					   * many; 0: 20. Those beyond wait in memory and leave one by one */
	bool hold_acks;                   /* see above */
	double reconnect_first, reconnect_limit; /* seconds; 0: 0.2 and 10 */
	double connect_timeout;                  /* seconds until the broker has accepted; 0: 15 */
};

struct mqtt_message {
	const char *topic;
	const uint8_t *payload;
	size_t payload_len;
	int qos;
	bool retain;
	const char *content_type;   /* MQTT 5 property or NULL */
	const char *response_topic; /* MQTT 5 property or NULL */
	const void *correlation;    /* MQTT 5 correlation data or NULL */
	size_t correlation_len;
};

enum mqtt_event_type {
	MQTT_CONNECTED,  /* CONNACK success: subscribe, publish */
	MQTT_SUBSCRIBED, /* `reason` is the worst of the granted codes: >= 0x80 is a refusal */
	MQTT_UNSUBSCRIBED,
	MQTT_MESSAGE,   /* `message`, valid during the callback */
	MQTT_IDLE,      /* nothing more to read for now, or paused: the messages since the last MQTT_IDLE are a natural
			 * batch. Over TLS some messages may still come between mqtt_pause() and this. */
	MQTT_PUBLISHED, /* QoS 1 acknowledged by the broker: `mid`, `reason` (0, 0x10 no subscriber, >= 0x80 refused) */
	MQTT_RELEASED,  /* every held acknowledgement was handed to the kernel */
	MQTT_LOST,      /* connection gone, `why`; a reconnect follows by itself unless mqtt_stop() was called */
};

struct mqtt_event {
	enum mqtt_event_type type;
	const struct mqtt_message *message;
	int mid;
	int reason;
	const char *why;
};

typedef void mqtt_cb(struct mqtt *m, const struct mqtt_event *event, void *arg);

/* Strings in `options` are copied. Returns NULL and fills `e` on bad options (unreadable certificate and so on). */
struct mqtt *mqtt_new(struct event_base *base, const struct mqtt_options *options, mqtt_cb *cb, void *arg,
		      struct err *e);
/* Not from within its own callback. */
void mqtt_free(struct mqtt **m);

/* Connects, and from then on reconnects, until mqtt_stop(). No effect when already started. */
void mqtt_start(struct mqtt *m);
/* Sends DISCONNECT when nothing is held and it can be written, closes, and does not come back. MQTT_LOST follows. */
void mqtt_stop(struct mqtt *m);
/* As mqtt_stop(), and the broker forgets the session with all that still waits in it. */
void mqtt_end_session(struct mqtt *m);
/* Closes the socket at once; held acknowledgements are never sent; reconnects after the back-off. MQTT_LOST follows. */
void mqtt_drop(struct mqtt *m, const char *why);

bool mqtt_connected(const struct mqtt *m);
/* Not started, or stopped and told so: nothing will happen until mqtt_start(). */
bool mqtt_stopped(const struct mqtt *m);

bool mqtt_subscribe(struct mqtt *m, const char *filter, int qos, struct err *e);

/* MQTT_UNSUBSCRIBED follows, also when there was no such subscription. */
bool mqtt_unsubscribe(struct mqtt *m, const char *filter, struct err *e);

struct mqtt_publish {
	const char *topic;
	const void *payload;
	size_t payload_len;
	int qos;
	const char *content_type;   /* NULL: none */
	const char *response_topic; /* NULL: none */
	const void *correlation;    /* NULL: none */
	uint16_t correlation_len;
	uint32_t expiry; /* seconds; 0: none */
	bool retain;     /* the broker keeps it for later subscribers */
};
/* *mid (may be NULL) is what MQTT_PUBLISHED will carry. Fails with ERR_BROKER_LOST while not connected: nothing is
 * queued for later. QoS 1 messages without MQTT_PUBLISHED are forgotten when the connection is lost. */
bool mqtt_publish(struct mqtt *m, const struct mqtt_publish *p, int *mid, struct err *e);

/* hold_acks: stop reading (a batch is full, or being stored). Messages still to come stay in the socket. */
void mqtt_pause(struct mqtt *m);
/* hold_acks: write what is held; MQTT_RELEASED when the kernel has it. */
void mqtt_release(struct mqtt *m);
void mqtt_resume(struct mqtt *m);

/* libmosquitto's process-wide state; call once in main before the first mqtt_new and after the last mqtt_free. */
void mqtt_library_init(void);
void mqtt_library_cleanup(void);

#endif
