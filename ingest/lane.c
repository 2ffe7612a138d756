/* SPDX-License-Identifier: Apache-2.0
 *
 * The lane's state machine:
 *
 *   OFFLINE -> READING -> (RESOLVING ->) COMMITTING -> ACKING -> READING
 *
 * READING takes messages until the socket is drained or the batch is full. RESOLVING asks the directory about serials
 * that nobody knew. COMMITTING waits for the store; the socket is not read, so the broker holds back what is to come.
 * ACKING writes the held acknowledgements and the receipts. When the database is gone the lane disconnects without
 * acknowledging: its session at the broker keeps the messages. */
#include "ingest/lane.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "broker-bridge/mqtt.h"
#include "broker-bridge/topic.h"
#include "core/backoff.h"
#include "core/log.h"
#include "ingest/metrics.h"
#include "ingest/receipt.h"
#include "ingest/store.h"

enum lane_state {
	LANE_STATE_OFFLINE,
	LANE_STATE_READING,
	LANE_STATE_RESOLVING,
	LANE_STATE_COMMITTING,
	LANE_STATE_ACKING
};

static const char *const state_names[] = {"OFFLINE", "READING", "RESOLVING", "COMMITTING", "ACKING"};

/* [from][to] */
static const bool state_allowed[5][5] = {
	[LANE_STATE_OFFLINE] = {[LANE_STATE_READING] = true},
	[LANE_STATE_READING] =
		{[LANE_STATE_OFFLINE] = true, [LANE_STATE_RESOLVING] = true, [LANE_STATE_COMMITTING] = true},
	[LANE_STATE_RESOLVING] = {[LANE_STATE_OFFLINE] = true, [LANE_STATE_COMMITTING] = true},
	[LANE_STATE_COMMITTING] = {[LANE_STATE_OFFLINE] = true, [LANE_STATE_ACKING] = true},
	[LANE_STATE_ACKING] = {[LANE_STATE_OFFLINE] = true, [LANE_STATE_READING] = true},
};

struct lane {
	char name[16];
	char store_name[24];
	enum lane_state state;
	struct lane_options options;
	lane_cb *cb;
	void *arg;
	struct mqtt *mqtt;
	struct store *store;
	struct batch batch;
	struct event *retry; /* after a batch that could not be stored */
	struct event *quiet; /* leaving: nothing has come since it was set */
	struct backoff backoff;
	int64_t batch_closed_at; /* when the last message of the batch had come */
	bool store_up;
	bool online;       /* subscribed, and told so */
	bool in_doubt;     /* the connection that the batch came over is gone: its acknowledgements are void */
	bool unsubscribed; /* leaving: only what waits in the session still comes */
	bool stopping;
	bool stopped;
};

static int64_t now_us(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* ---- state ---- */

static void enter(struct lane *lane, enum lane_state to)
{
	enum lane_state from = lane->state;
	if (!state_allowed[from][to]) {
		log_error(lane->name, "impossible: %s -> %s", state_names[from], state_names[to]);
		abort();
	}
	log_debug(lane->name, "%s -> %s messages=%zu readings=%zu", state_names[from], state_names[to],
		  lane->batch.count, lane->batch.readings);
	lane->state = to;
	if (to == LANE_STATE_OFFLINE && lane->online) {
		lane->online = false;
		lane->cb(lane, LANE_OFFLINE, lane->arg);
	}
}

static void discard_batch(struct lane *lane)
{
	if (lane->batch.count > 0)
		metric_add(lane->options.metrics, M_LANE_DROPS, 1);
	batch_reset(&lane->batch);
}

/* Connects to the broker when there is somewhere to put what it sends. */
static void connect_if_useful(struct lane *lane)
{
	if (lane->stopping || !lane->store_up || !directory_loaded(lane->options.directory) ||
	    event_pending(lane->retry, EV_TIMEOUT, NULL))
		return;
	mqtt_start(lane->mqtt);
}

static void let_go(struct lane *lane)
{
	discard_batch(lane);
	if (lane->state != LANE_STATE_OFFLINE)
		enter(lane, LANE_STATE_OFFLINE);
	mqtt_stop(lane->mqtt);
}

static void stop_when_idle(struct lane *lane)
{
	if (!lane->stopping || lane->stopped || lane->state == LANE_STATE_RESOLVING ||
	    lane->state == LANE_STATE_COMMITTING || lane->state == LANE_STATE_ACKING)
		return;
	if (!mqtt_stopped(lane->mqtt)) {
		mqtt_pause(lane->mqtt);
		mqtt_stop(lane->mqtt);
		return;
	}
	lane->stopped = true;
	lane->cb(lane, LANE_STOPPED, lane->arg);
}

/* ---- leaving ---- */

/* Long enough for a broker that still has messages of this session to send one. */
static const struct timeval quiet_time = {.tv_sec = 2};

static void leave_when_quiet(struct lane *lane)
{
	if (lane->unsubscribed)
		event_add(lane->quiet, &quiet_time);
}

static void on_quiet(evutil_socket_t fd, short what, void *arg)
{
	struct lane *lane = arg;
	(void)fd, (void)what;
	if (lane->state != LANE_STATE_READING || lane->batch.count > 0)
		return; /* back_to_reading() or a new connection comes to it again */
	log_info(lane->name, "left");
	lane->stopping = true;
	mqtt_pause(lane->mqtt);
	mqtt_end_session(lane->mqtt);
}

/* ---- storing ---- */

static void back_to_reading(struct lane *lane)
{
	batch_reset(&lane->batch);
	lane->in_doubt = false;
	backoff_reset(&lane->backoff);
	if (lane->stopping) {
		enter(lane, LANE_STATE_OFFLINE);
		stop_when_idle(lane);
		return;
	}
	if (mqtt_connected(lane->mqtt)) {
		enter(lane, LANE_STATE_READING);
		mqtt_resume(lane->mqtt);
		leave_when_quiet(lane);
		return;
	}
	enter(lane, LANE_STATE_OFFLINE);
	connect_if_useful(lane);
}

static const struct message *message_of(const struct batch *b, int32_t device_id)
{
	for (size_t i = 0; i < b->count; i++) {
		if (b->messages[i].device_id == device_id)
			return &b->messages[i];
	}
	return NULL;
}

static void send_receipts(struct lane *lane, const struct receipt *receipts, size_t count)
{
	struct err e = {0};
	char text[RECEIPT_TEXT_MAX], topic[TOPIC_MAX];
	for (size_t i = 0; i < count; i++) {
		const struct message *m = message_of(&lane->batch, receipts[i].device_id);
		if (m == NULL)
			continue;
		topic_format(topic, m->serial, m->serial_len, TOPIC_RECEIPT);
		struct mqtt_publish publish = {.topic = topic, .payload = text, .content_type = "application/json"};
		publish.payload_len = receipt_format(text, &receipts[i]);
		if (!mqtt_publish(lane->mqtt, &publish, NULL, &e)) {
			log_warn(lane->name, "receipt not sent: %s", e.detail);
			return;
		}
		metric_add(lane->options.metrics, M_RECEIPTS, 1);
	}
}

static void stored(bool ok, const struct receipt *receipts, size_t count, void *arg)
{
	struct lane *lane = arg;
	if (lane->state != LANE_STATE_COMMITTING)
		return; /* let go meanwhile */
	if (!ok) {
		struct timeval wait = backoff_fail(&lane->backoff);
		event_add(lane->retry, &wait);
		let_go(lane);
		return;
	}
	metric_add(lane->options.metrics, M_BATCHES, 1);
	metric_observe(lane->options.metrics, M_COMMIT_SECONDS, (double)(now_us() - lane->batch_closed_at) / 1e6);
	enter(lane, LANE_STATE_ACKING);
	if (lane->in_doubt || !mqtt_connected(lane->mqtt)) {
		back_to_reading(lane);
		return;
	}
	send_receipts(lane, receipts, count);
	mqtt_release(lane->mqtt);
}

static void commit(struct lane *lane)
{
	enter(lane, LANE_STATE_COMMITTING);
	store_batch(lane->store, &lane->batch, stored);
}

static void resolved(bool ok, void *arg)
{
	struct lane *lane = arg;
	if (lane->state != LANE_STATE_RESOLVING)
		return;
	if (!ok) {
		struct timeval wait = backoff_fail(&lane->backoff);
		event_add(lane->retry, &wait);
		let_go(lane);
		return;
	}
	batch_resolve(&lane->batch, directory_devices(lane->options.directory));
	commit(lane);
}

static void close_batch(struct lane *lane)
{
	if (lane->state != LANE_STATE_READING || lane->batch.count == 0)
		return;
	lane->batch_closed_at = now_us();
	mqtt_pause(lane->mqtt);
	if (lane->batch.unresolved == 0) {
		commit(lane);
		return;
	}
	enter(lane, LANE_STATE_RESOLVING);
	directory_refresh(lane->options.directory, resolved, lane);
}

/* ---- events ---- */

static void subscribe(struct lane *lane)
{
	struct err e = {0};
	char filter[CONFIG_TEXT_MAX + 64];
	snprintf(filter, sizeof(filter), "$share/%s/cf/v1/+/telemetry", lane->options.config->share_group);
	bool ok = lane->options.config->leave ? mqtt_unsubscribe(lane->mqtt, filter, &e)
					      : mqtt_subscribe(lane->mqtt, filter, 1, &e);
	if (!ok)
		log_warn(lane->name, "%s", e.detail);
}

static void take(struct lane *lane, const struct mqtt_message *message)
{
	const struct ingest_config *config = lane->options.config;
	struct pack_limits limits = ingest_pack_limits(config);
	if (lane->state != LANE_STATE_READING) {
		/* Cannot be: the socket is read in READING only. An unstored message must not be acknowledged. */
		mqtt_drop(lane->mqtt, "message outside READING");
		lane->in_doubt = true;
		return;
	}
	batch_add(&lane->batch, message, now_us(), directory_devices(lane->options.directory), &limits);
	if (lane->batch.count >= (size_t)config->batch_messages ||
	    lane->batch.readings >= (size_t)config->batch_readings)
		mqtt_pause(lane->mqtt);
}

static void connection_lost(struct lane *lane)
{
	lane->in_doubt = true;
	lane->unsubscribed = false;
	event_del(lane->quiet);
	switch (lane->state) {
	case LANE_STATE_READING:
		discard_batch(lane);
		enter(lane, LANE_STATE_OFFLINE);
		break;
	case LANE_STATE_ACKING:
		back_to_reading(lane);
		break;
	case LANE_STATE_RESOLVING:
	case LANE_STATE_COMMITTING:
		/* What is in work goes on; a new connection must wait until it has ended. */
		mqtt_stop(lane->mqtt);
		break;
	case LANE_STATE_OFFLINE:
		break;
	}
	if (lane->stopping) {
		stop_when_idle(lane);
	} else if (lane->state == LANE_STATE_OFFLINE) {
		if (!lane->store_up || event_pending(lane->retry, EV_TIMEOUT, NULL))
			mqtt_stop(lane->mqtt);
		else
			connect_if_useful(lane);
	}
}

static void on_mqtt(struct mqtt *mqtt, const struct mqtt_event *event, void *arg)
{
	struct lane *lane = arg;
	switch (event->type) {
	case MQTT_CONNECTED:
		lane->in_doubt = false;
		enter(lane, LANE_STATE_READING);
		subscribe(lane);
		break;
	case MQTT_SUBSCRIBED:
		if (event->reason >= 0x80) {
			log_error(lane->name, "the broker refused the subscription reason=0x%x",
				  (unsigned)event->reason);
			mqtt_drop(mqtt, "subscription refused");
			break;
		}
		lane->online = true;
		log_info(lane->name, "online");
		lane->cb(lane, LANE_ONLINE, lane->arg);
		break;
	case MQTT_UNSUBSCRIBED:
		lane->unsubscribed = true;
		leave_when_quiet(lane);
		break;
	case MQTT_MESSAGE:
		take(lane, event->message);
		break;
	case MQTT_IDLE:
		close_batch(lane);
		break;
	case MQTT_RELEASED:
		if (lane->state == LANE_STATE_ACKING)
			back_to_reading(lane);
		break;
	case MQTT_PUBLISHED:
		break;
	case MQTT_LOST:
		connection_lost(lane);
		break;
	}
}

static void on_store(enum store_event event, void *arg)
{
	struct lane *lane = arg;
	lane->store_up = event == STORE_UP;
	if (lane->store_up)
		connect_if_useful(lane);
	else
		let_go(lane);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	connect_if_useful(arg);
}

/* ---- the interface ---- */

struct lane *lane_new(struct event_base *base, const struct lane_options *options, lane_cb *cb, void *arg,
		      struct err *e)
{
	const struct ingest_config *config = options->config;
	char client_id[CONFIG_TEXT_MAX + 16];
	struct lane *lane = calloc(1, sizeof(*lane));
	if (lane == NULL)
		abort();
	lane->options = *options;
	lane->cb = cb;
	lane->arg = arg;
	lane->backoff = (struct backoff){.first = 0.2, .limit = 10};
	snprintf(lane->name, sizeof(lane->name), "lane-%u", options->number);
	snprintf(lane->store_name, sizeof(lane->store_name), "lane-%u-db", options->number);
	snprintf(client_id, sizeof(client_id), "%s-%u", config->client_id, options->number);
	batch_init(&lane->batch);
	lane->retry = evtimer_new(base, on_retry, lane);
	lane->quiet = evtimer_new(base, on_quiet, lane);
	if (lane->retry == NULL || lane->quiet == NULL)
		abort();
	lane->store = store_new(base, lane->store_name, config->database, options->metrics, on_store, lane);
	struct mqtt_options mqtt = {
		.name = lane->name,
		.host = config->mqtt_host,
		.port = (int)config->mqtt_port,
		.client_id = client_id,
		.username = config->mqtt_username,
		.password = options->password,
		.ca_file = config->mqtt_ca,
		.cert_file = config->mqtt_cert,
		.key_file = config->mqtt_key,
		.keepalive = (int)config->keepalive,
		.session_expiry = (uint32_t)config->session_expiry,
		.receive_maximum = (uint16_t)config->batch_messages,
		.hold_acks = true,
		.reconnect_first = 0.2,
		.reconnect_limit = 10,
	};
	lane->mqtt = mqtt_new(base, &mqtt, on_mqtt, lane, e);
	if (lane->mqtt == NULL)
		lane_free(&lane);
	return lane;
}

void lane_free(struct lane **lp)
{
	struct lane *lane = *lp;
	if (lane == NULL)
		return;
	mqtt_free(&lane->mqtt);
	store_free(&lane->store);
	event_free(lane->retry);
	event_free(lane->quiet);
	batch_fini(&lane->batch);
	free(lane);
	*lp = NULL;
}

void lane_start(struct lane *lane)
{
	store_start(lane->store);
}

void lane_directory_loaded(struct lane *lane)
{
	connect_if_useful(lane);
}

void lane_stop(struct lane *lane)
{
	if (lane->stopping)
		return;
	lane->stopping = true;
	stop_when_idle(lane);
}
