/* SPDX-License-Identifier: Apache-2.0
 *
 * Turns stand in a circle: each has the place in the ring where it ends, and a batch for every shard. A shard is a
 * connection to PostgreSQL and the devices that fall to it by their topic, so that what a device says is committed in
 * the order of the ring: a gap in its sample numbers is then a gap. Turns are filled one after the other, sent one
 * after the other, and given back one after the other. When one fails, those behind it are let go too, and everything
 * from the last place given back on is read again; storing twice is storing once. */
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

#define TURNS      2 /* one is committed, one is read */
#define SHARDS_MAX 16

static const char object[] = "drain";

/* FREE, which is also being filled -> RESOLVING -> READY -> STORING -> STORED -> FREE; FAILED -> FREE with a new
 * beginning. */
enum turn_state { TURN_FREE, TURN_RESOLVING, TURN_READY, TURN_STORING, TURN_STORED, TURN_FAILED };

/* What a turn has for one shard. */
struct part {
	struct turn *turn;
	struct batch batch;
};

struct turn {
	struct drain *drain;
	struct part parts[SHARDS_MAX];
	size_t storing; /* parts that a store has */
	bool failed;    /* one of them */
	enum turn_state state;
	uint64_t end;      /* where it ends in the ring */
	int64_t closed_at; /* microseconds since 1970 */
};

struct shard {
	struct drain *drain;
	char name[32];
	struct store *store;
	bool up; /* its store is connected */
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
	struct shard shards[SHARDS_MAX];
	size_t shard_count;
	struct turn turns[TURNS];
	size_t oldest, busy; /* those from `oldest` on, `busy` of them, are not free */
	bool online, stopping, stopped, broken, failed;
};

static void fill_soon(struct drain *d)
{
	static const struct timeval at_once = {0};
	event_add(d->again, &at_once);
}

/* ---- online ---- */

static bool shards_up(const struct drain *d)
{
	for (size_t i = 0; i < d->shard_count; i++) {
		if (!d->shards[i].up)
			return false;
	}
	return true;
}

static void tell_online(struct drain *d)
{
	bool online = !d->broken && mqtt_connected(d->mqtt) && directory_loaded(d->options.directory) && shards_up(d);
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

static struct turn *turn_at(struct drain *d, size_t after_oldest)
{
	return &d->turns[(d->oldest + after_oldest) % TURNS];
}

static void empty(struct turn *t)
{
	for (size_t i = 0; i < t->drain->shard_count; i++)
		batch_reset(&t->parts[i].batch);
	t->state = TURN_FREE;
	t->failed = false;
}

static void free_oldest(struct drain *d)
{
	empty(turn_at(d, 0));
	d->oldest = (d->oldest + 1) % TURNS;
	d->busy--;
}

/* After a failure: nothing is given back until all that is in work has ended, and then it is read again. */
static void begin_anew(struct drain *d)
{
	for (size_t i = 0; i < d->busy; i++) {
		enum turn_state state = turn_at(d, i)->state;
		if (state == TURN_STORING || state == TURN_RESOLVING)
			return;
	}
	for (size_t i = 0; i < TURNS; i++)
		empty(&d->turns[i]);
	d->busy = 0;
	ring_rewind(d->ring);
	d->failed = false;
	metric_add(d->options.metrics, M_LANE_DROPS, 1);
	struct timeval wait = backoff_fail(&d->backoff);
	event_add(d->again, &wait);
	stop_when_idle(d);
}

static void give_back(struct drain *d)
{
	while (d->busy > 0 && turn_at(d, 0)->state == TURN_STORED) {
		ring_release(d->ring, turn_at(d, 0)->end);
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

static void stored(struct turn *t)
{
	struct drain *d = t->drain;
	backoff_reset(&d->backoff);
	metric_observe(d->options.metrics, M_COMMIT_SECONDS, (double)(clock_now_us() - t->closed_at) / 1e6);
	t->state = TURN_STORED;
	give_back(d);
}

static void on_stored(bool ok, const struct receipt *receipts, size_t count, void *arg)
{
	struct part *part = arg;
	struct turn *t = part->turn;
	struct drain *d = t->drain;
	t->failed |= !ok;
	if (ok)
		metric_add(d->options.metrics, M_BATCHES, 1);
	if (ok && mqtt_connected(d->mqtt))
		receipts_send(d->mqtt, object, &part->batch, receipts, count, d->options.metrics);
	if (--t->storing > 0)
		return;
	if (t->failed)
		fail(t);
	else
		stored(t);
}

static void send_turn(struct turn *t)
{
	struct drain *d = t->drain;
	t->state = TURN_STORING;
	for (size_t i = 0; i < d->shard_count; i++) {
		struct part *part = &t->parts[i];
		if (part->batch.count == 0)
			continue;
		t->storing++;
		store_batch(d->shards[i].store, &part->batch, on_stored, part);
	}
}

/* A turn that waits for the directory holds up those behind it. */
static void send_in_order(struct drain *d)
{
	for (size_t i = 0; i < d->busy && turn_at(d, i)->state != TURN_RESOLVING; i++) {
		if (turn_at(d, i)->state == TURN_READY && !d->failed)
			send_turn(turn_at(d, i));
	}
}

static void on_resolved(bool ok, void *arg)
{
	struct turn *t = arg;
	struct drain *d = t->drain;
	if (t->state != TURN_RESOLVING)
		return;
	if (!ok || !shards_up(d)) {
		fail(t);
		return;
	}
	for (size_t i = 0; i < d->shard_count; i++)
		batch_resolve(&t->parts[i].batch, directory_devices(d->options.directory));
	t->state = TURN_READY;
	if (d->failed)
		begin_anew(d);
	else
		send_in_order(d);
}

static void close_turn(struct turn *t)
{
	struct drain *d = t->drain;
	size_t unresolved = 0;
	for (size_t i = 0; i < d->shard_count; i++)
		unresolved += t->parts[i].batch.unresolved;
	t->end = ring_position(d->ring);
	t->closed_at = clock_now_us();
	t->state = unresolved > 0 ? TURN_RESOLVING : TURN_READY;
	d->busy++;
	if (unresolved > 0)
		directory_refresh(d->options.directory, on_resolved, t);
	else
		send_in_order(d);
}

/* ---- reading ---- */

/* The writer's clock is this machine's, or the record is not what it should be. */
static int64_t plausible(int64_t received_us)
{
	const int64_t day = INT64_C(86400000000), now = clock_now_us();
	return received_us > now - 400 * day && received_us <= now + 1000000 ? received_us : now;
}

static struct batch *batch_of(struct turn *t, const char *topic)
{
	uint32_t hash = 2166136261; /* FNV-1a */
	for (const char *p = topic; *p != '\0'; p++)
		hash = (hash ^ (uint8_t)*p) * 16777619;
	return &t->parts[hash % t->drain->shard_count].batch;
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
	batch_add(batch_of(t, m.topic), &m, got == RING_GOT ? plausible(r->received_us) : clock_now_us(),
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

static bool full(const struct turn *t)
{
	const struct ingest_config *config = t->drain->options.config;
	for (size_t i = 0; i < t->drain->shard_count; i++) {
		const struct batch *b = &t->parts[i].batch;
		if (b->count >= (size_t)config->batch_messages || b->readings >= (size_t)config->batch_readings)
			return true;
	}
	return false;
}

static bool has_messages(const struct turn *t)
{
	for (size_t i = 0; i < t->drain->shard_count; i++) {
		if (t->parts[i].batch.count > 0)
			return true;
	}
	return false;
}

/* Fills the turn; false when the ring was empty first. */
static bool fill_turn(struct turn *t)
{
	struct drain *d = t->drain;
	while (!full(t)) {
		struct ring_message message;
		arena_reset(d->arena);
		enum ring_get got = ring_get(d->ring, d->arena, &message);
		if (got == RING_BROKEN)
			stop_reading(d);
		if (got == RING_EMPTY || got == RING_BROKEN)
			return false;
		add(t, &message, got);
	}
	return true;
}

/* Fills turns until none is free or there is nothing left; then, and only then, it sleeps. A turn that is not full
 * waits for the commit of the one before: a few large batches cost less than many small ones. */
static void fill(struct drain *d)
{
	event_del(d->wake);
	while (!d->stopping && !d->failed && !d->broken && directory_loaded(d->options.directory) && shards_up(d) &&
	       d->busy < TURNS) {
		struct turn *t = turn_at(d, d->busy);
		if (fill_turn(t) || (d->busy == 0 && has_messages(t))) {
			close_turn(t);
		} else if (d->busy > 0) {
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
	if (!event_pending(d->again, EV_TIMEOUT, NULL))
		fill(d);
}

/* ---- events ---- */

static void on_store(enum store_event event, void *arg)
{
	struct shard *shard = arg;
	shard->up = event == STORE_UP;
	tell_online(shard->drain);
	if (shard->up)
		fill_soon(shard->drain);
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

static void add_shards(struct drain *d, struct event_base *base)
{
	const struct ingest_config *config = d->options.config;
	d->shard_count = (size_t)config->lanes < SHARDS_MAX ? (size_t)config->lanes : SHARDS_MAX;
	for (size_t i = 0; i < d->shard_count; i++) {
		struct shard *shard = &d->shards[i];
		shard->drain = d;
		snprintf(shard->name, sizeof(shard->name), "drain-db-%zu", i + 1);
		shard->store = store_new(base, shard->name, config->database, d->options.metrics, on_store, shard);
	}
}

static void add_turns(struct drain *d)
{
	for (size_t i = 0; i < TURNS; i++) {
		struct turn *t = &d->turns[i];
		t->drain = d;
		for (size_t k = 0; k < d->shard_count; k++) {
			t->parts[k].turn = t;
			batch_init(&t->parts[k].batch);
		}
	}
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
	add_shards(d, base);
	add_turns(d);
	if (!connect_parts(d, base, e))
		drain_free(&d);
	return d;
}

void drain_free(struct drain **dp)
{
	struct drain *d = *dp;
	if (d == NULL)
		return;
	for (size_t i = 0; i < d->shard_count; i++) {
		store_free(&d->shards[i].store);
		for (size_t k = 0; k < TURNS; k++)
			batch_fini(&d->turns[k].parts[i].batch);
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
	for (size_t i = 0; i < d->shard_count; i++)
		store_start(d->shards[i].store);
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
