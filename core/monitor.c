/* SPDX-License-Identifier: Apache-2.0
 *
 * The operators' window, on libevent's HTTP server. */
#include "core/monitor.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/http.h>

#include "core/listen.h"
#include "core/metrics.h"
#include "core/service.h"

struct monitor {
	struct service *service;
	struct evhttp *http;
	struct listen_address at; /* all zero until it listens there */
};

static void reply(struct evhttp_request *req, int status, const char *reason, const char *type, struct evbuffer *body)
{
	evhttp_add_header(evhttp_request_get_output_headers(req), "Content-Type", type);
	evhttp_send_reply(req, status, reason, body);
	evbuffer_free(body);
}

static void serve_metrics(struct evhttp_request *req, void *arg)
{
	struct monitor *m = arg;
	struct evbuffer *body = evbuffer_new();
	metrics_render(service_metrics(m->service), body);
	reply(req, 200, "OK", "text/plain; version=0.0.4; charset=utf-8", body);
}

static void serve_health(struct evhttp_request *req, void *arg)
{
	struct evbuffer *body = evbuffer_new();
	(void)arg;
	evbuffer_add_printf(body, "ok\n");
	reply(req, 200, "OK", "text/plain", body);
}

static void serve_ready(struct evhttp_request *req, void *arg)
{
	struct monitor *m = arg;
	char why[200];
	struct evbuffer *body = evbuffer_new();
	bool ready = service_ready(m->service, why, sizeof(why));
	evbuffer_add_printf(body, "%s\n", ready ? "ready" : why);
	reply(req, ready ? 200 : 503, ready ? "OK" : "Service Unavailable", "text/plain", body);
}

/* Out of descriptors: a connection that nobody takes keeps the listener readable and would turn the loop at full speed.
 * One descriptor is held in reserve to take it and close it. */
static int reserve = -1;

static void shed_connection(struct evconnlistener *listener, void *arg)
{
	(void)arg;
	if (reserve >= 0)
		close(reserve);
	int fd = accept(evconnlistener_get_fd(listener), NULL, NULL);
	if (fd >= 0)
		close(fd);
	reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static bool listen_at(struct monitor *m, const char *where, struct err *e)
{
	const struct listen_options options = {.backlog = 64, .local_only = true};
	struct listen_address at;
	struct evconnlistener *listener =
		listen_parse(where, &at, e) ? listen_open(service_base(m->service), &at, &options, e) : NULL;
	if (listener == NULL)
		return err_prefix(e, "monitor: ");
	m->at = at;
	if (reserve < 0)
		reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
	evconnlistener_set_error_cb(listener, shed_connection);
	if (evhttp_bind_listener(m->http, listener) != NULL)
		return true;
	evconnlistener_free(listener);
	return err_set(e, ERR_INTERNAL, "monitor: evhttp refused the listener");
}

struct monitor *monitor_new(struct service *s, const char *where, struct err *e)
{
	struct monitor *m = calloc(1, sizeof(*m));
	if (m == NULL)
		abort();
	m->service = s;
	m->http = evhttp_new(service_base(s));
	if (m->http == NULL)
		abort();
	evhttp_set_max_headers_size(m->http, 8192);
	evhttp_set_max_body_size(m->http, 1024);
	evhttp_set_allowed_methods(m->http, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD);
	evhttp_set_timeout(m->http, 10);
	evhttp_set_cb(m->http, "/metrics", serve_metrics, m);
	evhttp_set_cb(m->http, "/healthz", serve_health, m);
	evhttp_set_cb(m->http, "/readyz", serve_ready, m);
	if (!listen_at(m, where, e))
		monitor_free(&m);
	return m;
}

void monitor_free(struct monitor **mp)
{
	struct monitor *m = *mp;
	if (m == NULL)
		return;
	evhttp_free(m->http);
	listen_remove(&m->at);
	free(m);
	*mp = NULL;
}
