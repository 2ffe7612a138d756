/* SPDX-License-Identifier: Apache-2.0
 *
 * One segment at a time: what became of the last ones first, then new notices dealt, then those taken that are due. */
#include "broker-bridge/notify_webhooks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker-bridge/notify_metrics.h"
#include "broker-bridge/notify_post.h"
#include "core/log.h"
#include "core/pg_array.h"
#include "schema/queries.h"

#define DEAL 1000 /* most notices dealt in one segment */

static const char object[] = "webhooks";

struct result {
	int64_t number;
	long status; /* 0: no answer */
	double wait; /* seconds that the receiver asked for; 0: none */
	bool final;
	char why[sizeof(((struct web_answer *)0)->why)]; /* empty: answered with 2xx */
};

struct webhooks {
	struct db *db;
	const struct notify_config *config;
	struct metrics *metrics;
	webhooks_stopped *stopped;
	void *arg;
	struct web *web;
	struct result *results, *telling; /* window of them */
	size_t result_count, telling_count;
	bool busy;   /* a segment is under way */
	bool wanted; /* look once more after it */
	bool stopping;
};

static void pump(struct webhooks *w);

static void on_answer(const struct web_answer *a, void *arg)
{
	struct webhooks *w = arg;
	struct result *r = &w->results[w->result_count++];
	*r = (struct result){.number = a->number, .status = a->status, .wait = a->wait, .final = a->refused};
	memcpy(r->why, a->why, sizeof(r->why));
	if (r->status != 0 && (r->status < 200 || r->status > 299))
		snprintf(r->why, sizeof(r->why), "the answer is %ld, expected 2xx", r->status);
	bool ok = r->why[0] == '\0';
	metric_add(w->metrics, ok ? M_DELIVERED : M_FAILED, 1);
	metric_add(w->metrics, M_SSRF_REFUSED, a->refused ? 1 : 0);
	metric_observe(w->metrics, M_POST_SECONDS, a->took);
	metric_set(w->metrics, M_IN_FLIGHT, (double)web_count(w->web));
	if (!ok)
		log_info(object, "not delivered delivery=%lld: %s", (long long)r->number, r->why);
	w->wanted = true;
	pump(w);
}

static void on_dealt(struct db *db, const PGresult *res, void *arg)
{
	struct webhooks *w = arg;
	(void)db;
	if (res == NULL || PQresultStatus(res) != PGRES_TUPLES_OK || PQntuples(res) != 1)
		return;
	int32_t dealt = pg_read_int4(PQgetvalue(res, 0, 0));
	metric_add(w->metrics, M_DEALT, dealt);
	w->wanted |= dealt == DEAL;
}

static void nothing_to_send(struct webhooks *w, int64_t number)
{
	struct result *r = &w->results[w->result_count++];
	*r = (struct result){.number = number, .final = true};
	snprintf(r->why, sizeof(r->why), "what it was to tell of is no longer kept");
	log_info(object, "not delivered delivery=%lld: %s", (long long)r->number, r->why);
}

/* Sent before the commit is known: a delivery that was taken for nothing is sent once more than it is counted. */
static void on_taken(struct db *db, const PGresult *res, void *arg)
{
	struct webhooks *w = arg;
	(void)db;
	if (res == NULL || PQresultStatus(res) != PGRES_TUPLES_OK)
		return;
	for (int i = 0; i < PQntuples(res); i++) {
		const struct post post = {
			.number = pg_read_int8(PQgetvalue(res, i, 0)),
			.url = PQgetvalue(res, i, 1),
			.secret = (const uint8_t *)PQgetvalue(res, i, 2),
			.secret_len = (size_t)PQgetlength(res, i, 2),
			.credentials = PQgetisnull(res, i, 3) ? NULL : PQgetvalue(res, i, 3),
			.is_transfer = strcmp(PQgetvalue(res, i, 4), "cce") == 0,
			.id = PQgetvalue(res, i, 5),
			.body = PQgetvalue(res, i, 6),
			.body_len = (size_t)PQgetlength(res, i, 6),
			.timeout = w->config->timeout,
		};
		if (PQgetisnull(res, i, 6)) {
			nothing_to_send(w, post.number);
			continue;
		}
		post_send(w->web, &post);
		metric_add(w->metrics, M_SENT, 1);
	}
	metric_set(w->metrics, M_IN_FLIGHT, (double)web_count(w->web));
	w->wanted |= PQntuples(res) > 0;
}

static void on_end(struct db *db, bool ok, const char *sqlstate, const struct err *e, void *arg)
{
	struct webhooks *w = arg;
	(void)db;
	w->busy = false;
	if (!ok && (e->code == ERR_DB_LOST || db_retryable(sqlstate))) {
		memcpy(w->results + w->result_count, w->telling, w->telling_count * sizeof(*w->telling));
		w->result_count += w->telling_count;
		w->wanted = false; /* webhooks_look() comes with the next moment, or when the database is back */
	} else if (!ok) {
		log_error(object, "refused results=%zu: %s", w->telling_count, e->detail);
		w->wanted = false;
	}
	w->telling_count = 0;
	pump(w);
}

static bool tell(struct webhooks *w)
{
	if (w->result_count == 0)
		return true;
	struct result *swap = w->telling;
	w->telling = w->results;
	w->results = swap;
	size_t count = w->telling_count = w->result_count;
	w->result_count = 0;
	struct arena *arena = arena_new(0);
	struct pg_array ids = pg_array_new(arena, PG_INT8, count, count * 8);
	struct pg_array statuses = pg_array_new(arena, PG_INT4, count, count * 4);
	struct pg_array errors = pg_array_new(arena, PG_TEXT, count, count * sizeof(w->telling[0].why));
	struct pg_array waits = pg_array_new(arena, PG_FLOAT8, count, count * 8);
	struct pg_array finals = pg_array_new(arena, PG_BOOL, count, count);
	for (size_t i = 0; i < count; i++) {
		const struct result *r = &w->telling[i];
		pg_array_int8(&ids, r->number);
		if (r->status != 0)
			pg_array_int4(&statuses, (int32_t)r->status);
		else
			pg_array_null(&statuses);
		pg_array_bytes(&errors, r->why, strlen(r->why));
		pg_array_float8(&waits, r->wait);
		pg_array_bool(&finals, r->final);
	}
	struct pg_params p = {0};
	pg_params_array(&p, &ids);
	pg_params_array(&p, &statuses);
	pg_params_array(&p, &errors);
	pg_params_array(&p, &waits);
	pg_params_array(&p, &finals);
	struct db_params params = pg_params_borrow(&p);
	bool sent = db_query(w->db, &stmt_notify_done, &params, NULL, NULL);
	arena_free(&arena);
	return sent;
}

static bool take(struct webhooks *w)
{
	char deal_most[24], most[24], each[24], lease[32];
	size_t room = (size_t)w->config->window - web_count(w->web) - w->telling_count - w->result_count;
	if (w->stopping)
		return true;
	snprintf(deal_most, sizeof(deal_most), "%d", DEAL);
	snprintf(most, sizeof(most), "%zu", room);
	snprintf(each, sizeof(each), "%lld", (long long)w->config->window_each);
	snprintf(lease, sizeof(lease), "%.3f", notify_lease(w->config));
	const char *const deal_values[] = {deal_most}, *const values[] = {most, each, lease, w->config->source};
	const struct db_params deal = {.count = 1, .values = deal_values, .binary_result = true};
	const struct db_params params = {.count = 4, .values = values, .binary_result = true};
	return db_query(w->db, &stmt_notify_deal, &deal, on_dealt, w) &&
	       (room == 0 || db_query(w->db, &stmt_notify_take, &params, on_taken, w));
}

static void pump(struct webhooks *w)
{
	if (w->busy)
		return;
	if (w->stopping && web_count(w->web) == 0 && (w->result_count == 0 || !db_up(w->db))) {
		w->stopped(w->arg); /* results that nobody could be told: their deliveries are sent again */
		return;
	}
	if (!w->wanted || !db_up(w->db))
		return;
	w->wanted = false;
	w->busy = true; /* first: a callback of a broken connection comes at once */
	if (!tell(w) || !take(w) || !db_commit(w->db, on_end, w))
		on_end(w->db, false, "", &(struct err){.code = ERR_DB_LOST}, w);
}

struct webhooks *webhooks_new(struct event_base *base, struct db *db, const struct notify_config *config,
			      struct metrics *metrics, webhooks_stopped *stopped, void *arg)
{
	struct webhooks *w = calloc(1, sizeof(*w));
	if (w == NULL)
		abort();
	*w = (struct webhooks){.db = db, .config = config, .metrics = metrics, .stopped = stopped, .arg = arg};
	w->results = calloc((size_t)config->window, sizeof(*w->results));
	w->telling = calloc((size_t)config->window, sizeof(*w->telling));
	if (w->results == NULL || w->telling == NULL)
		abort();
	const struct web_options options = {
		.ca = config->ca, .allowed = &config->allowed, .allow_http = config->allow_http};
	w->web = web_new(base, &options, on_answer, w);
	return w;
}

void webhooks_free(struct webhooks **wp)
{
	struct webhooks *w = *wp;
	if (w == NULL)
		return;
	web_free(&w->web);
	free(w->results);
	free(w->telling);
	free(w);
	*wp = NULL;
}

void webhooks_look(struct webhooks *w)
{
	w->wanted = true;
	pump(w);
}

void webhooks_stop(struct webhooks *w)
{
	w->stopping = true;
	w->wanted = true;
	pump(w);
}
