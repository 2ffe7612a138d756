/* SPDX-License-Identifier: Apache-2.0
 *
 * Turns stand in a circle. Each is FREE, which is also being filled -> RESOLVING, when it has serials that nobody knew
 * -> READY -> STORING -> STORED -> FREE; or FAILED: then those behind it are let go too. Storing twice is storing once,
 * so whoever reads it all again does no harm.
 *
 * Turns are narrow, all for the first shard, until some in a row are full before those before them are stored; then
 * wide, until there has been work for one shard only for a while. Neither is sent before the last of the other kind is
 * stored: a device may have been another shard's. */
#include "ingest/turns.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "ingest/metrics.h"

#define TURNS      3 /* one is committed, one is read, and one takes what still comes when both are closed */
#define SHARDS_MAX 16
#define ENOUGH     4  /* a turn with this part of the readings of a full one does not wait for more */
#define LATE       2  /* turns in a row that were full too early, until they are wide */
#define CALM       25 /* turns without that, after which they are narrow if one shard had time for all of their work */

enum turn_state { TURN_FREE, TURN_RESOLVING, TURN_READY, TURN_STORING, TURN_STORED, TURN_FAILED };

/* What a turn has for one shard. */
struct part {
	struct turn *turn;
	struct batch batch;
};

struct turn {
	struct turns *turns;
	struct part parts[SHARDS_MAX];
	size_t count, width; /* messages, and shards that they are for */
	size_t storing;      /* parts that a store has */
	bool failed;         /* one of them */
	enum turn_state state;
	uint64_t mark;
	double closed_at, sent_at; /* clock_seconds() */
};

struct shard {
	struct turns *turns;
	char name[48];
	struct store *store;
	bool up; /* its store is connected */
};

struct turns {
	struct turns_options options;
	const struct turns_calls *calls;
	void *arg;
	struct event *look; /* from the loop: `ready` */
	struct shard shards[SHARDS_MAX];
	size_t shard_count;
	struct turn circle[TURNS];
	size_t oldest, busy; /* those from `oldest` on, `busy` of them, are not free; the next one is being filled */
	double closed_at;    /* the last one */
	size_t width;        /* of the next one */
	size_t late;         /* turns in a row that were full too early */
	size_t seen;         /* turns since the width was last thought over */
	double since;        /* when that was, clock_seconds() */
	double worked;       /* seconds of storing since then, of all shards together */
	bool failed;
};

static struct turn *turn_at(struct turns *t, size_t after_oldest)
{
	return &t->circle[(t->oldest + after_oldest) % TURNS];
}

/* ---- what is being filled ---- */

bool turns_up(const struct turns *t)
{
	for (size_t i = 0; i < t->shard_count; i++) {
		if (!t->shards[i].up)
			return false;
	}
	return true;
}

bool turns_room(const struct turns *t)
{
	return t->busy + 1 < TURNS && !t->failed && turns_up(t);
}

size_t turns_busy(const struct turns *t)
{
	return t->busy;
}

size_t turns_filled(struct turns *t)
{
	return t->busy < TURNS ? turn_at(t, t->busy)->count : 0;
}

static struct batch *batch_of(struct turns *t, const char *topic)
{
	struct turn *turn = turn_at(t, t->busy);
	uint32_t hash = 2166136261; /* FNV-1a */
	if (turn->count++ == 0)
		turn->width = t->width;
	for (const char *p = topic; turn->width > 1 && *p != '\0'; p++)
		hash = (hash ^ (uint8_t)*p) * 16777619;
	return &turn->parts[hash % turn->width].batch;
}

void turns_add(struct turns *t, const struct mqtt_message *message, int64_t received_at)
{
	const struct pack_limits limits = ingest_pack_limits(t->options.config);
	batch_add(batch_of(t, message->topic), message, received_at, directory_devices(t->options.directory), &limits);
}

bool turns_full(struct turns *t)
{
	const struct ingest_config *config = t->options.config;
	for (size_t i = 0; i < t->shard_count; i++) {
		const struct batch *b = &turn_at(t, t->busy)->parts[i].batch;
		if (b->count >= (size_t)config->batch_messages || b->readings >= (size_t)config->batch_readings)
			return true;
	}
	return false;
}

/* `ready` comes from the loop, in so many seconds. */
static void look_in(struct turns *t, double seconds)
{
	struct timeval wait = clock_timeval(seconds);
	event_add(t->look, &wait);
}

static bool enough(struct turns *t)
{
	const struct turn *turn = turn_at(t, t->busy);
	size_t readings = 0;
	for (size_t i = 0; i < t->shard_count; i++)
		readings += turn->parts[i].batch.readings;
	return readings >= (size_t)t->options.config->batch_readings / ENOUGH;
}

bool turns_due(struct turns *t, double look_again)
{
	if (t->busy > 0 || t->failed || turns_filled(t) == 0)
		return false; /* the end of what is in work comes by itself */
	double interval = t->options.config->batch_interval, passed = clock_seconds() - t->closed_at;
	if (passed >= interval || passed < 0 || enough(t))
		return true;
	double wanting = interval - passed;
	if (!event_pending(t->look, EV_TIMEOUT, NULL)) /* what is to come sooner stays */
		look_in(t, wanting < look_again ? wanting : look_again);
	return false;
}

static void empty(struct turn *turn)
{
	for (size_t i = 0; i < turn->turns->shard_count; i++)
		batch_reset(&turn->parts[i].batch);
	turn->state = TURN_FREE;
	turn->failed = false;
	turn->count = 0;
}

void turns_drop(struct turns *t)
{
	if (t->busy < TURNS)
		empty(turn_at(t, t->busy));
}

/* ---- reporting ---- */

/* After a failure: not before all that is in work has ended. */
static void report_failure(struct turns *t)
{
	for (size_t i = 0; i < t->busy; i++) {
		enum turn_state state = turn_at(t, i)->state;
		if (state == TURN_STORING || state == TURN_RESOLVING)
			return;
	}
	for (size_t i = 0; i < TURNS; i++)
		empty(&t->circle[i]);
	t->busy = 0;
	t->failed = false;
	t->calls->failed(t->arg);
}

static void send_in_order(struct turns *t);

static void report(struct turns *t)
{
	while (t->busy > 0 && turn_at(t, 0)->state == TURN_STORED) {
		uint64_t mark = turn_at(t, 0)->mark;
		empty(turn_at(t, 0));
		t->oldest = (t->oldest + 1) % TURNS;
		t->busy--;
		t->calls->stored(mark, t->arg);
	}
	if (t->failed) {
		report_failure(t);
		return;
	}
	send_in_order(t);
	look_in(t, 0);
}

/* ---- storing ---- */

/* Reported from the loop: the directory may have said so inside turns_close(). */
static void fail(struct turn *turn)
{
	turn->state = TURN_FAILED;
	turn->turns->failed = true;
	look_in(turn->turns, 0);
}

static void on_stored(bool ok, const struct receipt *receipts, size_t count, void *arg)
{
	struct part *part = arg;
	struct turn *turn = part->turn;
	struct turns *t = turn->turns;
	turn->failed |= !ok;
	t->failed |= !ok; /* nothing more is sent, though other shards still store */
	t->worked += clock_seconds() - turn->sent_at;
	if (ok) {
		metric_add(t->options.metrics, M_BATCHES, 1);
		t->calls->receipts(&part->batch, receipts, count, t->arg);
	}
	if (--turn->storing > 0)
		return;
	if (turn->failed) {
		fail(turn);
		return;
	}
	metric_observe(t->options.metrics, M_COMMIT_SECONDS, clock_seconds() - turn->closed_at);
	turn->state = TURN_STORED;
	report(t);
}

static void send_turn(struct turn *turn)
{
	struct turns *t = turn->turns;
	turn->state = TURN_STORING;
	turn->sent_at = clock_seconds();
	for (size_t i = 0; i < t->shard_count; i++) {
		struct part *part = &turn->parts[i];
		if (part->batch.count == 0)
			continue;
		turn->storing++;
		store_batch(t->shards[i].store, &part->batch, on_stored, part);
	}
}

/* A turn that waits for the directory, or for another width before it to be stored, holds up those behind it. */
static void send_in_order(struct turns *t)
{
	for (size_t i = 0; i < t->busy && !t->failed; i++) {
		struct turn *turn = turn_at(t, i);
		if (turn->state == TURN_RESOLVING || turn->width != turn_at(t, 0)->width)
			return;
		if (turn->state == TURN_READY)
			send_turn(turn);
	}
}

static void on_resolved(bool ok, void *arg)
{
	struct turn *turn = arg;
	struct turns *t = turn->turns;
	if (turn->state != TURN_RESOLVING)
		return;
	if (!ok || !turns_up(t)) {
		fail(turn);
		return;
	}
	for (size_t i = 0; i < t->shard_count; i++)
		batch_resolve(&turn->parts[i].batch, directory_devices(t->options.directory));
	turn->state = TURN_READY;
	if (t->failed)
		report_failure(t);
	else
		send_in_order(t);
}

/* Before a turn is closed: how wide is the next one? */
static void choose_width(struct turns *t)
{
	double now = clock_seconds();
	t->late = t->busy > 0 && turns_full(t) ? t->late + 1 : 0;
	t->seen++;
	if (t->late >= LATE)
		t->width = t->shard_count;
	else if (t->seen < CALM)
		return;
	else if (t->worked < now - t->since)
		t->width = 1;
	t->seen = 0;
	t->worked = 0;
	t->since = now;
}

void turns_close(struct turns *t, uint64_t mark)
{
	struct turn *turn = turn_at(t, t->busy);
	size_t unresolved = 0;
	for (size_t i = 0; i < t->shard_count; i++)
		unresolved += turn->parts[i].batch.unresolved;
	choose_width(t);
	turn->mark = mark;
	turn->closed_at = t->closed_at = clock_seconds();
	turn->state = unresolved > 0 ? TURN_RESOLVING : TURN_READY;
	t->busy++;
	if (unresolved > 0)
		directory_refresh(t->options.directory, on_resolved, turn);
	else
		send_in_order(t);
}

/* ---- events ---- */

static void on_look(evutil_socket_t fd, short what, void *arg)
{
	struct turns *t = arg;
	(void)fd, (void)what;
	if (t->failed)
		report(t);
	else
		t->calls->ready(t->arg);
}

static void on_store(enum store_event event, void *arg)
{
	struct shard *shard = arg;
	struct turns *t = shard->turns;
	shard->up = event == STORE_UP;
	t->calls->up(turns_up(t), t->arg);
	if (shard->up)
		look_in(t, 0);
}

/* ---- the interface ---- */

static void add_shards(struct turns *t, struct event_base *base)
{
	t->shard_count = t->options.shards < SHARDS_MAX ? t->options.shards : SHARDS_MAX;
	for (size_t i = 0; i < t->shard_count; i++) {
		struct shard *shard = &t->shards[i];
		shard->turns = t;
		snprintf(shard->name, sizeof(shard->name), "%s-db-%zu", t->options.name, i + 1);
		shard->store =
			store_new(base, shard->name, t->options.config->database, t->options.metrics, on_store, shard);
	}
}

static void add_turns(struct turns *t)
{
	for (size_t i = 0; i < TURNS; i++) {
		struct turn *turn = &t->circle[i];
		turn->turns = t;
		for (size_t k = 0; k < t->shard_count; k++) {
			turn->parts[k].turn = turn;
			batch_init(&turn->parts[k].batch);
		}
	}
}

struct turns *turns_new(struct event_base *base, const struct turns_options *options, const struct turns_calls *calls,
			void *arg)
{
	struct turns *t = calloc(1, sizeof(*t));
	if (t == NULL)
		abort();
	t->options = *options;
	t->calls = calls;
	t->arg = arg;
	t->width = 1;
	t->look = evtimer_new(base, on_look, t);
	if (t->look == NULL)
		abort();
	add_shards(t, base);
	add_turns(t);
	return t;
}

void turns_free(struct turns **tp)
{
	struct turns *t = *tp;
	if (t == NULL)
		return;
	for (size_t i = 0; i < t->shard_count; i++) {
		store_free(&t->shards[i].store);
		for (size_t k = 0; k < TURNS; k++)
			batch_fini(&t->circle[k].parts[i].batch);
	}
	event_free(t->look);
	free(t);
	*tp = NULL;
}

void turns_start(struct turns *t)
{
	for (size_t i = 0; i < t->shard_count; i++)
		store_start(t->shards[i].store);
}
