/* SPDX-License-Identifier: Apache-2.0
 *
 * Turns stand in a circle: each has a batch, a store, and the place in the ring where its batch ends. They are filled
 * one after the other and given back one after the other, whichever commits first. When one fails, those behind it are
 * let go too, and everything from the last place given back on is read again; storing twice is storing once. */
#include "ingest/drain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker-bridge/mqtt.h"
#include "broker-bridge/ring.h"
#include "core/backoff.h"
#include "core/clock.h"
#include "core/log.h"
#include "ingest/metrics.h"
#include "ingest/receipt.h"
#include "ingest/store.h"

#define TURNS_MAX 16

static const char object[] = "drain";

/* FREE -> RESOLVING -> STORING -> STORED -> FREE; FAILED -> FREE with a new beginning. */
enum turn_state { TURN_FREE, TURN_RESOLVING, TURN_STORING, TURN_STORED, TURN_FAILED };

struct turn {
	struct drain *drain;
	char name[32];
	struct store *store;
	struct batch batch;
	enum turn_state state;
	bool up;           /* its store is connected */
	uint64_t end;      /* where the batch ends in the ring */
	int64_t closed_at; /* microseconds since 1970 */
};

struct drain {
	struct drain_options options;
	drain_cb *cb;
	void *arg;
	struct ring *ring;
	struct arena *arena; /* of the message being looked at */
	struct mqtt *mqtt;   /* for receipts */
	struct event *wake;  /* the ring's, while asleep */
	struct event *again; /* from the loop: fill turns */
	struct event *tick;  /* a second: gauges, and a look whether a wake-up is missing */
	struct backoff backoff;
	struct turn turns[TURNS_MAX];
	size_t turn_count, oldest, busy; /* those from `oldest` on, `busy` of them, are not free */
	bool online, stopping, stopped, broken, failed;
};

static void fill_soon(struct drain *d)
{
	static const struct timeval at_once = {0};
	event_add(d->again, &at_once);
}

/* ---- online ---- */

static void tell_online(struct drain *d)
{
	bool online = !d->broken && mqtt_connected(d->mqtt) && directory_loaded(d->options.directory);
	for (size_t i = 0; i < d->turn_count; i++)
		online = online && d->turns[i].up;
	if (online == d->online)
		return;
	d->online = online;
	log_info(object, "%s", online ? "online" : "offline");
	d->cb(online ? DRAIN_ONLINE : DRAIN_OFFLINE, d->arg);
}

static void stop_when_idle(struct drain *d)
{
	if (!d->stopping || d->stopped || d->busy > 0)
		return;
	if (!mqtt_stopped(d->mqtt)) {
		mqtt_stop(d->mqtt);
		return;
	}
	d->stopped = true;
	d->cb(DRAIN_STOPPED, d->arg);
}

/* ---- giving back ---- */

static void free_oldest(struct drain *d)
{
	struct turn *t = &d->turns[d->oldest];
	batch_reset(&t->batch);
	t->state = TURN_FREE;
	d->oldest = (d->oldest + 1) % d->turn_count;
	d->busy--;
}

/* After a failure: nothing is given back until all that is in work has ended, and then it is read again. */
static void begin_anew(struct drain *d)
{
	for (size_t i = 0; i < d->busy; i++) {
		enum turn_state state = d->turns[(d->oldest + i) % d->turn_count].state;
		if (state == TURN_STORING || state == TURN_RESOLVING)
			return;
	}
	while (d->busy > 0)
		free_oldest(d);
	ring_rewind(d->ring);
	d->failed = false;
	metric_add(d->options.metrics, M_LANE_DROPS, 1);
	struct timeval wait = backoff_fail(&d->backoff);
	event_add(d->again, &wait);
	stop_when_idle(d);
}

static void give_back(struct drain *d)
{
	while (d->busy > 0 && d->turns[d->oldest].state == TURN_STORED) {
		ring_release(d->ring, d->turns[d->oldest].end);
		free_oldest(d);
	}
	if (d->failed)
		begin_anew(d);
	else
		fill_soon(d);
	stop_when_idle(d);
}

/* ---- storing ---- */

static void fail(struct turn *t)
{
	t->state = TURN_FAILED;
	t->drain->failed = true;
	give_back(t->drain);
}

static void on_stored(bool ok, const struct receipt *receipts, size_t count, void *arg)
{
	struct turn *t = arg;
	struct drain *d = t->drain;
	if (t->state != TURN_STORING)
		return;
	if (!ok) {
		fail(t);
		return;
	}
	backoff_reset(&d->backoff);
	metric_add(d->options.metrics, M_BATCHES, 1);
	metric_observe(d->options.metrics, M_COMMIT_SECONDS, (double)(clock_now_us() - t->closed_at) / 1e6);
	if (mqtt_connected(d->mqtt))
		receipts_send(d->mqtt, object, &t->batch, receipts, count, d->options.metrics);
	t->state = TURN_STORED;
	give_back(d);
}

static void on_resolved(bool ok, void *arg)
{
	struct turn *t = arg;
	if (t->state != TURN_RESOLVING)
		return;
	if (!ok || !t->up) {
		fail(t);
		return;
	}
	batch_resolve(&t->batch, directory_devices(t->drain->options.directory));
	t->state = TURN_STORING;
	store_batch(t->store, &t->batch, on_stored);
}

static void store(struct turn *t)
{
	struct drain *d = t->drain;
	t->end = ring_position(d->ring);
	t->closed_at = clock_now_us();
	d->busy++;
	if (t->batch.unresolved == 0) {
		t->state = TURN_STORING;
		store_batch(t->store, &t->batch, on_stored);
	} else {
		t->state = TURN_RESOLVING;
		directory_refresh(d->options.directory, on_resolved, t);
	}
}

/* ---- reading ---- */

/* The writer's clock is this machine's, or the record is not what it should be. */
static int64_t plausible(int64_t received_us)
{
	const int64_t day = INT64_C(86400000000), now = clock_now_us();
	return received_us > now - 400 * day && received_us <= now + 1000000 ? received_us : now;
}

static void add(struct turn *t, const struct ring_message *r, enum ring_get got)
{
	const struct drain *d = t->drain;
	const struct pack_limits limits = ingest_pack_limits(d->options.config);
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
	batch_add(&t->batch, &m, got == RING_GOT ? plausible(r->received_us) : clock_now_us(),
		  directory_devices(d->options.directory), &limits);
}

static void stop_reading(struct drain *d)
{
	if (!d->broken)
		log_error(object, "THE RING CANNOT BE READ ANY FURTHER: its head lies outside of it. Stop the broker, "
				  "keep the file for a look, make a new one (coldfleet-ring create), start both again");
	d->broken = true;
	tell_online(d);
}

/* Fills the turn; false when there was nothing to fill it with. */
static bool fill_turn(struct turn *t)
{
	struct drain *d = t->drain;
	const struct ingest_config *config = d->options.config;
	while (t->batch.count < (size_t)config->batch_messages && t->batch.readings < (size_t)config->batch_readings) {
		struct ring_message message;
		arena_reset(d->arena);
		enum ring_get got = ring_get(d->ring, d->arena, &message);
		if (got == RING_EMPTY)
			break;
		if (got == RING_BROKEN) {
			stop_reading(d);
			break;
		}
		add(t, &message, got);
	}
	return t->batch.count > 0;
}

/* Fills turns until none is free or there is nothing left; then, and only then, it sleeps. */
static void fill(struct drain *d)
{
	event_del(d->wake);
	while (!d->stopping && !d->failed && !d->broken && directory_loaded(d->options.directory) &&
	       d->busy < d->turn_count) {
		struct turn *t = &d->turns[(d->oldest + d->busy) % d->turn_count];
		if (!t->up)
			return;
		if (fill_turn(t)) {
			store(t);
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
	if (!event_pending(d->again, EV_TIMEOUT, NULL))
		fill(d);
}

/* ---- events ---- */

static void on_store(enum store_event event, void *arg)
{
	struct turn *t = arg;
	t->up = event == STORE_UP;
	tell_online(t->drain);
	if (t->up)
		fill_soon(t->drain);
}

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

static bool add_turns(struct drain *d, struct event_base *base)
{
	const struct ingest_config *config = d->options.config;
	d->turn_count = (size_t)config->lanes < TURNS_MAX ? (size_t)config->lanes : TURNS_MAX;
	for (size_t i = 0; i < d->turn_count; i++) {
		struct turn *t = &d->turns[i];
		t->drain = d;
		snprintf(t->name, sizeof(t->name), "drain-db-%zu", i + 1);
		batch_init(&t->batch);
		t->store = store_new(base, t->name, config->database, d->options.metrics, on_store, t);
	}
	return d->turn_count > 0;
}

static bool connect_parts(struct drain *d, struct event_base *base, struct err *e)
{
	const struct ingest_config *config = d->options.config;
	char client_id[CONFIG_TEXT_MAX + 16];
	d->ring = ring_open(config->ring, RING_READER, e);
	if (d->ring == NULL)
		return false;
	snprintf(client_id, sizeof(client_id), "%s-drain", config->mqtt.client_id);
	struct mqtt_options mqtt = mqtt_config_options(&config->mqtt, object, client_id);
	mqtt.reconnect_first = 0.2;
	mqtt.reconnect_limit = 10;
	d->mqtt = mqtt_new(base, &mqtt, on_mqtt, d, e);
	if (d->mqtt == NULL)
		return false;
	d->wake = event_new(base, ring_wake_fd(d->ring), EV_READ, on_again, d);
	d->again = evtimer_new(base, on_again, d);
	d->tick = event_new(base, -1, EV_PERSIST, on_tick, d);
	if (d->wake == NULL || d->again == NULL || d->tick == NULL)
		abort();
	return add_turns(d, base);
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
	if (!connect_parts(d, base, e))
		drain_free(&d);
	return d;
}

void drain_free(struct drain **dp)
{
	struct drain *d = *dp;
	if (d == NULL)
		return;
	for (size_t i = 0; i < d->turn_count; i++) {
		store_free(&d->turns[i].store);
		batch_fini(&d->turns[i].batch);
	}
	struct event *events[] = {d->wake, d->again, d->tick};
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
	for (size_t i = 0; i < d->turn_count; i++)
		store_start(d->turns[i].store);
}

void drain_directory_loaded(struct drain *d)
{
	tell_online(d);
	fill_soon(d);
}

void drain_stop(struct drain *d)
{
	d->stopping = true;
	event_del(d->wake);
	stop_when_idle(d);
}
