/* SPDX-License-Identifier: Apache-2.0
 *
 * A batch is a stack of ranges of replies, at first one. Each range is one transaction: recorded, or refused and split
 * in halves. A range of one that is refused is kept as unreadable; if not even that is taken, nothing is acknowledged.
 */
#include "broker-bridge/bridge_up.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker-bridge/bridge_metrics.h"
#include "broker-bridge/bridge_replies.h"
#include "broker-bridge/intake.h"
#include "core/clock.h"
#include "core/db.h"
#include "core/log.h"
#include "schema/queries.h"

#define RANGES_MAX  64 /* halving goes at most log2(batch) + 1 deep */
#define RETRIES_MAX 5

struct range {
	size_t from, to;
};

struct bridge_up {
	char name[16];
	char db_name[24];
	const struct bridge_config *config;
	struct metrics *metrics;
	bridge_up_cb *cb;
	void *arg;
	struct intake *intake;
	struct db *db;
	struct event *kick; /* starts a batch from the loop */
	struct bridge_replies batch;
	int64_t batch_closed_at;
	struct range ranges[RANGES_MAX];
	size_t range_count;
	struct range current;
	unsigned retries; /* of the current range */
	bool open;        /* a segment of this batch is under way */
};

static const struct statement *const statements[] = {&stmt_bridge_record_replies, &stmt_bridge_bad_replies};

static void next_range(struct bridge_up *up);

/* ---- one range, one transaction ---- */

static void finish(struct bridge_up *up, bool ok, const char *why)
{
	up->range_count = 0;
	up->open = false;
	if (!ok) {
		log_warn(up->name, "batch not recorded, its replies will come again: %s", why);
	} else {
		metric_add(up->metrics, M_BATCHES, 1);
		metric_observe(up->metrics, M_COMMIT_SECONDS, (double)(clock_now_us() - up->batch_closed_at) / 1e6);
	}
	intake_stored(up->intake, ok);
}

static void push_range(struct bridge_up *up, size_t from, size_t to)
{
	if (up->range_count == RANGES_MAX)
		abort();
	up->ranges[up->range_count++] = (struct range){from, to};
}

static void split_range(struct bridge_up *up, const char *why)
{
	size_t from = up->current.from, to = up->current.to, middle = from + (to - from) / 2;
	struct bridge_reply *r = &up->batch.list[from];
	metric_add(up->metrics, M_SPLITS, 1);
	if (to - from > 1) {
		push_range(up, middle, to);
		push_range(up, from, middle);
		next_range(up);
	} else if (r->bad == NULL) {
		bridge_reply_spoil(&up->batch, r, why);
		push_range(up, from, to);
		next_range(up);
	} else {
		log_error(up->name, "a reply can neither be recorded nor kept serial=%.*s: %s", (int)r->serial_len,
			  r->serial, why);
		finish(up, false, why);
	}
}

static void count_range(struct bridge_up *up)
{
	size_t bad = 0;
	for (size_t i = up->current.from; i < up->current.to; i++)
		bad += up->batch.list[i].bad != NULL;
	metric_add(up->metrics, M_BAD_REPLIES, (double)bad);
	metric_add(up->metrics, M_REPLIES, (double)(up->current.to - up->current.from - bad));
}

static void send_range(struct bridge_up *up);

static void range_done(struct db *db, bool ok, const char *sqlstate, const struct err *e, void *arg)
{
	struct bridge_up *up = arg;
	(void)db;
	if (!up->open)
		return;
	if (ok) {
		count_range(up);
		next_range(up);
	} else if (strncmp(sqlstate, "40", 2) == 0 && up->retries++ < RETRIES_MAX) {
		send_range(up); /* deadlock or serialization failure */
	} else if (e->code == ERR_DB_LOST || db_retryable(sqlstate)) {
		finish(up, false, e->detail);
	} else {
		log_warn(up->name, "refused replies=%zu sqlstate=%s: %s", up->current.to - up->current.from, sqlstate,
			 e->detail);
		split_range(up, e->detail);
	}
}

static void send_range(struct bridge_up *up)
{
	struct pg_params p;
	struct db_params params;
	bool ok = true;
	if (bridge_replies_params(&p, &up->batch, up->current.from, up->current.to) > 0) {
		params = pg_params_borrow(&p);
		ok = db_query(up->db, &stmt_bridge_record_replies, &params, NULL, NULL);
	}
	if (ok && bridge_replies_bad_params(&p, &up->batch, up->current.from, up->current.to) > 0) {
		params = pg_params_borrow(&p);
		ok = db_query(up->db, &stmt_bridge_bad_replies, &params, NULL, NULL);
	}
	if (!ok || !db_commit(up->db, range_done, up))
		finish(up, false, "no connection to PostgreSQL");
}

static void next_range(struct bridge_up *up)
{
	if (up->range_count == 0) {
		finish(up, true, NULL);
		return;
	}
	up->current = up->ranges[--up->range_count];
	up->retries = 0;
	send_range(up);
}

static void on_kick(evutil_socket_t fd, short what, void *arg)
{
	struct bridge_up *up = arg;
	(void)fd, (void)what;
	if (!intake_storing(up->intake) || up->open)
		return;
	up->open = true;
	push_range(up, 0, up->batch.count);
	next_range(up);
}

/* ---- the intake's side ---- */

static bool take(const struct mqtt_message *message, void *arg)
{
	struct bridge_up *up = arg;
	bridge_replies_add(&up->batch, message, clock_now_us());
	return up->batch.count >= (size_t)up->config->batch_replies;
}

static size_t count(void *arg)
{
	const struct bridge_up *up = arg;
	return up->batch.count;
}

static bool store(bool all, void *arg)
{
	struct bridge_up *up = arg;
	(void)all;
	up->batch_closed_at = clock_now_us();
	event_active(up->kick, EV_TIMEOUT, 0);
	return true;
}

static void clear(bool stored, void *arg)
{
	struct bridge_up *up = arg;
	if (!stored && up->batch.count > 0)
		metric_add(up->metrics, M_LANE_DROPS, 1);
	up->range_count = 0;
	up->open = false;
	bridge_replies_reset(&up->batch);
}

static void on_intake(enum intake_event event, void *arg)
{
	static const enum bridge_up_event said[] = {[INTAKE_ONLINE] = BRIDGE_UP_ONLINE,
						    [INTAKE_OFFLINE] = BRIDGE_UP_OFFLINE,
						    [INTAKE_STOPPED] = BRIDGE_UP_STOPPED};
	struct bridge_up *up = arg;
	up->cb(said[event], up->arg);
}

static void on_db(struct db *db, enum db_event event, const char *text, void *arg)
{
	struct bridge_up *up = arg;
	(void)db, (void)text;
	if (event == DB_UP)
		intake_open(up->intake);
	else if (event == DB_LOST)
		intake_close(up->intake);
}

/* ---- the interface ---- */

static const struct intake_calls calls = {
	.take = take,
	.count = count,
	.store = store,
	.clear = clear,
	.event = on_intake,
};

static struct intake *intake_of(struct bridge_up *up, unsigned number, struct event_base *base, struct err *e)
{
	char client_id[CONFIG_TEXT_MAX + 16], filter[CONFIG_TEXT_MAX + 64];
	snprintf(client_id, sizeof(client_id), "%s-%u", up->config->mqtt.client_id, number);
	mqtt_config_shared(&up->config->mqtt, "cf/v1/+/reply", filter, sizeof(filter));
	struct intake_options options = {.mqtt = mqtt_config_options(&up->config->mqtt, up->name, client_id),
					 .filters = {filter},
					 .leave = up->config->leave};
	options.mqtt.session_expiry = (uint32_t)up->config->mqtt.session_expiry;
	options.mqtt.receive_maximum = (uint16_t)up->config->batch_replies;
	return intake_new(base, &options, &calls, up, e);
}

struct bridge_up *bridge_up_new(struct event_base *base, unsigned number, const struct bridge_config *config,
				struct metrics *metrics, bridge_up_cb *cb, void *arg, struct err *e)
{
	struct bridge_up *up = calloc(1, sizeof(*up));
	if (up == NULL)
		abort();
	snprintf(up->name, sizeof(up->name), "up-%u", number);
	snprintf(up->db_name, sizeof(up->db_name), "up-%u-db", number);
	up->config = config;
	up->metrics = metrics;
	up->cb = cb;
	up->arg = arg;
	bridge_replies_init(&up->batch);
	up->kick = evtimer_new(base, on_kick, up);
	if (up->kick == NULL)
		abort();
	const struct db_options options = {
		.name = up->db_name,
		.conninfo = config->database,
		.statements = statements,
		.statement_count = sizeof(statements) / sizeof(statements[0]),
		.reply_timeout = 60,
		.connect_timeout = 10,
	};
	up->db = db_new(base, &options, on_db, up);
	up->intake = intake_of(up, number, base, e);
	if (up->intake == NULL)
		bridge_up_free(&up);
	return up;
}

void bridge_up_free(struct bridge_up **upp)
{
	struct bridge_up *up = *upp;
	if (up == NULL)
		return;
	intake_free(&up->intake);
	db_free(&up->db);
	event_free(up->kick);
	bridge_replies_fini(&up->batch);
	free(up);
	*upp = NULL;
}

void bridge_up_start(struct bridge_up *up)
{
	db_start(up->db);
}

void bridge_up_stop(struct bridge_up *up)
{
	intake_stop(up->intake);
}
