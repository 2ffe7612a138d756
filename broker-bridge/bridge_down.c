/* SPDX-License-Identifier: Apache-2.0
 *
 * Three things turn on one PostgreSQL pipeline: outcomes (commands given back), sweeps (what time makes due) and
 * claims. Outcomes always go first: who says hello after a command found nobody is then looked up after that command
 * began to wait. Nothing polls: NOTIFY, a hello, an acknowledgement or the moment that the last sweep named wake it.
 *
 * Whatever is lost on the way down stays `sent` in the database, which knows when to send it again. */
#include "broker-bridge/bridge_down.h"

#include <stdlib.h>
#include <string.h>

#include "broker-bridge/bridge_checkpoint.h"
#include "broker-bridge/bridge_flights.h"
#include "broker-bridge/bridge_metrics.h"
#include "broker-bridge/bridge_outcomes.h"
#include "broker-bridge/bridge_presence.h"
#include "broker-bridge/bridge_sweep.h"
#include "broker-bridge/command_message.h"
#include "broker-bridge/topic.h"
#include "core/clock.h"
#include "core/db.h"
#include "core/log.h"
#include "core/pg_array.h"
#include "schema/queries.h"

#define NO_SUBSCRIBER 0x10
#define ARENA_KEEP    ((size_t)1024 * 1024)

static const char object[] = "down";

struct claimed {
	uint8_t command_id[COMMAND_ID_BYTES];
	int32_t generation;
	const char *serial;
	size_t serial_len;
	const uint8_t *message;
	size_t message_len;
	int64_t expires_at; /* microseconds since 1970 */
};

enum down_state { DOWN_RUNNING, DOWN_FINISHING, DOWN_LEAVING, DOWN_STOPPED };

struct bridge_down {
	const struct bridge_config *config;
	struct metrics *metrics;
	bridge_down_cb *cb;
	void *arg;
	struct mqtt *mqtt;
	struct db *db;
	struct bridge_checkpoint *checkpoint;
	struct bridge_sweep *sweep;
	enum down_state state;

	struct flights *flights;
	struct bridge_outcomes *outcomes;
	struct presence *fresh, *handed; /* heard; given to the claim under way */
	struct arena *arena;             /* of the claim under way */
	struct claimed *claimed;
	size_t claimed_count, claim_max;

	bool subscribed; /* the broker tells who says hello */
	bool online;     /* told so */
	bool claiming;   /* a segment is under way */
	bool wanted;     /* there may be something to claim */
};

static const struct statement *const statements[] = {&stmt_bridge_claim, &stmt_bridge_unreachable, &stmt_bridge_sweep,
						     &stmt_bridge_checkpoint};

static void pump(struct bridge_down *d);

static void on_swept(void *arg)
{
	struct bridge_down *d = arg;
	d->wanted |= bridge_sweep_outstanding(d->sweep);
	pump(d);
}

/* ---- outcomes ---- */

static void give_back(struct bridge_down *d, const uint8_t command_id[COMMAND_ID_BYTES], int32_t generation,
		      enum bridge_metric why)
{
	bridge_outcomes_add(d->outcomes, command_id, generation);
	metric_add(d->metrics, why, 1);
}

static void on_told(bool ok, void *arg)
{
	struct bridge_down *d = arg;
	d->wanted = true;
	bridge_sweep_expect(d->sweep);
	if (ok)
		pump(d);
	else
		bridge_sweep_soon(d->sweep);
}

/* ---- publishing ---- */

static void send_one(struct bridge_down *d, const struct claimed *c)
{
	struct err e = {0};
	char topic[TOPIC_MAX];
	uint8_t generation[COMMAND_GENERATION];
	int mid = 0;
	int64_t now = clock_now_us(), left = c->expires_at - now;
	if (left <= 0) {
		give_back(d, c->command_id, c->generation, M_TOO_LATE);
		return;
	}
	topic_format(topic, c->serial, c->serial_len, TOPIC_COMMAND);
	command_generation_put((uint32_t)c->generation, generation);
	const struct mqtt_publish publish = {
		.topic = topic,
		.payload = c->message,
		.payload_len = c->message_len,
		.qos = 1,
		.content_type = COMMAND_CONTENT_TYPE,
		.correlation = generation,
		.correlation_len = sizeof(generation),
		.expiry = left < 1000000 ? 1 : (uint32_t)(left / 1000000 < UINT32_MAX ? left / 1000000 : UINT32_MAX),
	};
	if (!mqtt_publish(d->mqtt, &publish, &mid, &e)) {
		log_warn(object, "not sent serial=%.*s: %s", (int)c->serial_len, c->serial, e.detail);
		metric_add(d->metrics, M_REFUSED, 1);
		return;
	}
	struct flight flight = {.generation = c->generation, .serial_len = (uint8_t)c->serial_len, .sent_at = now};
	memcpy(flight.command_id, c->command_id, sizeof(flight.command_id));
	memcpy(flight.serial, c->serial, c->serial_len);
	/* The library counts packet ids up and around: a broker that leaves one unanswered meets it again. */
	if (!flights_add(d->flights, mid, &flight))
		mqtt_drop(d->mqtt, "a publish was not acknowledged while 65535 later ones were");
}

static void acknowledged(struct bridge_down *d, int mid, int reason)
{
	struct flight flight;
	if (!flights_take(d->flights, mid, &flight))
		return;
	metric_observe(d->metrics, M_PUBACK_SECONDS, (double)(clock_now_us() - flight.sent_at) / 1e6);
	if (reason == 0) {
		metric_add(d->metrics, M_PUBLISHED, 1);
		return;
	}
	/* What it says from now on is new: this acknowledgement came before it on the same connection. */
	presence_remove(d->fresh, flight.serial, flight.serial_len);
	presence_remove(d->handed, flight.serial, flight.serial_len);
	if (reason == NO_SUBSCRIBER) {
		give_back(d, flight.command_id, flight.generation, M_UNREACHABLE);
		return;
	}
	/* As when it cannot be published: its device may well be there, and it goes again when its time is over. */
	log_warn(object, "the broker refused a command serial=%.*s reason=0x%x", (int)flight.serial_len, flight.serial,
		 (unsigned)reason);
	metric_add(d->metrics, M_REFUSED, 1);
}

/* ---- claiming ---- */

static size_t room(const struct bridge_down *d)
{
	return (size_t)d->config->window - flights_count(d->flights) - bridge_outcomes_count(d->outcomes);
}

static void claim_rows(struct db *db, const PGresult *res, void *arg)
{
	struct bridge_down *d = arg;
	(void)db;
	if (res == NULL || PQresultStatus(res) != PGRES_TUPLES_OK)
		return;
	size_t rows = (size_t)PQntuples(res);
	d->claimed = arena_alloc(d->arena, (rows + 1) * sizeof(*d->claimed));
	for (int i = 0; i < (int)rows; i++) {
		struct claimed *c = &d->claimed[d->claimed_count++];
		memcpy(c->command_id, PQgetvalue(res, i, 0), sizeof(c->command_id));
		c->generation = pg_read_int4(PQgetvalue(res, i, 1));
		c->serial_len = (size_t)PQgetlength(res, i, 2);
		c->serial = arena_text(d->arena, PQgetvalue(res, i, 2), c->serial_len);
		c->message_len = (size_t)PQgetlength(res, i, 3);
		c->message = arena_copy(d->arena, PQgetvalue(res, i, 3), c->message_len);
		c->expires_at = pg_read_int8(PQgetvalue(res, i, 4)) + PG_EPOCH_US;
	}
}

static void claim_committed(struct bridge_down *d)
{
	if (d->claimed_count > 0)
		log_debug(object, "claimed commands=%zu", d->claimed_count);
	metric_add(d->metrics, M_CLAIMED, (double)d->claimed_count);
	for (size_t i = 0; i < d->claimed_count; i++)
		send_one(d, &d->claimed[i]);
	if (d->claimed_count > 0)
		bridge_sweep_expect(d->sweep);
	if (d->claimed_count < d->claim_max) {
		presence_clear(d->handed);
		return;
	}
	d->wanted = true; /* there may be more, for the same devices too */
	presence_move(d->fresh, d->handed);
}

static void claim_done(struct db *db, bool ok, const char *sqlstate, const struct err *e, void *arg)
{
	struct bridge_down *d = arg;
	(void)db, (void)sqlstate;
	d->claiming = false;
	if (ok) {
		claim_committed(d);
	} else {
		log_warn(object, "not claimed: %s", e->detail);
		presence_move(d->fresh, d->handed);
		bridge_sweep_soon(d->sweep); /* and then again */
	}
	d->claimed_count = 0;
	arena_reset(d->arena);
	pump(d);
}

static void claim(struct bridge_down *d)
{
	char max[16];
	if (!d->wanted || d->claiming || !d->subscribed || d->state != DOWN_RUNNING || room(d) == 0)
		return;
	d->claim_max = room(d) < (size_t)d->config->claim ? room(d) : (size_t)d->config->claim;
	d->wanted = false;
	struct presence *swap = d->handed; /* empty between claims */
	d->handed = d->fresh;
	d->fresh = swap;
	snprintf(max, sizeof(max), "%zu", d->claim_max);
	struct pg_array present = presence_array(d->handed, d->arena);
	struct pg_params p = {0};
	pg_params_text(&p, max);
	pg_params_array(&p, &present);
	struct db_params params = pg_params_borrow(&p);
	d->claiming = db_query(d->db, &stmt_bridge_claim, &params, claim_rows, d) && db_commit(d->db, claim_done, d);
	if (!d->claiming)
		presence_move(d->fresh, d->handed);
}

/* ---- the turn ---- */

static void say_online(struct bridge_down *d)
{
	bool online = d->subscribed && db_up(d->db);
	if (online == d->online)
		return;
	d->online = online;
	log_info(object, online ? "online" : "offline");
	metric_set(d->metrics, M_SENDER_ONLINE, online);
	d->cb(online ? BRIDGE_DOWN_ONLINE : BRIDGE_DOWN_OFFLINE, d->arg);
}

static void stop_when_idle(struct bridge_down *d)
{
	bool database_knows = !db_up(d->db) || (!d->claiming && bridge_outcomes_count(d->outcomes) == 0);
	if (d->state == DOWN_FINISHING && database_knows && flights_count(d->flights) == 0) {
		d->state = DOWN_LEAVING;
		mqtt_stop(d->mqtt);
	}
	if (d->state == DOWN_LEAVING && mqtt_stopped(d->mqtt)) {
		d->state = DOWN_STOPPED;
		d->cb(BRIDGE_DOWN_STOPPED, d->arg);
	}
}

static void pump(struct bridge_down *d)
{
	if (db_up(d->db)) {
		bridge_outcomes_tell(d->outcomes, d->db);
		claim(d);
		if (d->subscribed)
			bridge_checkpoint_pump(d->checkpoint);
	}
	metric_set(d->metrics, M_IN_FLIGHT, (double)flights_count(d->flights));
	metric_set(d->metrics, M_PRESENT, (double)presence_count(d->fresh));
	stop_when_idle(d);
}

/* ---- events ---- */

static void hello(struct bridge_down *d, const struct mqtt_message *message)
{
	struct topic topic;
	if (!bridge_sweep_outstanding(d->sweep) || !topic_parse(message->topic, strlen(message->topic), &topic, NULL) ||
	    topic.leaf != TOPIC_STATUS)
		return;
	if (!presence_add(d->fresh, topic.serial, topic.serial_len))
		metric_add(d->metrics, M_PRESENT_DROPPED, 1);
	d->wanted = true;
}

static void mqtt_gone(struct bridge_down *d)
{
	d->subscribed = false;
	metric_add(d->metrics, M_IN_DOUBT, (double)flights_count(d->flights));
	flights_clear(d->flights);
	bridge_checkpoint_again(d->checkpoint);
	say_online(d);
	pump(d);
}

static void on_mqtt(struct mqtt *mqtt, const struct mqtt_event *event, void *arg)
{
	struct bridge_down *d = arg;
	struct err e = {0};
	switch (event->type) {
	case MQTT_CONNECTED:
		if (!mqtt_subscribe(mqtt, "cf/v1/+/status", 0, &e))
			log_warn(object, "%s", e.detail);
		break;
	case MQTT_SUBSCRIBED:
		if (event->reason >= 0x80) {
			log_error(object, "the broker refused the subscription reason=0x%x", (unsigned)event->reason);
			mqtt_drop(mqtt, "subscription refused");
			break;
		}
		d->subscribed = d->wanted = true;
		say_online(d);
		pump(d);
		break;
	case MQTT_MESSAGE:
		hello(d, event->message);
		break;
	case MQTT_PUBLISHED:
		if (!bridge_checkpoint_published(d->checkpoint, event->mid, event->reason))
			acknowledged(d, event->mid, event->reason);
		break;
	case MQTT_IDLE:
		break;
	case MQTT_LOST:
		mqtt_gone(d);
		return;
	case MQTT_UNSUBSCRIBED:
	case MQTT_RELEASED:
		break;
	}
	/* Once a burst: each turn takes all that the burst brought. */
	if (event->type == MQTT_IDLE || event->type == MQTT_PUBLISHED)
		pump(d);
}

static void on_db(struct db *db, enum db_event event, const char *text, void *arg)
{
	struct bridge_down *d = arg;
	(void)db;
	switch (event) {
	case DB_UP:
		d->wanted = true;
		bridge_sweep_expect(d->sweep);
		bridge_checkpoint_again(d->checkpoint);
		say_online(d);
		bridge_sweep_now(d->sweep);
		pump(d);
		break;
	case DB_NOTIFY:
		if (strcmp(text, "command_send") == 0) {
			d->wanted = true;
			bridge_sweep_news(d->sweep);
		} else {
			bridge_checkpoint_again(d->checkpoint);
		}
		pump(d);
		break;
	case DB_LOST:
		bridge_sweep_halt(d->sweep);
		say_online(d);
		pump(d);
		break;
	}
}

/* ---- the interface ---- */

static struct db *database(struct bridge_down *d, struct event_base *base)
{
	const struct db_options options = {
		.name = "down-db",
		.conninfo = d->config->database,
		.setup = "LISTEN command_send; LISTEN audit_checkpoint",
		.statements = statements,
		.statement_count = sizeof(statements) / sizeof(statements[0]),
		.reply_timeout = 60,
		.connect_timeout = 10,
	};
	return db_new(base, &options, on_db, d);
}

static struct mqtt *broker(struct bridge_down *d, struct event_base *base, struct err *e)
{
	char client_id[CONFIG_TEXT_MAX + 16];
	snprintf(client_id, sizeof(client_id), "%s-down", d->config->mqtt.client_id);
	struct mqtt_options options = mqtt_config_options(&d->config->mqtt, object, client_id);
	options.send_maximum = (uint16_t)d->config->window;
	return mqtt_new(base, &options, on_mqtt, d, e);
}

struct bridge_down *bridge_down_new(struct event_base *base, const struct bridge_config *config,
				    struct metrics *metrics, bridge_down_cb *cb, void *arg, struct err *e)
{
	struct bridge_down *d = calloc(1, sizeof(*d));
	if (d == NULL)
		abort();
	d->config = config;
	d->metrics = metrics;
	d->cb = cb;
	d->arg = arg;
	d->flights = flights_new((size_t)config->window);
	d->outcomes = bridge_outcomes_new((size_t)config->window, on_told, d);
	d->fresh = presence_new((size_t)config->presence);
	d->handed = presence_new((size_t)config->presence);
	d->arena = arena_new(ARENA_KEEP);
	d->db = database(d, base);
	d->sweep = bridge_sweep_new(base, d->db, config, metrics, on_swept, d);
	d->mqtt = broker(d, base, e);
	if (d->mqtt == NULL)
		bridge_down_free(&d);
	else
		d->checkpoint = bridge_checkpoint_new(d->db, d->mqtt, metrics);
	return d;
}

void bridge_down_free(struct bridge_down **dp)
{
	struct bridge_down *d = *dp;
	if (d == NULL)
		return;
	mqtt_free(&d->mqtt);
	db_free(&d->db);
	bridge_checkpoint_free(&d->checkpoint);
	bridge_sweep_free(&d->sweep);
	flights_free(&d->flights);
	bridge_outcomes_free(&d->outcomes);
	presence_free(&d->fresh);
	presence_free(&d->handed);
	arena_free(&d->arena);
	free(d);
	*dp = NULL;
}

void bridge_down_start(struct bridge_down *d)
{
	if (d->config->leave) {
		bridge_down_stop(d);
		return;
	}
	db_start(d->db);
	mqtt_start(d->mqtt);
}

void bridge_down_stop(struct bridge_down *d)
{
	if (d->state != DOWN_RUNNING)
		return;
	d->state = DOWN_FINISHING;
	bridge_sweep_halt(d->sweep);
	stop_when_idle(d);
}
