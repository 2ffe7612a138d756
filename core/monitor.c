/* SPDX-License-Identifier: Apache-2.0
 *
 * The operators' window, on libevent's HTTP server. */
#include "core/monitor.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/http.h>
#include <event2/listener.h>

#include "core/metrics.h"
#include "core/service.h"

struct monitor {
	struct service *service;
	struct evhttp *http;
	char unix_path[sizeof(((struct sockaddr_un *)0)->sun_path)];
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

/* A socket file outlives its process; only a connection tells whether somebody is behind it. */
static bool is_live(const struct sockaddr_un *addr)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return true;
	bool live = connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0 || errno != ECONNREFUSED;
	close(fd);
	return live;
}

static bool listen_unix(struct monitor *m, const char *path, struct err *e)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct stat st;
	/* Without a file there are no permissions: an abstract socket is open to everybody on the machine. */
	if (path[0] != '/')
		return err_set(e, ERR_CONFIG, "monitor: expected an absolute path after unix:, got '%.80s'", path);
	if (strlen(path) >= sizeof(addr.sun_path))
		return err_set(e, ERR_CONFIG, "monitor: socket path is longer than %zu bytes",
			       sizeof(addr.sun_path) - 1);
	memcpy(addr.sun_path, path, strlen(path) + 1);
	if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode)) {
		if (is_live(&addr))
			return err_set(e, ERR_CONFIG, "monitor: %s: somebody listens there already", path);
		unlink(path);
	}
	mode_t old = umask(0117);
	struct evconnlistener *listener = evconnlistener_new_bind(service_base(m->service), NULL, NULL,
								  LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 64,
								  (struct sockaddr *)&addr, (int)sizeof(addr));
	int saved = errno;
	umask(old);
	if (listener == NULL)
		return err_set(e, ERR_SYSTEM, "monitor: cannot listen on %s: %s", path, strerror(saved));
	if (evhttp_bind_listener(m->http, listener) == NULL) {
		evconnlistener_free(listener);
		return err_set(e, ERR_INTERNAL, "monitor: evhttp refused the listener");
	}
	memcpy(m->unix_path, path, strlen(path) + 1);
	return true;
}

static bool is_loopback(const struct sockaddr_storage *ss)
{
	if (ss->ss_family == AF_INET)
		return ntohl(((const struct sockaddr_in *)ss)->sin_addr.s_addr) >> 24 == 127;
	return ss->ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)ss)->sin6_addr);
}

static bool listen_tcp(struct monitor *m, const char *where, struct err *e)
{
	struct sockaddr_storage ss = {0};
	int len = sizeof(ss);
	/* The port stands at the same place in both families. */
	if (evutil_parse_sockaddr_port(where, (struct sockaddr *)&ss, &len) != 0 ||
	    ((const struct sockaddr_in *)&ss)->sin_port == 0)
		return err_set(e, ERR_CONFIG, "monitor: expected 127.0.0.1:PORT, [::1]:PORT or unix:/PATH, got '%.80s'",
			       where);
	if (!is_loopback(&ss))
		return err_set(e, ERR_CONFIG, "monitor: %.80s is not a loopback address", where);
	struct evconnlistener *listener = evconnlistener_new_bind(
		service_base(m->service), NULL, NULL, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE,
		64, (struct sockaddr *)&ss, len);
	if (listener == NULL)
		return err_set(e, ERR_SYSTEM, "monitor: cannot listen on %.80s: %s", where, strerror(errno));
	if (evhttp_bind_listener(m->http, listener) == NULL) {
		evconnlistener_free(listener);
		return err_set(e, ERR_INTERNAL, "monitor: evhttp refused the listener");
	}
	return true;
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
	bool ok = strncmp(where, "unix:", 5) == 0 ? listen_unix(m, where + 5, e) : listen_tcp(m, where, e);
	if (!ok)
		monitor_free(&m);
	return m;
}

void monitor_free(struct monitor **mp)
{
	struct monitor *m = *mp;
	if (m == NULL)
		return;
	evhttp_free(m->http);
	if (m->unix_path[0] != '\0')
		unlink(m->unix_path);
	free(m);
	*mp = NULL;
}
