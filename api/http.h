/* SPDX-License-Identifier: Apache-2.0
 *
 * An HTTP/1.1 server on libevent's bufferevents: connections with deadlines and caps, requests that were validated
 * byte by byte (http_head.h) before anybody sees them, answers with the fields that every answer carries. One parser
 * reads the wire, so there is no second one for it to disagree with. */
#ifndef COLDFLEET_API_HTTP_H
#define COLDFLEET_API_HTTP_H

#include <event2/buffer.h>
#include <event2/event.h>
#include <netinet/in.h>

#include "api/http_head.h"
#include "core/err.h"

struct http_server;
struct tls;
struct http_request;

/* What the server lets be counted. */
enum http_observation {
	HTTP_ANSWERED,    /* value: the status */
	HTTP_CONNECTIONS, /* value: how many there are now */
	HTTP_TURNED_AWAY,
	HTTP_HANDSHAKE_FAILED
};
/* `seconds`: from the request's first byte to its answer, else 0. */
typedef void http_observer(enum http_observation what, double value, double seconds, void *arg);

struct http_options {
	struct http_limits limits;
	struct tls *tls;          /* borrowed; NULL: clear text, which goes no further than this machine */
	bool reuse_port;          /* other processes may serve the same port */
	double handshake_timeout; /* seconds for the whole of a TLS handshake */
	double request_timeout;   /* seconds from a request's first byte to its last */
	double idle_timeout;      /* seconds a connection may wait for its next request, or not take our answer */
	int64_t max_connections;  /* when reached, the connection that idles longest makes room; if none idles: 503 */
	int64_t max_per_address;  /* connections of one IP address; 0: no limit */
	http_observer *observer;  /* may be NULL; gets the handler's argument */
};

/* Called once for each complete and valid request. It must lead to exactly one http_reply() or http_stream_end(), now
 * or later. */
typedef void http_handler(struct http_request *r, void *arg);

/* `where` as in core/listen.h. */
struct http_server *http_server_new(struct event_base *base, const char *where, const struct http_options *options,
				    http_handler *handler, void *arg, struct err *e);
/* Takes no new connection, finishes the requests in flight and those that come within two seconds on connections
 * that are there, then calls `done` once. */
void http_server_stop(struct http_server *s, void (*done)(void *arg), void *arg);
/* Breaks what is left. Nobody may answer a request after this. */
void http_server_free(struct http_server **s);
size_t http_server_connections(const struct http_server *s);

/* Borrowed until http_reply(). */
const char *http_method(const struct http_request *r);
const char *http_target(const struct http_request *r); /* path and query as they came, still escaped */
const char *http_field(const struct http_request *r, enum http_field field); /* NULL: absent */
const char *http_id(const struct http_request *r); /* the client's X-Request-Id when it is a decent one, else ours */
struct evbuffer *http_body(const struct http_request *r);
uint64_t http_body_most(const struct http_request *r); /* bytes that a body may have */
/* Whom it came from: IPv4 mapped into IPv6; all zero: a Unix socket. Only until the handler returns. */
const struct in6_addr *http_from(const struct http_request *r);
double http_age(const struct http_request *r); /* seconds since its first byte */

/* One more field line for the answer; printf-style. `name` is borrowed only during the call. */
void http_add_field(struct http_request *r, const char *name, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Answers and ends the request: `r` is gone. Empties `body` (NULL: none), which stays the caller's. A long answer to
 * GET is compressed when the client takes that and the answer has no ETag, which would name two representations. What a
 * POST gives is never compressed: it may hold a secret beside what a stranger chose. */
void http_reply(struct http_request *r, int status, const char *type, struct evbuffer *body);

/* A long answer, in pieces. `wanted` is called, never out of these calls, once after each http_stream_write(): when the
 * client has taken nearly all of it, or has gone, which http_gone() tells. It leads, now or later, to the next piece or
 * to the end; so no more than one piece waits in memory, and a client that takes none for idle_timeout is cut off. */
typedef void http_wanted(struct http_request *r, void *arg);
void http_stream_begin(struct http_request *r, int status, const char *type, http_wanted *wanted, void *arg);
void http_stream_write(struct http_request *r, struct evbuffer *piece); /* empties it */
/* Ends the request: `r` is gone. Not `whole`: the connection breaks, so nobody takes what came for all of it. */
void http_stream_end(struct http_request *r, bool whole);
bool http_gone(const struct http_request *r); /* nobody is there to be answered */

/* An answer without an end, whose pieces come when they come. `gone` is called once, never out of these calls, when the
 * client has closed its side or has taken nothing for idle_timeout; it leads to http_stream_end(). */
void http_live_begin(struct http_request *r, const char *type, http_wanted *gone, void *arg);
/* Empties `piece`. False, with nothing sent: it does not take what it gets, and more than `most` bytes would wait. */
bool http_live_write(struct http_request *r, struct evbuffer *piece, size_t most);
size_t http_live_waiting(const struct http_request *r); /* bytes that the client has not taken */

#endif
