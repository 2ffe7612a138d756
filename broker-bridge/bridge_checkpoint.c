/* SPDX-License-Identifier: Apache-2.0
 *
 * Look, publish, and look again whenever something may have changed. What was asked for while a look was under way is
 * one more look. */
#include "broker-bridge/bridge_checkpoint.h"

#include <stdlib.h>

#include "broker-bridge/bridge_metrics.h"
#include "core/log.h"
#include "core/pg_array.h"
#include "schema/queries.h"

static const char object[] = "checkpoint";

struct bridge_checkpoint {
	struct db *db;
	struct mqtt *mqtt;
	struct metrics *metrics;
	bool due, looking;
	int mid;           /* of the one in flight; 0: none */
	int64_t published; /* number of the newest that the broker has on this connection */
	int64_t in_flight;
};

static void publish(struct bridge_checkpoint *c, int64_t number, const void *message, size_t len)
{
	struct err e = {0};
	const struct mqtt_publish p = {
		.topic = BRIDGE_CHECKPOINT_TOPIC, .payload = message, .payload_len = len, .qos = 1, .retain = true};
	if (number <= c->published)
		return;
	if (!mqtt_publish(c->mqtt, &p, &c->mid, &e)) {
		log_warn(object, "not published number=%lld: %s", (long long)number, e.detail);
		return;
	}
	c->in_flight = number;
}

static void on_row(struct db *db, const PGresult *res, void *arg)
{
	struct bridge_checkpoint *c = arg;
	(void)db;
	if (res != NULL && PQresultStatus(res) == PGRES_TUPLES_OK && PQntuples(res) == 1)
		publish(c, pg_read_int8(PQgetvalue(res, 0, 0)), PQgetvalue(res, 0, 1), (size_t)PQgetlength(res, 0, 1));
}

static void on_end(struct db *db, bool ok, const char *sqlstate, const struct err *e, void *arg)
{
	struct bridge_checkpoint *c = arg;
	(void)db, (void)sqlstate;
	c->looking = false;
	if (!ok)
		log_warn(object, "not read: %s", e->detail);
	else
		bridge_checkpoint_pump(c);
}

struct bridge_checkpoint *bridge_checkpoint_new(struct db *db, struct mqtt *mqtt, struct metrics *metrics)
{
	struct bridge_checkpoint *c = calloc(1, sizeof(*c));
	if (c == NULL)
		abort();
	c->db = db;
	c->mqtt = mqtt;
	c->metrics = metrics;
	c->due = true;
	return c;
}

void bridge_checkpoint_free(struct bridge_checkpoint **c)
{
	free(*c);
	*c = NULL;
}

void bridge_checkpoint_again(struct bridge_checkpoint *c)
{
	c->due = true;
	if (!mqtt_connected(c->mqtt)) {
		c->mid = 0;
		c->published = 0; /* the broker may come back without what it had */
	}
}

void bridge_checkpoint_pump(struct bridge_checkpoint *c)
{
	static const struct db_params binary = {.binary_result = true};
	if (!c->due || c->looking || c->mid != 0 || !mqtt_connected(c->mqtt) || !db_up(c->db))
		return;
	c->due = false;
	c->looking = db_query(c->db, &stmt_bridge_checkpoint, &binary, on_row, c) && db_commit(c->db, on_end, c);
}

bool bridge_checkpoint_published(struct bridge_checkpoint *c, int mid, int reason)
{
	if (mid != c->mid || c->mid == 0)
		return false;
	c->mid = 0;
	if (reason >= 0x80) {
		log_error(object, "the broker refused number=%lld reason=0x%x", (long long)c->in_flight,
			  (unsigned)reason);
		return true;
	}
	c->published = c->in_flight;
	metric_add(c->metrics, M_CHECKPOINTS, 1);
	log_debug(object, "published number=%lld", (long long)c->published);
	return true;
}
