/* SPDX-License-Identifier: Apache-2.0
 *
 * coldfleet-notify: finds alarms that time alone makes due, and tells of alarms: webhooks and MQTT. A service, jobs in
 * the database, and two ways out that share one connection to it. */
#include <stdio.h>
#include <string.h>

#include <curl/curl.h>

#include "broker-bridge/mqtt.h"
#include "broker-bridge/notify_config.h"
#include "broker-bridge/notify_jobs.h"
#include "broker-bridge/notify_metrics.h"
#include "broker-bridge/notify_topics.h"
#include "broker-bridge/notify_webhooks.h"
#include "core/clock.h"
#include "core/db.h"
#include "core/log.h"
#include "core/service.h"
#include "schema/queries.h"

static const char object[] = "coldfleet-notify";

static const struct statement *const statements[] = {&stmt_notify_deal,    &stmt_notify_take,      &stmt_notify_done,
						     &stmt_notify_publish, &stmt_notify_published, &stmt_notify_guard};

static const char *const set_parts[JOBS_SETS] = {
	[JOBS_EXCURSIONS] = "the database, for excursions",
	[JOBS_REST] = "the database, for jobs",
};

struct set {
	struct notify *notify;
	struct jobs *jobs;
	size_t part;
};

struct notify {
	struct notify_config config;
	struct service *service;
	struct db *db;
	struct set sets[JOBS_SETS];
	struct webhooks *webhooks;
	struct topics *topics; /* NULL: nothing is published on MQTT */
	struct event *tick;
	size_t part_database, part_broker;
	size_t running; /* ways out that have not stopped */
};

static void look(struct notify *n)
{
	webhooks_look(n->webhooks);
	if (n->topics != NULL)
		topics_look(n->topics);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct notify *n = arg;
	struct timeval every = clock_timeval(n->config.look_every);
	(void)fd, (void)what;
	event_add(n->tick, &every);
	look(n);
}

static void on_guard(struct db *db, bool ok, const char *sqlstate, const struct err *e, void *arg)
{
	(void)db, (void)sqlstate, (void)arg;
	if (!ok && e->code != ERR_DB_LOST)
		log_error(object, "where webhooks may be is not known to REST: %s", e->detail);
}

/* REST refuses a webhook at an address that would be refused here: told by whom it is decided, the two cannot differ.
 */
static void tell_guard(struct notify *n)
{
	char refused[CONFIG_TEXT_MAX] = "";
	size_t count, used = 0;
	const char *const *list = networks_refused(&count);
	for (size_t i = 0; i < count && used < sizeof(refused); i++)
		used += (size_t)snprintf(refused + used, sizeof(refused) - used, "%s%s", i > 0 ? "," : "", list[i]);
	const char *const values[] = {refused, n->config.allow};
	const struct db_params params = {.count = 2, .values = values};
	if (db_query(n->db, &stmt_notify_guard, &params, NULL, NULL))
		db_commit(n->db, on_guard, n);
}

static void on_db(struct db *db, enum db_event event, const char *text, void *arg)
{
	struct notify *n = arg;
	(void)db, (void)text;
	if (event != DB_NOTIFY)
		service_part_up(n->service, n->part_database, event == DB_UP);
	if (event == DB_UP)
		tell_guard(n);
	if (event != DB_LOST)
		look(n);
}

static void on_jobs(enum jobs_event event, void *arg)
{
	struct set *set = arg;
	service_part_up(set->notify->service, set->part, event == JOBS_ONLINE);
}

static void one_stopped(struct notify *n)
{
	if (n->running > 0 && --n->running == 0)
		service_stopped(n->service);
}

static void on_webhooks_stopped(void *arg)
{
	one_stopped(arg);
}

static void on_topics(enum topics_event event, void *arg)
{
	struct notify *n = arg;
	if (event == TOPICS_STOPPED)
		one_stopped(n);
	else
		service_part_up(n->service, n->part_broker, event == TOPICS_ONLINE);
}

static void on_stop(void *arg)
{
	struct notify *n = arg;
	event_del(n->tick);
	for (size_t i = 0; i < JOBS_SETS; i++)
		jobs_stop(n->sets[i].jobs);
	webhooks_stop(n->webhooks);
	if (n->topics != NULL)
		topics_stop(n->topics);
}

static bool notify_init(struct notify *n, struct err *e)
{
	struct event_base *base = service_base(n->service);
	struct metrics *metrics = service_metrics(n->service);
	const struct db_options options = {
		.name = "notify-db",
		.conninfo = n->config.database,
		.setup = "LISTEN coldchain_notice",
		.statements = statements,
		.statement_count = sizeof(statements) / sizeof(statements[0]),
		.reply_timeout = 60,
		.connect_timeout = 10,
	};
	if (!notify_config_check(&n->config, e))
		return false;
	n->part_database = service_part(n->service, "the database");
	n->db = db_new(base, &options, on_db, n);
	n->tick = evtimer_new(base, on_tick, n);
	for (size_t i = 0; i < JOBS_SETS; i++) {
		n->sets[i] = (struct set){.notify = n, .part = service_part(n->service, set_parts[i])};
		n->sets[i].jobs = jobs_new(base, i, &n->config, metrics, on_jobs, &n->sets[i]);
	}
	n->webhooks = webhooks_new(base, n->db, &n->config, metrics, on_webhooks_stopped, n);
	n->running = 1;
	if (n->config.mqtt_on) {
		n->part_broker = service_part(n->service, "the broker");
		n->topics = topics_new(base, n->db, &n->config, metrics, on_topics, n, e);
		if (n->topics == NULL)
			return false;
		n->running++;
		topics_start(n->topics);
	}
	service_on_stop(n->service, on_stop, n);
	db_start(n->db);
	for (size_t i = 0; i < JOBS_SETS; i++)
		jobs_start(n->sets[i].jobs);
	on_tick(-1, 0, n);
	return true;
}

static void notify_fini(struct notify *n)
{
	topics_free(&n->topics);
	db_free(&n->db);
	webhooks_free(&n->webhooks);
	for (size_t i = 0; i < JOBS_SETS; i++)
		jobs_free(&n->sets[i].jobs);
	if (n->tick != NULL)
		event_free(n->tick);
	mqtt_config_forget(&n->config.mqtt);
	service_free(&n->service);
}

int main(int argc, char **argv)
{
	static struct notify n;
	const struct service_spec spec = {
		.name = object,
		.summary = "finds alarms that time makes due and tells of alarms: webhooks and MQTT",
		.items = notify_config_items,
		.item_count = notify_config_item_count,
		.values = &n.config,
		.values_size = sizeof(n.config),
		.metrics = notify_metric_defs,
		.metric_count = NOTIFY_METRICS,
	};
	struct err e = {0};
	enum service_start start = service_new(&spec, argc, argv, &n.service);
	if (start != SERVICE_RUN)
		return start == SERVICE_EXIT_OK ? 0 : 2;
	mqtt_library_init();
	curl_global_init(CURL_GLOBAL_DEFAULT);
	int status = 2;
	if (notify_init(&n, &e))
		status = service_run(n.service);
	else
		log_error(object, "%s", e.detail);
	notify_fini(&n);
	curl_global_cleanup();
	mqtt_library_cleanup();
	return status;
}
