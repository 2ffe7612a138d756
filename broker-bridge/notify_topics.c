/* SPDX-License-Identifier: Apache-2.0
 *
 * One segment at a time: what the broker has taken first, then those that are due. */
#include "broker-bridge/notify_topics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker-bridge/mqtt.h"
#include "broker-bridge/notify_metrics.h"
#include "core/log.h"
#include "core/pg_array.h"
#include "schema/queries.h"

#define WINDOW 100 /* notices published and not acknowledged */

static const char object[] = "topics";

struct flight {
	int mid; /* 0: free */
	int64_t notice_id;
};

struct topics {
	struct db *db;
	const struct notify_config *config;
	struct metrics *metrics;
	topics_cb *cb;
	void *arg;
	struct mqtt *mqtt;
	struct flight flights[WINDOW];
	size_t flight_count;
	int64_t taken[WINDOW], telling[WINDOW]; /* by the broker */
	size_t taken_count, telling_count;
	bool busy;   /* a segment is under way */
	bool wanted; /* look once more after it */
	bool stopping;
};

static void pump(struct topics *t);

static void publish(struct topics *t, int64_t notice_id, const char *topic, const char *event, size_t len)
{
	struct err e = {0};
	struct flight *f = t->flights;
	const struct mqtt_publish p = {.topic = topic,
				       .payload = event,
				       .payload_len = len,
				       .qos = 1,
				       .content_type = "application/cloudevents+json"};
	while (f->mid != 0)
		f++;
	if (!mqtt_publish(t->mqtt, &p, &f->mid, &e)) {
		log_warn(object, "not published notice=%lld: %s", (long long)notice_id, e.detail);
		f->mid = 0;
		return;
	}
	f->notice_id = notice_id;
	t->flight_count++;
}

static void on_due(struct db *db, const PGresult *res, void *arg)
{
	struct topics *t = arg;
	(void)db;
	if (res == NULL || PQresultStatus(res) != PGRES_TUPLES_OK)
		return;
	for (int i = 0; i < PQntuples(res) && t->flight_count < WINDOW; i++) {
		char topic[sizeof(NOTIFY_TOPIC) + 32 + 1 + 64];
		snprintf(topic, sizeof(topic), NOTIFY_TOPIC "%.*s/%.*s", PQgetlength(res, i, 1), PQgetvalue(res, i, 1),
			 PQgetlength(res, i, 2), PQgetvalue(res, i, 2));
		publish(t, pg_read_int8(PQgetvalue(res, i, 0)), topic, PQgetvalue(res, i, 3),
			(size_t)PQgetlength(res, i, 3));
	}
	t->wanted |= PQntuples(res) > 0;
}

static void on_end(struct db *db, bool ok, const char *sqlstate, const struct err *e, void *arg)
{
	struct topics *t = arg;
	(void)db, (void)sqlstate;
	t->busy = false;
	if (!ok) {
		/* What was told in vain is published again after its lease. */
		log_warn(object, "failed: %s", e->detail);
		t->wanted = false;
	}
	t->telling_count = 0;
	pump(t);
}

static bool tell(struct topics *t)
{
	if (t->taken_count == 0)
		return true;
	struct arena *arena = arena_new(0);
	struct pg_array ids = pg_array_new(arena, PG_INT8, t->taken_count, t->taken_count * 8);
	for (size_t i = 0; i < t->taken_count; i++)
		pg_array_int8(&ids, t->taken[i]);
	t->telling_count = t->taken_count;
	t->taken_count = 0;
	struct pg_params p = {0};
	pg_params_array(&p, &ids);
	struct db_params params = pg_params_borrow(&p);
	bool sent = db_query(t->db, &stmt_notify_published, &params, NULL, NULL);
	arena_free(&arena);
	return sent;
}

static bool take(struct topics *t)
{
	char most[24], lease[32];
	size_t room = WINDOW - t->flight_count;
	if (t->stopping || room == 0 || !mqtt_connected(t->mqtt))
		return true;
	snprintf(most, sizeof(most), "%zu", room);
	snprintf(lease, sizeof(lease), "%.3f", notify_lease(t->config));
	const char *const values[] = {most, lease, t->config->source};
	const struct db_params params = {.count = 3, .values = values, .binary_result = true};
	return db_query(t->db, &stmt_notify_publish, &params, on_due, t);
}

static void pump(struct topics *t)
{
	if (t->busy || (t->stopping && mqtt_stopped(t->mqtt)))
		return;
	if (t->stopping && t->flight_count == 0 && (t->taken_count == 0 || !db_up(t->db))) {
		mqtt_stop(t->mqtt);
		return;
	}
	if (!t->wanted || !db_up(t->db))
		return;
	t->wanted = false;
	t->busy = true; /* first: a callback of a broken connection comes at once */
	if (!tell(t) || !take(t) || !db_commit(t->db, on_end, t))
		on_end(t->db, false, "", &(struct err){.detail = "no connection"}, t);
}

static void acknowledged(struct topics *t, int mid, int reason)
{
	for (size_t i = 0; i < WINDOW; i++) {
		struct flight *f = &t->flights[i];
		if (f->mid != mid)
			continue;
		if (reason >= 0x80) {
			log_error(object, "the broker refused notice=%lld reason=0x%x", (long long)f->notice_id,
				  (unsigned)reason);
			metric_add(t->metrics, M_PUBLISH_REFUSED, 1);
		} else if (t->taken_count < WINDOW) { /* else it is published again after its lease */
			t->taken[t->taken_count++] = f->notice_id;
			metric_add(t->metrics, M_PUBLISHED, 1);
		}
		f->mid = 0;
		t->flight_count--;
		t->wanted = true;
		pump(t);
		return;
	}
}

static void on_mqtt(struct mqtt *m, const struct mqtt_event *event, void *arg)
{
	struct topics *t = arg;
	(void)m;
	switch (event->type) {
	case MQTT_CONNECTED:
		metric_set(t->metrics, M_BROKER_ONLINE, 1);
		t->cb(TOPICS_ONLINE, t->arg);
		topics_look(t);
		break;
	case MQTT_PUBLISHED:
		acknowledged(t, event->mid, event->reason);
		break;
	case MQTT_LOST:
		memset(t->flights, 0, sizeof(t->flights));
		t->flight_count = 0;
		metric_set(t->metrics, M_BROKER_ONLINE, 0);
		t->cb(t->stopping && mqtt_stopped(t->mqtt) ? TOPICS_STOPPED : TOPICS_OFFLINE, t->arg);
		break;
	case MQTT_SUBSCRIBED:
	case MQTT_UNSUBSCRIBED:
	case MQTT_MESSAGE:
	case MQTT_IDLE:
	case MQTT_RELEASED:
		break;
	}
}

struct topics *topics_new(struct event_base *base, struct db *db, const struct notify_config *config,
			  struct metrics *metrics, topics_cb *cb, void *arg, struct err *e)
{
	struct topics *t = calloc(1, sizeof(*t));
	if (t == NULL)
		abort();
	*t = (struct topics){.db = db, .config = config, .metrics = metrics, .cb = cb, .arg = arg};
	struct mqtt_options options = mqtt_config_options(&config->mqtt, object, config->mqtt.client_id);
	options.send_maximum = WINDOW;
	t->mqtt = mqtt_new(base, &options, on_mqtt, t, e);
	if (t->mqtt == NULL)
		topics_free(&t);
	return t;
}

void topics_free(struct topics **tp)
{
	struct topics *t = *tp;
	if (t == NULL)
		return;
	mqtt_free(&t->mqtt);
	free(t);
	*tp = NULL;
}

void topics_start(struct topics *t)
{
	mqtt_start(t->mqtt);
}

void topics_look(struct topics *t)
{
	t->wanted = true;
	pump(t);
}

void topics_stop(struct topics *t)
{
	t->stopping = true;
	t->wanted = true;
	if (mqtt_stopped(t->mqtt))
		t->cb(TOPICS_STOPPED, t->arg);
	else if (!mqtt_connected(t->mqtt))
		mqtt_stop(t->mqtt);
	else
		pump(t);
}
