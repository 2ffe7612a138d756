/* SPDX-License-Identifier: Apache-2.0
 *
 * Two lists: what is to be told, and what the segment under way tells; the latter goes back when that fails. */
#include "broker-bridge/bridge_outcomes.h"

#include <stdlib.h>
#include <string.h>

#include "broker-bridge/command_message.h"
#include "core/log.h"
#include "core/pg_array.h"
#include "schema/queries.h"

static const char object[] = "down";

struct outcome {
	uint8_t command_id[COMMAND_ID_BYTES];
	int32_t generation;
};

struct bridge_outcomes {
	bridge_outcomes_cb *cb;
	void *arg;
	size_t limit; /* of both lists together */
	struct outcome *waiting, *telling;
	size_t waiting_count, telling_count;
};

struct bridge_outcomes *bridge_outcomes_new(size_t limit, bridge_outcomes_cb *cb, void *arg)
{
	struct bridge_outcomes *o = calloc(1, sizeof(*o));
	if (o == NULL)
		abort();
	*o = (struct bridge_outcomes){.cb = cb, .arg = arg, .limit = limit};
	o->waiting = calloc(limit, sizeof(*o->waiting));
	o->telling = calloc(limit, sizeof(*o->telling));
	if (o->waiting == NULL || o->telling == NULL)
		abort();
	return o;
}

void bridge_outcomes_free(struct bridge_outcomes **op)
{
	struct bridge_outcomes *o = *op;
	if (o == NULL)
		return;
	free(o->waiting);
	free(o->telling);
	free(o);
	*op = NULL;
}

size_t bridge_outcomes_count(const struct bridge_outcomes *o)
{
	return o->waiting_count + o->telling_count;
}

void bridge_outcomes_add(struct bridge_outcomes *o, const uint8_t *command_id, int32_t generation)
{
	if (bridge_outcomes_count(o) == o->limit)
		abort(); /* somebody claimed without room */
	struct outcome *added = &o->waiting[o->waiting_count++];
	memcpy(added->command_id, command_id, sizeof(added->command_id));
	added->generation = generation;
}

static void told(struct db *db, bool ok, const char *sqlstate, const struct err *e, void *arg)
{
	struct bridge_outcomes *o = arg;
	(void)db;
	if (!ok && (e->code == ERR_DB_LOST || db_retryable(sqlstate))) {
		memcpy(o->waiting + o->waiting_count, o->telling, o->telling_count * sizeof(*o->telling));
		o->waiting_count += o->telling_count;
	} else if (!ok) {
		log_error(object, "not given back commands=%zu: %s", o->telling_count, e->detail);
	}
	o->telling_count = 0;
	o->cb(ok, o->arg);
}

void bridge_outcomes_tell(struct bridge_outcomes *o, struct db *db)
{
	if (o->telling_count > 0 || o->waiting_count == 0)
		return;
	struct outcome *swap = o->telling;
	o->telling = o->waiting;
	o->waiting = swap;
	o->telling_count = o->waiting_count;
	o->waiting_count = 0;
	struct arena *arena = arena_new(0);
	struct pg_array ids = pg_array_new(arena, PG_UUID, o->telling_count, o->telling_count * COMMAND_ID_BYTES);
	struct pg_array generations = pg_array_new(arena, PG_INT4, o->telling_count, o->telling_count * 4);
	for (size_t i = 0; i < o->telling_count; i++) {
		pg_array_bytes(&ids, o->telling[i].command_id, COMMAND_ID_BYTES);
		pg_array_int4(&generations, o->telling[i].generation);
	}
	struct pg_params p = {0};
	pg_params_array(&p, &ids);
	pg_params_array(&p, &generations);
	struct db_params params = pg_params_borrow(&p);
	if (!db_query(db, &stmt_bridge_unreachable, &params, NULL, NULL) || !db_commit(db, told, o))
		told(db, false, "", &(struct err){.code = ERR_DB_LOST}, o);
	arena_free(&arena);
}
