/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads the ring into turns and gives its room back as they are stored. When one fails, everything from the last place
 * given back on is read again. */
#include "ingest/drain.h"

#include <stdio.h>
#include <stdlib.h>

#include "broker-bridge/mqtt.h"
#include "broker-bridge/ring.h"
#include "core/backoff.h"
#include "core/clock.h"
#include "core/log.h"
#include "ingest/metrics.h"
#include "ingest/receipt.h"
#include "ingest/turns.h"

/* While a turn waits for its time the ring is looked at so often, in seconds, and the writer need not wake anybody. */
#define LOOK_AGAIN 0.004

static const char object[] = "drain";

struct drain {
	struct drain_options options;
	drain_cb *cb;
	void *arg;
	struct ring *ring;
	struct arena *arena; /* of the message being looked at */
	struct mqtt *mqtt;   /* for receipts */
	struct turns *turns;
	struct event *wake;  /* the ring's, while asleep */
	struct event *tick;  /* a second: gauges, and a look whether a wake-up is missing */
	struct event *retry; /* after a failure */
	struct backoff backoff;
	bool online, stopping, stopped, broken;
};

/* ---- online ---- */

static void tell_online(struct drain *d)
{
	bool online =
		!d->broken && mqtt_connected(d->mqtt) && directory_loaded(d->options.directory) && turns_up(d->turns);
	if (online == d->online)
		return;
	d->online = online;
	log_info(object, "%s", online ? "online" : "offline");
	d->cb(online ? DRAIN_ONLINE : DRAIN_OFFLINE, d->arg);
}

static void stop_when_idle(struct drain *d)
{
	if (!d->stopping || d->stopped || turns_busy(d->turns) > 0)
		return;
	if (!mqtt_stopped(d->mqtt)) {
		mqtt_stop(d->mqtt);
		return;
	}
	d->stopped = true;
	d->cb(DRAIN_STOPPED, d->arg);
}

/* ---- reading ---- */

/* The writer's clock is this machine's, or the record is not what it should be. */
static int64_t plausible(int64_t received_us)
{
	const int64_t day = INT64_C(86400000000), now = clock_now_us();
	return received_us > now - 400 * day && received_us <= now + 1000000 ? received_us : now;
}

static void add(struct drain *d, const struct ring_message *r, enum ring_get got)
{
	struct mqtt_message m = {.topic = r->topic,
				 .payload = r->payload,
				 .payload_len = r->payload_len,
				 .qos = 1,
				 .content_type = r->content_type,
				 .response_topic = r->asks_receipt ? "" : NULL};
	if (got == RING_DAMAGED) {
		log_error(object, "%zu bytes of the ring are no record: they go to quarantine", r->payload_len);
		m.topic = "";
	}
	turns_add(d->turns, &m, got == RING_GOT ? plausible(r->received_us) : clock_now_us());
}

static void stop_reading(struct drain *d)
{
	if (!d->broken)
		log_error(object, "THE RING CANNOT BE READ ANY FURTHER: its head lies outside of it. Stop the broker, "
				  "keep the file for a look, make a new one (coldfleet-ring create), start both again");
	d->broken = true;
	tell_online(d);
}

/* Fills the turn; false when the ring was empty first. */
static bool fill_turn(struct drain *d)
{
	while (!d->broken && !turns_full(d->turns)) {
		struct ring_message message;
		arena_reset(d->arena);
		enum ring_get got = ring_get(d->ring, d->arena, &message);
		if (got == RING_BROKEN)
			stop_reading(d);
		if (got == RING_EMPTY || got == RING_BROKEN)
			return false;
		add(d, &message, got);
	}
	return !d->broken;
}

/* Fills turns until none is free or there is nothing left; then, and only then, it sleeps. */
static void fill(struct drain *d)
{
	event_del(d->wake);
	while (!d->stopping && directory_loaded(d->options.directory) && !event_pending(d->retry, EV_TIMEOUT, NULL) &&
	       turns_room(d->turns)) {
		if (fill_turn(d) || turns_due(d->turns, LOOK_AGAIN)) {
			turns_close(d->turns, ring_position(d->ring));
		} else if (d->broken || turns_busy(d->turns) > 0 || turns_filled(d->turns) > 0) {
			return;
		} else if (ring_sleep(d->ring)) {
			event_add(d->wake, NULL);
			return;
		}
	}
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	fill(arg);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct drain *d = arg;
	struct ring_state state;
	(void)fd, (void)what;
	ring_state(d->ring, &state);
	metric_set(d->options.metrics, M_RING_USED, (double)state.used);
	metric_set(d->options.metrics, M_RING_BYTES, (double)state.bytes);
	metric_set(d->options.metrics, M_RING_HIGHEST, (double)state.highest);
	metric_set(d->options.metrics, M_RING_REFUSED, (double)state.refused);
	/* A writer that was killed between moving head and waking us: the next one wakes us, this is sooner. */
	fill(d);
}

/* ---- events ---- */

static void on_up(bool up, void *arg)
{
	(void)up;
	tell_online(arg);
}

static void on_receipts(const struct batch *batch, const struct receipt *receipts, size_t count, void *arg)
{
	struct drain *d = arg;
	if (mqtt_connected(d->mqtt))
		receipts_send(d->mqtt, object, batch, receipts, count, d->options.metrics);
}

static void on_stored(uint64_t mark, void *arg)
{
	struct drain *d = arg;
	backoff_reset(&d->backoff);
	ring_release(d->ring, mark);
	stop_when_idle(d);
}

static void on_failed(void *arg)
{
	struct drain *d = arg;
	struct timeval wait = backoff_fail(&d->backoff);
	metric_add(d->options.metrics, M_LANE_DROPS, 1);
	ring_rewind(d->ring);
	event_add(d->retry, &wait);
	stop_when_idle(d);
}

static void on_ready(void *arg)
{
	fill(arg);
}

static const struct turns_calls turns_calls = {
	.up = on_up,
	.receipts = on_receipts,
	.stored = on_stored,
	.failed = on_failed,
	.ready = on_ready,
};

static void on_mqtt(struct mqtt *mqtt, const struct mqtt_event *event, void *arg)
{
	struct drain *d = arg;
	(void)mqtt;
	if (event->type != MQTT_CONNECTED && event->type != MQTT_LOST)
		return;
	tell_online(d);
	stop_when_idle(d);
}

/* ---- the interface ---- */

static bool connect_parts(struct drain *d, struct event_base *base, struct err *e)
{
	const struct ingest_config *config = d->options.config;
	char client_id[CONFIG_TEXT_MAX + 16];
	d->ring = ring_open(config->ring, RING_READER, e);
	if (d->ring == NULL)
		return false;
	snprintf(client_id, sizeof(client_id), "%s-drain", config->mqtt.client_id);
	struct mqtt_options mqtt = mqtt_config_options(&config->mqtt, object, client_id);
	d->mqtt = mqtt_new(base, &mqtt, on_mqtt, d, e);
	if (d->mqtt == NULL)
		return false;
	d->wake = event_new(base, ring_wake_fd(d->ring), EV_READ, on_again, d);
	d->retry = evtimer_new(base, on_again, d);
	d->tick = event_new(base, -1, EV_PERSIST, on_tick, d);
	if (d->wake == NULL || d->retry == NULL || d->tick == NULL)
		abort();
	return true;
}

struct drain *drain_new(struct event_base *base, const struct drain_options *options, drain_cb *cb, void *arg,
			struct err *e)
{
	struct drain *d = calloc(1, sizeof(*d));
	if (d == NULL)
		abort();
	d->options = *options;
	d->cb = cb;
	d->arg = arg;
	d->arena = arena_new(1 << 20);
	d->backoff = (struct backoff){.first = 0.2, .limit = 10};
	struct turns_options turns = {.name = object,
				      .shards = (size_t)options->config->connections,
				      .config = options->config,
				      .directory = options->directory,
				      .metrics = options->metrics};
	d->turns = turns_new(base, &turns, &turns_calls, d);
	if (!connect_parts(d, base, e))
		drain_free(&d);
	return d;
}

void drain_free(struct drain **dp)
{
	struct drain *d = *dp;
	if (d == NULL)
		return;
	turns_free(&d->turns);
	struct event *events[] = {d->wake, d->retry, d->tick};
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		if (events[i] != NULL)
			event_free(events[i]);
	}
	mqtt_free(&d->mqtt);
	ring_close(&d->ring);
	arena_free(&d->arena);
	free(d);
	*dp = NULL;
}

void drain_start(struct drain *d)
{
	static const struct timeval second = {.tv_sec = 1};
	event_add(d->tick, &second);
	mqtt_start(d->mqtt);
	turns_start(d->turns);
}

void drain_directory_loaded(struct drain *d)
{
	tell_online(d);
	fill(d);
}

void drain_stop(struct drain *d)
{
	d->stopping = true;
	event_del(d->wake);
	stop_when_idle(d);
}
