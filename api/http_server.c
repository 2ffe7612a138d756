/* SPDX-License-Identifier: Apache-2.0
 *
 * The listening side: where it may listen, how many connections it holds, what happens when there are too many, and
 * how it ends. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "api/http_internal.h"
#include "core/log.h"

#define BACKLOG             512
#define DESCRIPTORS_FOR_US  64 /* database, monitor, log, epoll ... */
#define RESUME_AFTER_SECOND 1
#define LEAVE_MICROSECONDS  500000 /* a round trip, for who had begun to connect; SYNs come again after a second */

/* ---- too many ---- */

#define FULL_BODY                                                                                                      \
	"{\"type\":\"urn:coldfleet:problem:overloaded\",\"title\":\"Service Unavailable\",\"status\":503,"             \
	"\"detail\":\"too many connections, try again\"}\n"

/* Best effort: the answer fits into the socket's buffer, or the client learns from the close. */
static void turn_away(const struct http_server *s, evutil_socket_t fd)
{
	if (s->options.tls != NULL) { /* who waits for a handshake cannot read an answer */
		evutil_closesocket(fd);
		return;
	}
	char answer[512];
	int len = snprintf(answer, sizeof(answer),
			   "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\n"
			   "Content-Length: %zu\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
			   "Retry-After: 1\r\nConnection: close\r\n\r\n%s",
			   sizeof(FULL_BODY) - 1, FULL_BODY);
	char scratch[4096];
	send(fd, answer, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT);
	shutdown(fd, SHUT_WR);
	if (recv(fd, scratch, sizeof(scratch), MSG_DONTWAIT) < 0 && errno != EAGAIN)
		log_debug("http", "turned away, and the client has gone: %s", strerror(errno));
	evutil_closesocket(fd);
}

static int64_t count_from(const struct http_server *s, const struct in6_addr *from)
{
	const struct http_conn *c;
	int64_t n = 0;
	TAILQ_FOREACH(c, &s->conns, next)
	n += memcmp(&c->from, from, sizeof(*from)) == 0;
	return n;
}

static bool make_room(struct http_server *s)
{
	struct http_conn *c;
	TAILQ_FOREACH(c, &s->conns, next)
	if (http_conn_idle(c)) {
		http_conn_free(&c);
		return true;
	}
	return false;
}

/* ---- accepting ---- */

static struct in6_addr address_of(const struct sockaddr *sa)
{
	struct in6_addr a = IN6ADDR_ANY_INIT;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	if (sa->sa_family == AF_INET) {
		memcpy(&in, sa, sizeof(in));
		a.s6_addr[10] = a.s6_addr[11] = 0xff;
		memcpy(&a.s6_addr[12], &in.sin_addr, 4);
	} else if (sa->sa_family == AF_INET6) {
		memcpy(&in6, sa, sizeof(in6));
		a = in6.sin6_addr;
	}
	return a;
}

static void on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *sa, int len, void *arg)
{
	struct http_server *s = arg;
	struct in6_addr from = address_of(sa);
	(void)l, (void)len;
	bool of_address = s->options.max_per_address > 0 && !IN6_IS_ADDR_UNSPECIFIED(&from) &&
			  count_from(s, &from) >= s->options.max_per_address;
	if (of_address || (s->count >= (size_t)s->options.max_connections && !make_room(s))) {
		log_info("http", "connection turned away, connections=%zu limit=%s", s->count,
			 of_address ? "max_connections_per_address" : "max_connections");
		http_server_observe(s, HTTP_TURNED_AWAY, 1, 0);
		turn_away(s, fd);
		return;
	}
	struct http_conn *c = http_conn_new(s, fd, &from);
	if (c != NULL && http_server_stopping(s))
		http_conn_stop(c);
}

/* Out of descriptors or memory: without a pause the listener would spin. */
static void on_accept_error(struct evconnlistener *l, void *arg)
{
	struct http_server *s = arg;
	struct timeval tv = {RESUME_AFTER_SECOND, 0};
	log_error("http", "accept failed, pausing for a second: %s", strerror(errno));
	evconnlistener_disable(l);
	evtimer_add(s->resume, &tv);
}

static void on_resume(evutil_socket_t fd, short what, void *arg)
{
	struct http_server *s = arg;
	(void)fd, (void)what;
	if (s->listener != NULL)
		evconnlistener_enable(s->listener);
}

/* ---- listening ---- */

static bool listen_at(struct http_server *s, const char *where, struct err *e)
{
	struct listen_address at;
	const struct listen_options options = {.backlog = BACKLOG,
					       .local_only = s->options.tls == NULL,
					       .reuse_port = s->options.reuse_port,
					       .accepted = on_accept,
					       .arg = s};
	if (strcmp(where, "systemd") == 0 ? !listen_passed(&at, e) : !listen_parse(where, &at, e))
		return err_prefix(e, "listen: ");
	s->listener = listen_open(s->base, &at, &options, e);
	if (s->listener == NULL && options.local_only && !at.local)
		return err_set(
			e, ERR_CONFIG,
			"listen: %.100s is not a loopback address; clear text stays on this machine: set tls_cert "
			"and tls_key, or put a TLS proxy in front",
			where);
	if (s->listener == NULL)
		return err_prefix(e, "listen: ");
	s->at = at;
	evconnlistener_set_error_cb(s->listener, on_accept_error);
	return true;
}

static bool reserve_descriptors(int64_t connections, struct err *e)
{
	struct rlimit limit;
	rlim_t want = (rlim_t)connections + DESCRIPTORS_FOR_US;
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return err_set(e, ERR_SYSTEM, "getrlimit: %s", strerror(errno));
	if (limit.rlim_cur >= want)
		return true;
	if (limit.rlim_max < want)
		return err_set(e, ERR_CONFIG, "max_connections=%lld needs %llu file descriptors, the limit is %llu",
			       (long long)connections, (unsigned long long)want, (unsigned long long)limit.rlim_max);
	limit.rlim_cur = want;
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
		return err_set(e, ERR_SYSTEM, "setrlimit: %s", strerror(errno));
	return true;
}

/* ---- leaving ---- */

bool http_server_stopping(const struct http_server *s)
{
	return s->stopped != NULL;
}

/* Who has connected and was not accepted would get a reset when the listener closes. */
static void accept_rest(struct http_server *s)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	int fd;
	while ((fd = accept4(evconnlistener_get_fd(s->listener), (struct sockaddr *)&ss, &len,
			     SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		on_accept(s->listener, fd, (struct sockaddr *)&ss, (int)len, s);
		len = sizeof(ss);
	}
}

static void listener_close(struct http_server *s)
{
	if (s->listener == NULL)
		return;
	evconnlistener_free(s->listener);
	s->listener = NULL;
	listen_remove(&s->at);
}

/* What waits at a socket that others hold too, they will take. */
static void on_leave(evutil_socket_t fd, short what, void *arg)
{
	struct http_server *s = arg;
	(void)fd, (void)what;
	if (s->listener != NULL && s->at.passed == 0)
		accept_rest(s);
	listener_close(s);
	http_server_counted(s);
}

/* ---- beginning and end ---- */

static void on_stopped(evutil_socket_t fd, short what, void *arg)
{
	struct http_server *s = arg;
	(void)fd, (void)what;
	s->stopped(s->stopped_arg);
}

struct http_server *http_server_new(struct event_base *base, const char *where, const struct http_options *options,
				    http_handler *handler, void *arg, struct err *e)
{
	unsigned char id[8];
	struct http_server *s = calloc(1, sizeof(*s));
	if (s == NULL)
		abort();
	s->base = base;
	s->options = *options;
	s->handler = handler;
	s->arg = arg;
	TAILQ_INIT(&s->conns);
	evutil_secure_rng_get_bytes(id, sizeof(id));
	for (size_t i = 0; i < sizeof(id); i++)
		snprintf(s->id_prefix + 2 * i, 3, "%02x", id[i]);
	s->resume = evtimer_new(base, on_resume, s);
	s->stopped_event = evtimer_new(base, on_stopped, s);
	s->leave = evtimer_new(base, on_leave, s);
	if (s->resume == NULL || s->stopped_event == NULL || s->leave == NULL)
		abort();
	if (!reserve_descriptors(options->max_connections, e) || !listen_at(s, where, e))
		http_server_free(&s);
	return s;
}

void http_server_observe(const struct http_server *s, enum http_observation what, double value, double seconds)
{
	if (s->options.observer != NULL)
		s->options.observer(what, value, seconds, s->arg);
}

void http_server_counted(struct http_server *s)
{
	http_server_observe(s, HTTP_CONNECTIONS, (double)s->count, 0);
	if (s->count == 0 && s->requests == 0 && s->listener == NULL && http_server_stopping(s))
		event_active(s->stopped_event, EV_TIMEOUT, 0);
}

void http_server_stop(struct http_server *s, void (*done)(void *arg), void *arg)
{
	struct err e = {0};
	s->stopped = done;
	s->stopped_arg = arg;
	struct http_conn *c = TAILQ_FIRST(&s->conns);
	while (c != NULL) {
		struct http_conn *after = TAILQ_NEXT(c, next);
		http_conn_stop(c);
		c = after;
	}
	if (s->listener == NULL || !s->options.reuse_port || s->at.passed != 0 || s->at.sa.ss_family == AF_UNIX) {
		on_leave(-1, 0, s);
	} else if (!listen_leave(s->listener, &e)) {
		log_error("http", "connections that begin as this process stops may be reset: %s", e.detail);
		on_leave(-1, 0, s);
	} else {
		evtimer_add(s->leave, &(struct timeval){.tv_usec = LEAVE_MICROSECONDS});
	}
}

void http_server_free(struct http_server **sp)
{
	struct http_server *s = *sp;
	if (s == NULL)
		return;
	s->stopped = NULL;
	s->options.observer = NULL;
	listener_close(s);
	for (struct http_conn *c = TAILQ_FIRST(&s->conns); c != NULL; c = TAILQ_FIRST(&s->conns))
		http_conn_free(&c);
	event_free(s->resume);
	event_free(s->stopped_event);
	event_free(s->leave);
	free(s);
	*sp = NULL;
}

size_t http_server_connections(const struct http_server *s)
{
	return s->count;
}
