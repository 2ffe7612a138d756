/* SPDX-License-Identifier: Apache-2.0
 *
 * One timer, set to the earliest of the jobs; one segment at a time. A statement returns one int4: how much it did. */
#include "broker-bridge/notify_jobs.h"

#include <stdio.h>
#include <stdlib.h>

#include "broker-bridge/notify_metrics.h"
#include "core/clock.h"
#include "core/db.h"
#include "core/log.h"
#include "core/pg_array.h"
#include "schema/queries.h"

#define MOST  1000
#define AGAIN 5.0 /* seconds; after a failure */
#define REST  100 /* times as long as it took: a job that rests costs a hundredth of a processor */
#define LATE                                                                                                           \
	3.0 /* seconds; what a device tells of itself is to alarm within five, and a look and the telling take some */

static const char object[] = "jobs";

struct job {
	const struct statement *statement;
	size_t every;            /* offset of a double in the configuration, seconds */
	enum notify_metric done; /* counts what it did */
	int most;                /* of what one call does */
	bool days;               /* $1 is how many days are kept */
	double factor;           /* of `every` */
	double rests;            /* seconds at most, after it took long; 0: it does not rest */
};

static const struct job excursions[] = {
	{&stmt_notify_evaluate, offsetof(struct notify_config, evaluate_every), M_EVALUATED, 200, false, 1, 0},
};
static const struct job rest[] = {
	{&stmt_notify_rollup, offsetof(struct notify_config, rollup_every), M_ROLLED_UP, 200, false, 1, 0},
	{&stmt_notify_watch, offsetof(struct notify_config, look_every), M_WATCHED, MOST, false, 1, LATE},
	{&stmt_notify_escalate, offsetof(struct notify_config, look_every), M_ESCALATED, MOST, false, 1, 0},
	{&stmt_notify_silence, offsetof(struct notify_config, silence_every), M_SILENCES, MOST, false, 1, 0},
	{&stmt_notify_calibration, offsetof(struct notify_config, silence_every), M_CALIBRATIONS, MOST, false, 10, 0},
	{&stmt_notify_push, offsetof(struct notify_config, push_every), M_PUSHED, 200, false, 1, 0},
	{&stmt_notify_forget, offsetof(struct notify_config, look_every), M_FORGOTTEN, MOST, true, 600, 0},
};
#define MOST_JOBS (sizeof(rest) / sizeof(rest[0]))

static const struct set {
	const char *name;
	const struct job *table;
	size_t count;
} sets[JOBS_SETS] = {
	[JOBS_EXCURSIONS] = {"excursions-db", excursions, sizeof(excursions) / sizeof(excursions[0])},
	[JOBS_REST] = {"jobs-db", rest, MOST_JOBS},
};

struct jobs {
	const struct notify_config *config;
	struct metrics *metrics;
	jobs_cb *cb;
	void *arg;
	struct db *db;
	struct event *timer;
	const struct job *table;
	const struct statement *statements[MOST_JOBS];
	size_t count;
	double due[MOST_JOBS]; /* monotonic seconds */
	size_t running;        /* count: none */
	int32_t did;
	double began;
	bool stopping;
};

static void set_timer(struct jobs *j)
{
	double first = j->due[0];
	for (size_t i = 1; i < j->count; i++)
		first = j->due[i] < first ? j->due[i] : first;
	double wait = first - clock_seconds();
	struct timeval tv = clock_timeval(wait > 0 ? wait : 0);
	if (!j->stopping)
		event_add(j->timer, &tv);
}

static void on_row(struct db *db, const PGresult *res, void *arg)
{
	struct jobs *j = arg;
	(void)db;
	if (res != NULL && PQresultStatus(res) == PGRES_TUPLES_OK && PQntuples(res) == 1 && !PQgetisnull(res, 0, 0))
		j->did = pg_read_int4(PQgetvalue(res, 0, 0));
}

/* How long after a call that did all there was to do the next one is due. */
static double wait_after(const struct jobs *j, const struct job *job, double took)
{
	double every = *(const double *)(const void *)((const char *)j->config + job->every) * job->factor;
	double rests = REST * took < job->rests ? REST * took : job->rests;
	return every > rests ? every : rests;
}

static void on_end(struct db *db, bool ok, const char *sqlstate, const struct err *e, void *arg)
{
	struct jobs *j = arg;
	const struct job *job = &j->table[j->running];
	double now = clock_seconds(), wait = wait_after(j, job, now - j->began);
	(void)db, (void)sqlstate;
	metric_add(j->metrics, M_JOBS, 1);
	metric_observe(j->metrics, M_JOB_SECONDS, now - j->began);
	if (!ok)
		log_warn(object, "%s failed: %s", job->statement->name, e->detail);
	else
		metric_add(j->metrics, job->done, j->did);
	j->due[j->running] = now + (!ok ? (wait > AGAIN ? wait : AGAIN) : j->did > 0 ? 0 : wait);
	j->running = j->count;
	set_timer(j);
}

static void run(struct jobs *j, size_t i)
{
	char days[24], most[24];
	snprintf(days, sizeof(days), "%d", (int)(j->config->keep / 86400));
	snprintf(most, sizeof(most), "%d", j->table[i].most);
	const char *const with_days[] = {days, most}, *const without[] = {most};
	const struct db_params params = {.count = j->table[i].days ? 2 : 1,
					 .values = j->table[i].days ? with_days : without,
					 .binary_result = true};
	j->running = i;
	j->did = 0;
	j->began = clock_seconds();
	if (!db_query(j->db, j->table[i].statement, &params, on_row, j) || !db_commit(j->db, on_end, j))
		j->running = j->count; /* DB_UP sets the timer again */
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct jobs *j = arg;
	size_t next = 0;
	(void)fd, (void)what;
	for (size_t i = 1; i < j->count; i++)
		next = j->due[i] < j->due[next] ? i : next;
	if (j->running == j->count && db_up(j->db) && !j->stopping)
		run(j, next);
}

static void on_db(struct db *db, enum db_event event, const char *text, void *arg)
{
	struct jobs *j = arg;
	(void)db, (void)text;
	if (event == DB_UP)
		set_timer(j);
	if (event != DB_NOTIFY)
		j->cb(event == DB_UP ? JOBS_ONLINE : JOBS_OFFLINE, j->arg);
}

struct jobs *jobs_new(struct event_base *base, enum jobs_set set, const struct notify_config *config,
		      struct metrics *metrics, jobs_cb *cb, void *arg)
{
	struct jobs *j = calloc(1, sizeof(*j));
	if (j == NULL)
		abort();
	*j = (struct jobs){.config = config,
			   .metrics = metrics,
			   .cb = cb,
			   .arg = arg,
			   .table = sets[set].table,
			   .count = sets[set].count,
			   .running = sets[set].count};
	for (size_t i = 0; i < j->count; i++)
		j->statements[i] = j->table[i].statement;
	const struct db_options options = {
		.name = sets[set].name,
		.conninfo = config->database,
		.statements = j->statements,
		.statement_count = j->count,
		.reply_timeout = 300,
		.connect_timeout = 10,
	};
	j->db = db_new(base, &options, on_db, j);
	j->timer = evtimer_new(base, on_timer, j);
	if (j->timer == NULL)
		abort();
	return j;
}

void jobs_free(struct jobs **jp)
{
	struct jobs *j = *jp;
	if (j == NULL)
		return;
	db_free(&j->db);
	event_free(j->timer);
	free(j);
	*jp = NULL;
}

void jobs_start(struct jobs *j)
{
	db_start(j->db);
}

void jobs_stop(struct jobs *j)
{
	j->stopping = true;
	event_del(j->timer);
}
