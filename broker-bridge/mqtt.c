/* SPDX-License-Identifier: Apache-2.0
 *
 * libmosquitto as libevent events. The library is told that its loop is external and threaded, so that it queues
 * packets instead of writing them: only write_queued() lets bytes out, and not while acknowledgements are held.
 *
 * Each connection gets a fresh libmosquitto client: nothing of a lost one (queued acknowledgements, half a packet,
 * unacknowledged publishes) can leak into the next, and certificates are read again. */
#include "broker-bridge/mqtt.h"

#include <errno.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "broker-bridge/tls_files.h"
#include "core/backoff.h"
#include "core/clock.h"
#include "core/log.h"

#define READ_BURST      256 /* packets read before other events of the loop get their turn */
#define CONNECT_TIMEOUT 15.0
#define STOP_TIMEOUT    2.0

enum mqtt_state {
	MQTT_DOWN,       /* the timer will connect */
	MQTT_CONNECTING, /* TCP, TLS or CONNACK outstanding; the timer is the deadline */
	MQTT_UP,
	MQTT_STOPPING, /* DISCONNECT is queued; the timer is the deadline */
	MQTT_STOPPED
};

struct mqtt {
	struct event_base *base;
	struct mqtt_options options;
	mqtt_cb *cb;
	void *arg;

	enum mqtt_state state;
	struct mosquitto *mosq;
	struct event *read_event;
	struct event *write_event;
	struct event *timer; /* connect, connect deadline, keepalive, stop deadline: by state */
	struct backoff backoff;

	bool paused;    /* the owner does not want to read */
	bool releasing; /* MQTT_RELEASED is owed */
	size_t held;    /* messages whose PUBACK is queued and must not leave */
	size_t unread;  /* messages since the last MQTT_IDLE */
	char drop_reason[160];
};

static void connect_start(struct mqtt *m);
static void update_events(struct mqtt *m);

void mqtt_library_init(void)
{
	mosquitto_lib_init();
}

void mqtt_library_cleanup(void)
{
	mosquitto_lib_cleanup();
}

static void *check_memory(void *p)
{
	if (p == NULL)
		abort();
	return p;
}

static void tell(struct mqtt *m, const struct mqtt_event *event)
{
	m->cb(m, event, m->arg);
	/* What the owner did there may have written to the library's wake-up socket, which nobody reads: once that is
	 * full, each such write leaves EAGAIN in errno, and the library would take that for "the socket is drained". */
	errno = 0;
}

static void timer_set(struct mqtt *m, double seconds)
{
	struct timeval tv = clock_timeval(seconds);
	event_add(m->timer, &tv);
}

static double keepalive_tick(const struct mqtt *m)
{
	double tick = m->options.keepalive / 8.0;
	return tick < 1 ? 1 : tick > 10 ? 10 : tick;
}

/* ---- the end of a connection ---- */

static void drop_events(struct mqtt *m)
{
	if (m->read_event != NULL)
		event_free(m->read_event);
	if (m->write_event != NULL)
		event_free(m->write_event);
	m->read_event = m->write_event = NULL;
}

static void lost(struct mqtt *m, const char *why)
{
	enum mqtt_state was = m->state;
	char text[sizeof(m->drop_reason)];
	snprintf(text, sizeof(text), "%s", why);
	drop_events(m);
	event_del(m->timer);
	if (m->mosq != NULL)
		mosquitto_destroy(m->mosq);
	m->mosq = NULL;
	m->held = m->unread = 0;
	m->releasing = m->paused = false;
	m->drop_reason[0] = '\0';
	if (was == MQTT_STOPPING) {
		m->state = MQTT_STOPPED;
		log_debug(m->options.name, "stopped");
	} else {
		m->state = MQTT_DOWN;
		struct timeval wait = backoff_fail(&m->backoff);
		log_warn(m->options.name, "%s why=\"%s\" retry_in=%.1fs", was == MQTT_UP ? "lost" : "connect failed",
			 text, (double)wait.tv_sec + (double)wait.tv_usec / 1e6);
		event_add(m->timer, &wait);
	}
	if (was == MQTT_UP || was == MQTT_STOPPING)
		tell(m, &(struct mqtt_event){.type = MQTT_LOST, .why = text});
}

/* Marks the connection for closing from the event loop: never inside a call of the owner's. */
void mqtt_drop(struct mqtt *m, const char *why)
{
	if (m->mosq == NULL || m->drop_reason[0] != '\0')
		return;
	snprintf(m->drop_reason, sizeof(m->drop_reason), "%s", why[0] != '\0' ? why : "dropped");
	event_active(m->timer, EV_TIMEOUT, 0);
}

/* After each call into libmosquitto: true when the connection is gone (and has been cleaned up). */
static bool gone(struct mqtt *m, int rc, int error)
{
	if (rc == MOSQ_ERR_SUCCESS && mosquitto_socket(m->mosq) >= 0)
		return false;
	if (m->drop_reason[0] != '\0') {
		char why[sizeof(m->drop_reason)];
		memcpy(why, m->drop_reason, sizeof(why));
		lost(m, why);
	} else {
		/* The end of the stream in the middle of a packet is MOSQ_ERR_ERRNO without an errno. */
		bool no_error = rc == MOSQ_ERR_SUCCESS || (rc == MOSQ_ERR_ERRNO && error == 0);
		lost(m, no_error               ? mosquitto_strerror(MOSQ_ERR_CONN_LOST)
			: rc == MOSQ_ERR_ERRNO ? strerror(error)
					       : mosquitto_strerror(rc));
	}
	return true;
}

/* ---- callbacks of libmosquitto ---- */

static void on_connect(struct mosquitto *mosq, void *arg, int reason, int flags, const mosquitto_property *properties)
{
	struct mqtt *m = arg;
	(void)mosq, (void)flags, (void)properties;
	if (m->state != MQTT_CONNECTING || m->drop_reason[0] != '\0')
		return; /* stopped or dropped meanwhile */
	if (reason != 0) {
		snprintf(m->drop_reason, sizeof(m->drop_reason), "broker refused the connection: %s",
			 mosquitto_reason_string(reason));
		return; /* loop_read fails next, and gone() tells */
	}
	m->state = MQTT_UP;
	backoff_reset(&m->backoff);
	timer_set(m, keepalive_tick(m));
	log_debug(m->options.name, "connected");
	tell(m, &(struct mqtt_event){.type = MQTT_CONNECTED});
}

static void on_disconnect(struct mosquitto *mosq, void *arg, int reason, const mosquitto_property *properties)
{
	struct mqtt *m = arg;
	(void)mosq, (void)properties;
	if (reason >= 0x80 && m->drop_reason[0] == '\0')
		snprintf(m->drop_reason, sizeof(m->drop_reason), "broker closed the connection: %s",
			 mosquitto_reason_string(reason));
}

static void on_subscribe(struct mosquitto *mosq, void *arg, int mid, int count, const int *granted,
			 const mosquitto_property *properties)
{
	struct mqtt_event event = {.type = MQTT_SUBSCRIBED, .mid = mid};
	(void)mosq, (void)properties;
	for (int i = 0; i < count; i++) {
		if (granted[i] > event.reason)
			event.reason = granted[i];
	}
	tell(arg, &event);
}

static void on_unsubscribe(struct mosquitto *mosq, void *arg, int mid, const mosquitto_property *properties)
{
	(void)mosq, (void)properties;
	tell(arg, &(struct mqtt_event){.type = MQTT_UNSUBSCRIBED, .mid = mid});
}

static void on_publish(struct mosquitto *mosq, void *arg, int mid, int reason, const mosquitto_property *properties)
{
	(void)mosq, (void)properties;
	tell(arg, &(struct mqtt_event){.type = MQTT_PUBLISHED, .mid = mid, .reason = reason});
}

static void on_message(struct mosquitto *mosq, void *arg, const struct mosquitto_message *got,
		       const mosquitto_property *properties)
{
	struct mqtt *m = arg;
	char *content_type = NULL, *response_topic = NULL;
	void *correlation = NULL;
	uint16_t correlation_len = 0;
	(void)mosq;
	if (m->drop_reason[0] != '\0')
		return;
	if (properties != NULL) {
		mosquitto_property_read_string(properties, MQTT_PROP_CONTENT_TYPE, &content_type, false);
		mosquitto_property_read_string(properties, MQTT_PROP_RESPONSE_TOPIC, &response_topic, false);
		mosquitto_property_read_binary(properties, MQTT_PROP_CORRELATION_DATA, &correlation, &correlation_len,
					       false);
	}
	struct mqtt_message message = {
		.topic = got->topic,
		.payload = got->payload,
		.payload_len = (size_t)got->payloadlen,
		.qos = got->qos,
		.retain = got->retain,
		.content_type = content_type,
		.response_topic = response_topic,
		.correlation = correlation,
		.correlation_len = correlation_len,
	};
	m->unread++;
	if (m->options.hold_acks && got->qos > 0)
		m->held++;
	tell(m, &(struct mqtt_event){.type = MQTT_MESSAGE, .message = &message});
	free(content_type);
	free(response_topic);
	free(correlation);
}

/* ---- libevent ---- */

static void write_queued(struct mqtt *m)
{
	if (m->held > 0 || mosquitto_socket(m->mosq) < 0)
		return;
	errno = 0;
	int rc = mosquitto_loop_write(m->mosq, 1);
	if (gone(m, rc, errno))
		return;
	if (m->releasing && !mosquitto_want_write(m->mosq)) {
		m->releasing = false;
		tell(m, &(struct mqtt_event){.type = MQTT_RELEASED});
	}
	if (m->mosq != NULL)
		update_events(m);
}

/* While the TLS handshake runs libmosquitto takes a refused, reset or closed socket for "not yet": look ourselves. */
static bool connect_failed(struct mqtt *m, int fd)
{
	char byte;
	struct sockaddr_storage peer;
	socklen_t peer_len = sizeof(peer);
	ssize_t n = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOTCONN)))
		return false;
	const char *why = n == 0 ? "the broker closed the connection" : strerror(errno);
	/* The socket tells its error once, and the TLS handshake may have had it. */
	if (n == 0 && getpeername(fd, (struct sockaddr *)&peer, &peer_len) != 0)
		why = "Connection refused or reset";
	lost(m, why);
	return true;
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct mqtt *m = arg;
	(void)what;
	if (m->state == MQTT_CONNECTING) {
		if (connect_failed(m, fd))
			return;
		/* The TCP connection stands: loop_read starts or continues the TLS handshake. */
		errno = 0;
		int rc = mosquitto_loop_read(m->mosq, 1);
		if (gone(m, rc, errno))
			return;
	}
	write_queued(m);
	/* When the handshake began before the TCP connection stood, the library asks to write until the handshake is
	 * over. It has written all it could: what is next is an answer, and on_readable() then asks again. */
	if (m->state == MQTT_CONNECTING && m->options.ca_file != NULL)
		event_del(m->write_event);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct mqtt *m = arg;
	bool drained = false;
	(void)what;
	if (m->state == MQTT_CONNECTING && connect_failed(m, fd))
		return;
	for (int i = 0; i < READ_BURST && !drained && !m->paused && m->drop_reason[0] == '\0'; i++) {
		errno = 0;
		int rc = mosquitto_loop_read(m->mosq, 1);
		int error = errno;
		if (gone(m, rc, error))
			return;
		drained = error == EAGAIN || error == EWOULDBLOCK || m->state == MQTT_CONNECTING;
	}
	if ((drained || m->paused) && m->unread > 0) {
		m->unread = 0;
		tell(m, &(struct mqtt_event){.type = MQTT_IDLE});
	}
	update_events(m);
	/* Perhaps there is nothing more, and that must be seen too. */
	if (!drained && !m->paused && m->drop_reason[0] == '\0')
		event_active(m->read_event, EV_READ, 0);
}

/* Registers for what the connection waits for now. */
static void update_events(struct mqtt *m)
{
	bool want_read = !m->paused;
	bool want_write = m->held == 0 && mosquitto_want_write(m->mosq);
	if (want_read)
		event_add(m->read_event, NULL);
	else
		event_del(m->read_event);
	if (want_write)
		event_add(m->write_event, NULL);
}

static void tick(struct mqtt *m)
{
	timer_set(m, keepalive_tick(m));
	/* A PINGREQ would queue behind held acknowledgements: the owner must release or drop in time. */
	if (m->held > 0)
		return;
	int rc = mosquitto_loop_misc(m->mosq);
	if (!gone(m, rc, errno))
		update_events(m);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct mqtt *m = arg;
	(void)fd, (void)what;
	if (m->drop_reason[0] != '\0') {
		char why[sizeof(m->drop_reason)];
		memcpy(why, m->drop_reason, sizeof(why));
		lost(m, why);
		return;
	}
	switch (m->state) {
	case MQTT_DOWN:
		connect_start(m);
		break;
	case MQTT_CONNECTING:
		lost(m, "the broker did not accept the connection in time");
		break;
	case MQTT_UP:
		tick(m);
		break;
	case MQTT_STOPPING:
		lost(m, "stopped");
		break;
	case MQTT_STOPPED:
		break;
	}
}

/* ---- connecting ---- */

static bool configure(struct mqtt *m, struct err *e)
{
	const struct mqtt_options *o = &m->options;
	int rc = mosquitto_int_option(m->mosq, MOSQ_OPT_PROTOCOL_VERSION, MQTT_PROTOCOL_V5);
	if (rc == 0 && o->receive_maximum > 0)
		rc = mosquitto_int_option(m->mosq, MOSQ_OPT_RECEIVE_MAXIMUM, o->receive_maximum);
	if (rc == 0)
		rc = mosquitto_int_option(m->mosq, MOSQ_OPT_TCP_NODELAY, 1);
	if (rc == 0 && o->send_maximum > 0)
		rc = mosquitto_int_option(m->mosq, MOSQ_OPT_SEND_MAXIMUM, o->send_maximum);
	if (rc == 0)
		rc = mosquitto_threaded_set(m->mosq, true);
	if (rc == 0 && o->username != NULL)
		rc = mosquitto_username_pw_set(m->mosq, o->username, o->password);
	if (rc != 0)
		return err_set(e, ERR_CONFIG, "MQTT options: %s", mosquitto_strerror(rc));
	if (o->ca_file != NULL) {
		if (!tls_files_check(o->ca_file, o->cert_file, o->key_file, e))
			return false;
		rc = mosquitto_tls_set(m->mosq, o->ca_file, NULL, o->cert_file, o->key_file, NULL);
		if (rc != 0)
			return err_set(e, ERR_CONFIG, "TLS: %s: cannot use ca=%s cert=%s key=%s",
				       mosquitto_strerror(rc), o->ca_file, o->cert_file ? o->cert_file : "-",
				       o->key_file ? o->key_file : "-");
		rc = mosquitto_tls_opts_set(m->mosq, 1, "tlsv1.2", NULL);
		if (rc != 0)
			return err_set(e, ERR_CONFIG, "TLS options: %s", mosquitto_strerror(rc));
	}
	mosquitto_connect_v5_callback_set(m->mosq, on_connect);
	mosquitto_disconnect_v5_callback_set(m->mosq, on_disconnect);
	mosquitto_subscribe_v5_callback_set(m->mosq, on_subscribe);
	mosquitto_unsubscribe_v5_callback_set(m->mosq, on_unsubscribe);
	mosquitto_publish_v5_callback_set(m->mosq, on_publish);
	mosquitto_message_v5_callback_set(m->mosq, on_message);
	return true;
}

static struct mosquitto *client_new(struct mqtt *m, struct err *e)
{
	errno = 0;
	m->mosq = mosquitto_new(m->options.client_id, false, m);
	if (m->mosq == NULL && errno == ENOMEM)
		abort();
	if (m->mosq == NULL) {
		err_set(e, ERR_CONFIG, "MQTT options: client id: expected 1 to 65535 bytes of UTF-8");
	} else if (m->options.host == NULL) {
		err_set(e, ERR_CONFIG, "MQTT options: host: expected a name, an address or the path of a socket");
		mosquitto_destroy(m->mosq);
		m->mosq = NULL;
	} else if (!configure(m, e)) {
		mosquitto_destroy(m->mosq);
		m->mosq = NULL;
	}
	return m->mosq;
}

static int connect_async(struct mqtt *m)
{
	if (m->options.session_expiry > 0) {
		mosquitto_property *properties = NULL;
		mosquitto_property_add_int32(&properties, MQTT_PROP_SESSION_EXPIRY_INTERVAL, m->options.session_expiry);
		/* The asynchronous connect has no form that takes properties, but uses those that an earlier call left:
		 * without a host this one stores them and goes no further. */
		mosquitto_connect_bind_v5(m->mosq, NULL, 0, m->options.keepalive, NULL, properties);
		mosquitto_property_free_all(&properties);
	}
	return mosquitto_connect_bind_async(m->mosq, m->options.host, m->options.port, m->options.keepalive, NULL);
}

static void connect_start(struct mqtt *m)
{
	struct err e = {0};
	m->state = MQTT_CONNECTING;
	if (client_new(m, &e) == NULL) {
		lost(m, e.detail);
		return;
	}
	errno = 0;
	int rc = connect_async(m);
	if (gone(m, rc, errno))
		return;
	int fd = mosquitto_socket(m->mosq);
	m->read_event = check_memory(event_new(m->base, fd, EV_READ | EV_PERSIST, on_readable, m));
	m->write_event = check_memory(event_new(m->base, fd, EV_WRITE, on_writable, m));
	event_add(m->read_event, NULL);
	event_add(m->write_event, NULL);
	timer_set(m, m->options.connect_timeout);
}

/* ---- the interface ---- */

static const char *copy(const char *text)
{
	return text != NULL && text[0] != '\0' ? check_memory(strdup(text)) : NULL;
}

static void copy_options(struct mqtt_options *to, const struct mqtt_options *from)
{
	*to = *from;
	to->name = copy(from->name);
	to->host = copy(from->host);
	to->client_id = copy(from->client_id);
	to->username = copy(from->username);
	to->password = copy(from->password);
	to->ca_file = copy(from->ca_file);
	to->cert_file = copy(from->cert_file);
	to->key_file = copy(from->key_file);
}

static void free_options(struct mqtt_options *o)
{
	const char *const texts[] = {o->name,     o->host,    o->client_id, o->username,
				     o->password, o->ca_file, o->cert_file, o->key_file};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		free((void *)(uintptr_t)texts[i]);
}

struct mqtt *mqtt_new(struct event_base *base, const struct mqtt_options *options, mqtt_cb *cb, void *arg,
		      struct err *e)
{
	struct mqtt *m = check_memory(calloc(1, sizeof(*m)));
	m->base = base;
	copy_options(&m->options, options);
	m->cb = cb;
	m->arg = arg;
	m->backoff.first = options->reconnect_first > 0 ? options->reconnect_first : 0.2;
	m->backoff.limit = options->reconnect_limit > 0 ? options->reconnect_limit : 10;
	if (m->options.keepalive < 5)
		m->options.keepalive = 30;
	if (m->options.connect_timeout <= 0)
		m->options.connect_timeout = CONNECT_TIMEOUT;
	m->state = MQTT_STOPPED;
	m->timer = check_memory(evtimer_new(base, on_timer, m));
	/* A throw-away client finds bad options now instead of at the first connect. */
	if (client_new(m, e) == NULL) {
		mqtt_free(&m);
		return NULL;
	}
	mosquitto_destroy(m->mosq);
	m->mosq = NULL;
	return m;
}

void mqtt_free(struct mqtt **mp)
{
	struct mqtt *m = *mp;
	if (m == NULL)
		return;
	drop_events(m);
	event_free(m->timer);
	if (m->mosq != NULL)
		mosquitto_destroy(m->mosq);
	free_options(&m->options);
	free(m);
	*mp = NULL;
}

void mqtt_start(struct mqtt *m)
{
	if (m->state != MQTT_STOPPED)
		return;
	m->state = MQTT_DOWN;
	timer_set(m, 0);
}

static void stop(struct mqtt *m, const mosquitto_property *properties)
{
	bool farewell = mqtt_connected(m) && m->held == 0;
	if (m->state == MQTT_STOPPED || m->state == MQTT_STOPPING)
		return;
	m->state = MQTT_STOPPING;
	if (farewell) {
		mosquitto_disconnect_v5(m->mosq, 0, properties);
		timer_set(m, STOP_TIMEOUT);
		update_events(m);
		return;
	}
	if (m->drop_reason[0] == '\0')
		snprintf(m->drop_reason, sizeof(m->drop_reason), "stopped");
	event_active(m->timer, EV_TIMEOUT, 0);
}

void mqtt_stop(struct mqtt *m)
{
	stop(m, NULL);
}

void mqtt_end_session(struct mqtt *m)
{
	mosquitto_property *properties = NULL;
	mosquitto_property_add_int32(&properties, MQTT_PROP_SESSION_EXPIRY_INTERVAL, 0);
	stop(m, properties);
	mosquitto_property_free_all(&properties);
}

bool mqtt_connected(const struct mqtt *m)
{
	return m->state == MQTT_UP && m->drop_reason[0] == '\0';
}

bool mqtt_stopped(const struct mqtt *m)
{
	return m->state == MQTT_STOPPED;
}

static bool queued(struct mqtt *m, int rc, const char *what, struct err *e)
{
	if (rc == MOSQ_ERR_SUCCESS) {
		if (m->read_event != NULL)
			update_events(m);
		return true;
	}
	return err_set(e, rc == MOSQ_ERR_NO_CONN || rc == MOSQ_ERR_CONN_LOST ? ERR_BROKER_LOST : ERR_INVALID, "%s: %s",
		       what, mosquitto_strerror(rc));
}

bool mqtt_subscribe(struct mqtt *m, const char *filter, int qos, struct err *e)
{
	if (!mqtt_connected(m))
		return err_set(e, ERR_BROKER_LOST, "subscribe: not connected");
	return queued(m, mosquitto_subscribe_v5(m->mosq, NULL, filter, qos, 0, NULL), "subscribe", e);
}

bool mqtt_unsubscribe(struct mqtt *m, const char *filter, struct err *e)
{
	if (!mqtt_connected(m))
		return err_set(e, ERR_BROKER_LOST, "unsubscribe: not connected");
	return queued(m, mosquitto_unsubscribe_v5(m->mosq, NULL, filter, NULL), "unsubscribe", e);
}

bool mqtt_publish(struct mqtt *m, const struct mqtt_publish *p, int *mid, struct err *e)
{
	if (!mqtt_connected(m))
		return err_set(e, ERR_BROKER_LOST, "publish: not connected");
	mosquitto_property *properties = NULL;
	if (p->content_type != NULL)
		mosquitto_property_add_string(&properties, MQTT_PROP_CONTENT_TYPE, p->content_type);
	if (p->response_topic != NULL)
		mosquitto_property_add_string(&properties, MQTT_PROP_RESPONSE_TOPIC, p->response_topic);
	if (p->correlation != NULL)
		mosquitto_property_add_binary(&properties, MQTT_PROP_CORRELATION_DATA, p->correlation,
					      p->correlation_len);
	if (p->expiry > 0)
		mosquitto_property_add_int32(&properties, MQTT_PROP_MESSAGE_EXPIRY_INTERVAL, p->expiry);
	int rc = mosquitto_publish_v5(m->mosq, mid, p->topic, (int)p->payload_len, p->payload, p->qos, p->retain,
				      properties);
	mosquitto_property_free_all(&properties);
	return queued(m, rc, "publish", e);
}

void mqtt_pause(struct mqtt *m)
{
	m->paused = true;
	if (m->read_event != NULL)
		event_del(m->read_event);
}

void mqtt_release(struct mqtt *m)
{
	if (!mqtt_connected(m))
		return;
	m->held = 0;
	m->releasing = true;
	/* From the event loop, so that MQTT_RELEASED never comes inside this call. */
	event_active(m->write_event, EV_WRITE, 0);
}

void mqtt_resume(struct mqtt *m)
{
	m->paused = false;
	if (m->read_event != NULL)
		event_add(m->read_event, NULL);
}
