/* SPDX-License-Identifier: Apache-2.0
 *
 * One client connection: reads a request with a deadline on the whole of it, hands it over, writes the answer, goes on
 * to the next. Pipelined requests wait in the input buffer, whose high watermark stops reading. A refused request is
 * answered, our side is shut, and what the client still sends is thrown away until it closes: closing at once could
 * reset the connection before the answer is read. */
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/bufferevent_ssl.h>
#include <openssl/err.h>

#include "api/http_internal.h"
#include "api/problem.h"
#include "api/tls.h"
#include "core/log.h"

enum conn_state {
	CONN_HANDSHAKE, /* of TLS */
	CONN_IDLE,      /* nothing of the next request has come */
	CONN_HEAD,      /* its head is being read */
	CONN_BODY,      /* its body is being read */
	CONN_WORKING,   /* the handler has it */
	CONN_STREAMING, /* the answer is being made and sent, piece by piece */
	CONN_WRITING,   /* the answer is on its way out */
	CONN_LINGERING,
	CONN_STATES
};

#define WRITE_AT_ONCE  (256 * 1024)
#define LINGER_SECONDS 2.0
#define DRAIN_SECONDS  2.0 /* for a request that is on its way while the server stops */
#define LINGER_BYTES   (256 * 1024)
#define STOP_SECONDS   5           /* for a long answer that is on its way while the server stops */
#define LOW_WATER      (64 * 1024) /* of a long answer: what the client takes while the next piece is made */

#define TO(state) (1u << (state))
static const struct {
	const char *name;
	unsigned to; /* states that may follow */
} state_table[CONN_STATES] = {
	[CONN_HANDSHAKE] = {"HANDSHAKE", TO(CONN_IDLE)},
	[CONN_IDLE] = {"IDLE", TO(CONN_HEAD)},
	[CONN_HEAD] = {"HEAD", TO(CONN_BODY) | TO(CONN_WORKING)},
	[CONN_BODY] = {"BODY", TO(CONN_WORKING)},
	[CONN_WORKING] = {"WORKING", TO(CONN_WRITING) | TO(CONN_STREAMING)},
	[CONN_STREAMING] = {"STREAMING", TO(CONN_WRITING)},
	[CONN_WRITING] = {"WRITING", TO(CONN_IDLE) | TO(CONN_LINGERING)},
	[CONN_LINGERING] = {"LINGERING", 0},
};

static void conn_deadline(struct http_conn *c)
{
	const struct http_options *o = &c->server->options;
	const double seconds[CONN_STATES] = {
		[CONN_HANDSHAKE] = o->handshake_timeout, [CONN_IDLE] = c->last ? DRAIN_SECONDS : o->idle_timeout,
		[CONN_HEAD] = o->request_timeout,        [CONN_WRITING] = o->idle_timeout,
		[CONN_STREAMING] = o->idle_timeout,      [CONN_LINGERING] = LINGER_SECONDS,
	};
	double s = seconds[c->state];
	struct timeval tv = {(time_t)s, (suseconds_t)((s - (double)(time_t)s) * 1e6)};
	if (c->state == CONN_BODY)
		return; /* the deadline counts from the first byte of the head */
	if (c->state == CONN_WORKING)
		evtimer_del(c->timer); /* whoever works on it has deadlines of his own */
	else
		evtimer_add(c->timer, &tv);
}

static void conn_enter(struct http_conn *c, enum conn_state to)
{
	if ((state_table[c->state].to & TO(to)) == 0)
		abort();
	log_debug("http", "conn=%p: %s -> %s", (void *)c, state_table[c->state].name, state_table[to].name);
	c->state = to;
	TAILQ_REMOVE(&c->server->conns, c, next);
	TAILQ_INSERT_TAIL(&c->server->conns, c, next);
	conn_deadline(c);
}

static void conn_close(struct http_conn *c)
{
	http_conn_free(&c);
}

/* ---- reading ---- */

static void conn_work(struct http_conn *c)
{
	conn_enter(c, CONN_WORKING);
	c->server->handler(c->request, c->server->arg);
}

/* Answers a request that nobody but us will see, and is the last on the connection. */
static void conn_refuse(struct http_conn *c, int status, const char *reason, const char *slug, const char *detail)
{
	c->last = true;
	if (c->request == NULL)
		c->request = http_request_new(c->server, c, NULL, &c->head, &c->started);
	conn_enter(c, CONN_WORKING);
	http_problem(c->request, status, slug, reason, detail);
}

static void conn_body(struct http_conn *c)
{
	struct http_request *r = c->request;
	size_t missing = (size_t)r->head.body_length - evbuffer_get_length(r->body);
	evbuffer_remove_buffer(bufferevent_get_input(c->bev), r->body, missing);
	if (evbuffer_get_length(r->body) == r->head.body_length)
		conn_work(c);
}

static void conn_head_done(struct http_conn *c, const char *bytes)
{
	struct evbuffer *input = bufferevent_get_input(c->bev);
	c->last = c->last || c->head.close;
	c->request = http_request_new(c->server, c, bytes, &c->head, &c->started);
	evbuffer_drain(input, c->head.length);
	if (c->head.body_length == 0) {
		conn_work(c);
		return;
	}
	conn_enter(c, CONN_BODY);
	if (c->head.expect_continue && evbuffer_get_length(input) == 0)
		evbuffer_add_printf(bufferevent_get_output(c->bev), "HTTP/1.1 100 Continue\r\n\r\n");
	conn_body(c);
}

static void conn_head(struct http_conn *c)
{
	struct evbuffer *input = bufferevent_get_input(c->bev);
	size_t len = evbuffer_get_length(input), most = c->server->options.limits.head + 1;
	if (len == 0)
		return;
	if (c->state == CONN_IDLE) {
		http_head_init(&c->head, &c->server->options.limits);
		evutil_gettimeofday(&c->started, NULL);
		conn_enter(c, CONN_HEAD);
	}
	if (len > most)
		len = most;
	const char *bytes = (const char *)evbuffer_pullup(input, (ev_ssize_t)len);
	enum http_verdict verdict = http_head_parse(&c->head, bytes, len);
	if (verdict == HTTP_COMPLETE) {
		conn_head_done(c, bytes);
	} else if (verdict == HTTP_REFUSED) {
		const struct http_fault_text *t = http_fault_text(c->head.fault);
		conn_refuse(c, t->status, t->reason, t->slug, t->detail);
	}
}

static void conn_discard(struct http_conn *c)
{
	struct evbuffer *input = bufferevent_get_input(c->bev);
	c->discarded += evbuffer_get_length(input);
	evbuffer_drain(input, evbuffer_get_length(input));
	if (c->discarded > LINGER_BYTES)
		conn_close(c);
}

static void on_read(struct bufferevent *bev, void *arg)
{
	struct http_conn *c = arg;
	(void)bev;
	switch ((enum conn_state)c->state) {
	case CONN_IDLE:
	case CONN_HEAD:
		conn_head(c);
		break;
	case CONN_BODY:
		conn_body(c);
		break;
	case CONN_LINGERING:
		conn_discard(c);
		break;
	default: /* the next request waits for the answer to this one */
		break;
	}
}

/* ---- writing ---- */

void http_conn_answer(struct http_conn *c, struct evbuffer *answer)
{
	c->request = NULL;
	conn_enter(c, CONN_WRITING);
	bufferevent_write_buffer(c->bev, answer);
}

static void conn_stop_stream(struct http_conn *c)
{
	c->ending = true;
	evtimer_add(c->timer, &(struct timeval){.tv_sec = STOP_SECONDS});
}

void http_conn_stream_begin(struct http_conn *c, struct evbuffer *head)
{
	conn_enter(c, CONN_STREAMING);
	if (http_server_stopping(c->server))
		conn_stop_stream(c);
	bufferevent_setwatermark(c->bev, EV_WRITE, c->request->live ? 0 : LOW_WATER, 0);
	bufferevent_write_buffer(c->bev, head);
}

void http_conn_live_write(struct http_conn *c, struct evbuffer *piece)
{
	if (evbuffer_get_length(bufferevent_get_output(c->bev)) == 0 && !c->ending)
		conn_deadline(c);
	bufferevent_write_buffer(c->bev, piece);
}

void http_conn_stream_write(struct http_conn *c, struct evbuffer *piece)
{
	if (!c->ending)
		conn_deadline(c);
	if (evbuffer_get_length(piece) > 0)
		bufferevent_write_buffer(c->bev, piece);
	else
		bufferevent_trigger(c->bev, EV_WRITE, BEV_OPT_DEFER_CALLBACKS);
}

void http_conn_stream_end(struct http_conn *c, const char *tail)
{
	if (tail == NULL) {
		conn_close(c);
		return;
	}
	c->request = NULL;
	bufferevent_setwatermark(c->bev, EV_WRITE, 0, 0);
	conn_enter(c, CONN_WRITING);
	if (tail[0] != '\0')
		bufferevent_write(c->bev, tail, strlen(tail));
	else
		bufferevent_trigger(c->bev, EV_WRITE, BEV_OPT_DEFER_CALLBACKS);
}

static void stream_wanted(struct http_request *r)
{
	if (!r->due && !(r->live && r->conn == NULL))
		return;
	r->due = false;
	r->wanted(r, r->wanted_arg);
}

static void conn_finish(struct http_conn *c)
{
	if (c->eof) {
		conn_close(c);
		return;
	}
	conn_enter(c, CONN_LINGERING);
	if (c->ssl != NULL)
		tls_goodbye(c->ssl);
	shutdown(bufferevent_getfd(c->bev), SHUT_WR);
	conn_discard(c);
}

/* The output is empty: the answer has left, or only a 100 Continue has. */
static void on_written(struct bufferevent *bev, void *arg)
{
	struct http_conn *c = arg;
	(void)bev;
	if (c->state == CONN_STREAMING) {
		if (!c->ending)
			evtimer_del(c->timer); /* who makes the next piece has deadlines of his own */
		stream_wanted(c->request);
		return;
	}
	if (c->state != CONN_WRITING)
		return;
	/* Not `last`: who was answered before the server began to stop may have sent the next request. */
	if (c->told) {
		conn_finish(c);
		return;
	}
	conn_enter(c, CONN_IDLE);
	conn_head(c);
	/* What the client sent before it shut its side is served; half a request is not. */
	if (c->eof && (c->state == CONN_IDLE || c->state == CONN_HEAD || c->state == CONN_BODY))
		conn_close(c);
}

/* ---- ends ---- */

static void conn_refused_handshake(const struct http_conn *c, struct bufferevent *bev)
{
	const char *reason = ERR_reason_error_string(bufferevent_get_openssl_error(bev));
	log_info("http", "TLS handshake failed: %s", reason != NULL ? reason : "the client has gone");
	http_server_observe(c->server, HTTP_HANDSHAKE_FAILED, 1, 0);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	struct http_conn *c = arg;
	if ((what & BEV_EVENT_CONNECTED) != 0) {
		conn_enter(c, CONN_IDLE);
		return;
	}
	if (c->state == CONN_HANDSHAKE)
		conn_refused_handshake(c, bev);
	bool live = c->state == CONN_STREAMING && c->request->live;
	if ((what & BEV_EVENT_EOF) != 0 && !live &&
	    (c->state == CONN_WORKING || c->state == CONN_STREAMING || c->state == CONN_WRITING))
		c->eof = true;
	else
		conn_close(c);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct http_conn *c = arg;
	(void)fd, (void)what;
	if (c->state == CONN_HEAD || c->state == CONN_BODY)
		conn_refuse(c, 408, "Request Timeout", "request-timeout", "the request was not complete in time");
	else {
		if (c->state == CONN_HANDSHAKE)
			http_server_observe(c->server, HTTP_HANDSHAKE_FAILED, 1, 0);
		conn_close(c);
	}
}

/* Callbacks of a TLS bufferevent are deferred: it would call them out of its own reading and writing. */
static struct bufferevent *transport(struct http_server *s, evutil_socket_t fd, SSL **ssl)
{
	*ssl = NULL;
	if (s->options.tls == NULL)
		return bufferevent_socket_new(s->base, fd, BEV_OPT_CLOSE_ON_FREE);
	*ssl = tls_session(s->options.tls);
	if (*ssl == NULL)
		return NULL;
	struct bufferevent *bev = bufferevent_openssl_socket_new(s->base, fd, *ssl, BUFFEREVENT_SSL_ACCEPTING,
								 BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
	if (bev == NULL)
		SSL_free(*ssl);
	else
		bufferevent_openssl_set_allow_dirty_shutdown(bev, 1);
	return bev;
}

struct http_conn *http_conn_new(struct http_server *s, evutil_socket_t fd, const struct in6_addr *from)
{
	struct http_conn *c = calloc(1, sizeof(*c));
	if (c == NULL)
		abort();
	c->bev = transport(s, fd, &c->ssl);
	if (c->bev == NULL) {
		log_error("http", "no memory for a connection");
		evutil_closesocket(fd);
		free(c);
		return NULL;
	}
	c->server = s;
	c->from = *from;
	c->state = c->ssl != NULL ? CONN_HANDSHAKE : CONN_IDLE;
	c->timer = evtimer_new(s->base, on_deadline, c);
	if (c->timer == NULL)
		abort();
	/* An answer that leaves in several writes must not wait for the acknowledgement of the first (Nagle). */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	bufferevent_set_max_single_write(c->bev, WRITE_AT_ONCE);
	bufferevent_setcb(c->bev, on_read, on_written, on_event, c);
	bufferevent_setwatermark(c->bev, EV_READ, 0, s->options.limits.head + 64 * 1024);
	bufferevent_enable(c->bev, EV_READ | EV_WRITE);
	TAILQ_INSERT_TAIL(&s->conns, c, next);
	s->count++;
	http_server_counted(s);
	conn_deadline(c);
	return c;
}

void http_conn_free(struct http_conn **cp)
{
	struct http_conn *c = *cp;
	if (c == NULL)
		return;
	struct http_request *orphan = NULL;
	if (c->request != NULL && (c->state == CONN_WORKING || c->state == CONN_STREAMING)) {
		orphan = c->request; /* its answer will find nobody */
		orphan->conn = NULL;
	} else {
		http_request_free(&c->request);
	}
	TAILQ_REMOVE(&c->server->conns, c, next);
	event_free(c->timer);
	/* An answer that was cut off must not look like one that ended. */
	if (c->ssl != NULL && c->state != CONN_HANDSHAKE && c->state != CONN_STREAMING &&
	    evbuffer_get_length(bufferevent_get_output(c->bev)) == 0)
		tls_goodbye(c->ssl);
	bufferevent_free(c->bev);
	c->server->count--;
	http_server_counted(c->server);
	free(c);
	*cp = NULL;
	if (orphan != NULL)
		stream_wanted(orphan);
}

bool http_conn_idle(const struct http_conn *c)
{
	return c->state == CONN_IDLE;
}

void http_conn_stop(struct http_conn *c)
{
	c->last = true;
	if (c->state == CONN_IDLE)
		conn_deadline(c);
	else if (c->state == CONN_STREAMING)
		conn_stop_stream(c);
	else if (c->state == CONN_LINGERING)
		conn_close(c);
}
