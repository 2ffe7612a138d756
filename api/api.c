/* SPDX-License-Identifier: Apache-2.0
 *
 * Routes requests, picks the database connection with the least in flight, and keeps readiness: up while at least one
 * connection is. */
#include "api/api.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/call.h"
#include "api/cors.h"
#include "api/feed.h"
#include "api/live.h"
#include "api/oidc.h"
#include "api/problem.h"
#include "api/rate.h"
#include "api/routes.h"
#include "api/stream.h"
#include "api/worker.h"
#include "core/clock.h"
#include "core/log.h"
#include "schema/queries.h"

/* Statements in flight on one connection beyond which a request is better sent away than queued: two a request, at well
 * under a millisecond each. */
#define IN_FLIGHT_MAX    512
#define STATEMENTS_FIXED 4 /* that calls begin with, or that no route names */

/* Rows of refused logins. */
#define REFUSALS_PER_SECOND 1
#define REFUSALS_AT_ONCE    20

struct api {
	struct service *service;
	size_t part;
	struct db **db;
	size_t db_count, db_up_count;
	const struct statement **statements;
	struct limits *limits;
	const char *cors_origins;
	struct oidc *oidc;
	struct rate *refusals; /* rows of fleet.refused_login */
	struct stream_source streams;
	struct worker *worker;
	struct feed *feed;
	char setup[96]; /* runs at each connect, so it lives as long as the connections */
};

const struct metric_def api_metrics[M_ROWS] = {
	[M_ANSWERS_2XX] = {"coldfleet_api_answers_total", METRIC_COUNTER, "Requests answered", "class=\"2xx\""},
	[M_ANSWERS_4XX] = {"coldfleet_api_answers_total", METRIC_COUNTER, "Requests answered", "class=\"4xx\""},
	[M_ANSWERS_5XX] = {"coldfleet_api_answers_total", METRIC_COUNTER, "Requests answered", "class=\"5xx\""},
	[M_ANSWER_SECONDS] = {"coldfleet_api_answer_seconds", METRIC_SECONDS,
			      "From the first byte of a request to its answer", NULL},
	[M_CONNECTIONS] = {"coldfleet_api_connections", METRIC_GAUGE, "Open connections", NULL},
	[M_TURNED_AWAY] = {"coldfleet_api_connections_turned_away_total", METRIC_COUNTER,
			   "Connections refused because of max_connections or max_connections_per_address", NULL},
	[M_HANDSHAKES_FAILED] = {"coldfleet_api_tls_handshakes_failed_total", METRIC_COUNTER,
				 "TLS handshakes that failed or were too slow", NULL},
	[M_RATE_LIMITED] = {"coldfleet_api_rate_limited_total", METRIC_COUNTER,
			    "Requests refused because a token or an address asked too often", NULL},
	[M_LOGINS_REFUSED] = {"coldfleet_api_logins_refused_total", METRIC_COUNTER,
			      "Access tokens of an identity provider that did not hold", NULL},
	[M_STREAM_READERS] = {"coldfleet_api_stream_readers", METRIC_GAUGE, "Readers of the live stream", NULL},
	[M_STREAM_CUT] = {"coldfleet_api_stream_cut_total", METRIC_COUNTER,
			  "Readers of the live stream that were cut off because they were too slow", NULL},
};

static void on_db(struct db *db, enum db_event event, const char *text, void *arg)
{
	struct api *a = arg;
	(void)db, (void)text;
	if (event == DB_UP)
		a->db_up_count++;
	else if (event == DB_LOST)
		a->db_up_count--;
	service_part_up(a->service, a->part, a->db_up_count > 0);
}

/* Two forms of one answer may share a statement. */
static size_t add_statement(const struct statement **list, size_t n, const struct statement *st)
{
	for (size_t i = 0; i < n; i++)
		if (list[i] == st)
			return n;
	list[n] = st;
	return n + 1;
}

/* What the route table needs, and the proof that comes before it. Returns their number. */
static size_t collect_statements(struct api *a)
{
	size_t route_count;
	const struct route *routes = routes_all(&route_count);
	size_t n = 0;
	size_t most = STATEMENTS_FIXED + route_count;
	for (size_t i = 0; i < route_count; i++)
		most += routes[i].stream_count;
	a->statements = calloc(most, sizeof(struct statement *));
	if (a->statements == NULL)
		abort();
	a->statements[n++] = &stmt_api_begin;
	a->statements[n++] = &stmt_api_idempotency;
	a->statements[n++] = &stmt_api_begin_oidc;
	a->statements[n++] = &stmt_api_refused_login;
	for (size_t i = 0; i < route_count; i++) {
		if (routes[i].statement != NULL)
			a->statements[n++] = routes[i].statement;
		for (size_t k = 0; k < routes[i].stream_count; k++)
			n = add_statement(a->statements, n, routes[i].streams[k].statement);
	}
	return n;
}

/* NULL: none is up. */
static struct db *least_busy(const struct api *a)
{
	struct db *best = NULL;
	for (size_t i = 0; i < a->db_count; i++)
		if (db_up(a->db[i]) && (best == NULL || db_in_flight(a->db[i]) < db_in_flight(best)))
			best = a->db[i];
	return best;
}

static struct db *pick(void *arg)
{
	struct db *db = least_busy(arg);
	return db != NULL && db_in_flight(db) < IN_FLIGHT_MAX ? db : NULL;
}

static call_unproved_cb on_unproved;

struct api *api_new(struct service *s, const struct api_options *options)
{
	char name[32];
	struct api *a = calloc(1, sizeof(*a));
	if (a == NULL || (a->db = calloc((size_t)options->connections, sizeof(*a->db))) == NULL)
		abort();
	a->service = s;
	a->part = service_part(s, "database");
	a->limits = limits_new(&options->limits);
	a->cors_origins = options->cors_origins;
	a->oidc = options->oidc;
	a->refusals = rate_new(REFUSALS_PER_SECOND, REFUSALS_AT_ONCE, 1);
	call_use_oidc(a->oidc);
	a->streams = (struct stream_source){.pick = pick, .arg = a, .max = (size_t)options->max_streams};
	/* PostgreSQL gives up before we do, so that a slow statement costs an answer and not the connection. */
	snprintf(a->setup, sizeof(a->setup), "SET statement_timeout = %ld; SET jit = off",
		 (long)(options->request_timeout * 800));
	size_t statement_count = collect_statements(a);
	struct db_options o = {.name = name,
			       .conninfo = options->conninfo,
			       .setup = a->setup,
			       .statement_count = statement_count,
			       .statements = a->statements,
			       .reply_timeout = options->request_timeout,
			       .connect_timeout = 5};
	for (; a->db_count < (size_t)options->connections; a->db_count++) {
		snprintf(name, sizeof(name), "api-db-%zu", a->db_count);
		a->db[a->db_count] = db_new(service_base(s), &o, on_db, a);
		db_start(a->db[a->db_count]);
	}
	a->worker = worker_new(service_base(s), options->conninfo);
	call_on_unproved(on_unproved, a);
	const struct feed_options feed = {.conninfo = options->conninfo,
					  .heartbeat = options->stream_heartbeat,
					  .buffer = (size_t)options->stream_buffer,
					  .readers = (size_t)options->stream_readers};
	a->feed = feed_new(s, &feed);
	return a;
}

void api_free(struct api **ap)
{
	struct api *a = *ap;
	if (a == NULL)
		return;
	feed_free(&a->feed);
	call_on_unproved(NULL, NULL);
	worker_free(&a->worker);
	for (size_t i = 0; i < a->db_count; i++)
		db_free(&a->db[i]);
	rate_free(&a->refusals);
	limits_free(&a->limits);
	free(a->statements);
	free(a->db);
	free(a);
	*ap = NULL;
}

void api_stop(struct api *a)
{
	feed_stop(a->feed);
}

static void on_noted(struct db *db, const PGresult *res, void *arg)
{
	(void)db, (void)res, (void)arg; /* the connection has logged what went wrong */
}

static void on_noted_commit(struct db *db, bool ok, const char *sqlstate, const struct err *e, void *arg)
{
	(void)db, (void)ok, (void)sqlstate, (void)e, (void)arg;
}

/* A refused login on its way into the record. */
struct refusal {
	struct api *api;
	char reason[32], detail[sizeof(((struct err *)0)->detail)], address[INET6_ADDRSTRLEN], request[64];
};

static void record_refusal(evutil_socket_t fd, short what, void *arg)
{
	struct refusal *x = arg;
	struct db *db = least_busy(x->api);
	const char *const values[] = {x->reason, x->detail, x->address[0] != '\0' ? x->address : NULL, x->request};
	const struct db_params params = {.count = 4, .values = values};

	(void)fd, (void)what;
	if (db != NULL && db_in_flight(db) < IN_FLIGHT_MAX &&
	    db_query(db, &stmt_api_refused_login, &params, on_noted, x->api))
		db_commit(db, on_noted_commit, x->api);
	free(x);
}

/* Log and metric have every refusal, the table as many as a stranger cannot fill it with. It is recorded a moment
 * later: the database may be in the middle of taking the request's own statements. */
static void note_refusal(struct api *a, const struct http_request *r, const char *reason, const char *detail)
{
	static const unsigned char all[RATE_KEY];
	static const struct timeval now_tv = {0};
	struct refusal *x = calloc(1, sizeof(*x));
	const struct in6_addr *from = http_from(r);

	if (x == NULL)
		abort();
	x->api = a;
	snprintf(x->reason, sizeof(x->reason), "%s", reason);
	snprintf(x->detail, sizeof(x->detail), "%s", detail);
	snprintf(x->request, sizeof(x->request), "%s", http_id(r));
	if (IN6_IS_ADDR_V4MAPPED(from))
		evutil_inet_ntop(AF_INET, &from->s6_addr[12], x->address, sizeof(x->address));
	else if (!IN6_IS_ADDR_UNSPECIFIED(from))
		evutil_inet_ntop(AF_INET6, from, x->address, sizeof(x->address));
	metric_add(service_metrics(a->service), M_LOGINS_REFUSED, 1);
	log_warn("api", "request=%s login refused reason=%s from=%s", x->request, reason, x->address);
	if (!rate_take(a->refusals, all, clock_seconds()).allowed ||
	    event_base_once(service_base(a->service), -1, EV_TIMEOUT, record_refusal, x, &now_tv) != 0)
		free(x);
}

static void on_unproved(const struct http_request *r, const char *detail, void *arg)
{
	note_refusal(arg, r, "token", detail);
}

/* The token of an identity provider must hold; one of our own the database looks at. */
static bool prove(struct api *a, const struct http_request *r, const unsigned char sha256[32], struct err *e)
{
	const char *token = strchr(http_field(r, HTTP_AUTHORIZATION), ' ');
	enum jwt_fault fault;
	token += strspn(token, " ");
	if (a->oidc == NULL || !oidc_is_jwt(token) || oidc_prove(a->oidc, token, sha256, &fault, e))
		return true;
	if (e->code == ERR_UNAUTHORIZED)
		note_refusal(a, r, jwt_fault_name(fault), e->detail);
	return false;
}

/* Before the database is asked. False: `r` has been answered. */
static bool may_ask(struct api *a, struct http_request *r)
{
	unsigned char token[32];
	struct err e = {0};
	bool has_token = call_token(http_field(r, HTTP_AUTHORIZATION), token, NULL);
	if (!limits_allow(a->limits, r, has_token ? token : NULL)) {
		metric_add(service_metrics(a->service), M_RATE_LIMITED, 1);
		return false;
	}
	if (!has_token || prove(a, r, token, &e))
		return true;
	http_problem_err(r, &e);
	return false;
}

void api_handle(struct http_request *r, void *arg)
{
	struct api *a = arg;
	struct route_match m;
	struct err e = {0};
	size_t route_count;
	const struct route *routes = routes_all(&route_count);
	cors_mark(a->cors_origins, r);
	bool ok = route_find(routes, route_count, http_method(r), http_target(r), &m, &e);
	if (ok && m.route->act != NULL && evbuffer_get_length(http_body(r)) > 0)
		ok = err_set(&e, ERR_REQUEST, "%s takes no body here", http_method(r));
	struct db *db = ok ? least_busy(a) : NULL;
	if (ok && m.route->act != NULL) {
		m.route->act(a, r);
		return;
	}
	if (e.code == ERR_METHOD && cors_is_preflight(a->cors_origins, r)) {
		cors_preflight(r, m.allow);
		return;
	}
	if (!may_ask(a, r))
		return;
	if (ok && db != NULL && db_in_flight(db) >= IN_FLIGHT_MAX)
		ok = err_set(&e, ERR_OVERLOADED, "the database has too many requests to answer, try again");
	const struct route_stream *as = ok ? stream_wanted_by(r, &m) : NULL;
	if (as != NULL) {
		stream_run(&a->streams, r, &m, as);
		return;
	}
	if (ok && m.route->live) {
		live_run(a->feed, db, r, &m);
		return;
	}
	if (ok) {
		call_run(db, r, &m);
		return;
	}
	if (e.code == ERR_METHOD)
		http_add_field(r, "Allow", "%s", m.allow);
	http_problem_err(r, &e);
}

void api_observe(enum http_observation what, double value, double seconds, void *arg)
{
	struct api *a = arg;
	struct metrics *m = service_metrics(a->service);
	switch (what) {
	case HTTP_ANSWERED:
		metric_add(m, value < 400 ? M_ANSWERS_2XX : value < 500 ? M_ANSWERS_4XX : M_ANSWERS_5XX, 1);
		metric_observe(m, M_ANSWER_SECONDS, seconds);
		break;
	case HTTP_CONNECTIONS:
		metric_set(m, M_CONNECTIONS, value);
		break;
	case HTTP_TURNED_AWAY:
		metric_add(m, M_TURNED_AWAY, value);
		break;
	case HTTP_HANDSHAKE_FAILED:
		metric_add(m, M_HANDSHAKES_FAILED, value);
		break;
	}
}

static void reply_status(struct http_request *r, const char *status)
{
	struct evbuffer *body = evbuffer_new();
	if (body == NULL)
		abort();
	evbuffer_add_printf(body, "{\"status\":\"%s\"}\n", status);
	http_reply(r, 200, "application/json", body);
	evbuffer_free(body);
}

void api_health(struct api *a, struct http_request *r)
{
	(void)a;
	reply_status(r, "alive");
}

void api_ready(struct api *a, struct http_request *r)
{
	char why[160];
	struct err e;
	if (service_ready(a->service, why, sizeof(why))) {
		reply_status(r, "ready");
		return;
	}
	err_set(&e, ERR_DB_LOST, "not ready: %s", why);
	http_problem_err(r, &e);
}
