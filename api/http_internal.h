/* SPDX-License-Identifier: Apache-2.0
 *
 * What the three files of the HTTP server share: its server, connection and request as structs. */
#ifndef COLDFLEET_API_HTTP_INTERNAL_H
#define COLDFLEET_API_HTTP_INTERNAL_H

#include <netinet/in.h>
#include <sys/queue.h>
#include <sys/time.h>

#include <event2/bufferevent.h>
#include <openssl/ssl.h>

#include "api/http.h"
#include "core/listen.h"

struct http_conn;
TAILQ_HEAD(http_conns, http_conn);

struct http_server {
	struct event_base *base;
	struct http_options options;
	http_handler *handler;
	void *arg;
	struct evconnlistener *listener; /* NULL once nobody more is let in */
	struct event *resume;            /* accepts again after descriptors ran out */
	struct listen_address at;        /* all zero until it listens there */
	struct http_conns conns;         /* the one that changed state last stands last */
	size_t count;                    /* of connections */
	size_t requests;                 /* not yet answered, their clients gone or not */
	void (*stopped)(void *arg);
	void *stopped_arg;
	struct event *stopped_event;
	struct event *leave; /* closes the listener, when the last who had begun to connect are in */
	char id_prefix[17];
	uint64_t id_next;
};

struct http_request {
	struct http_server *server;
	struct http_conn *conn; /* NULL once the client has gone */
	char id[65];
	struct http_head head;
	char *bytes; /* the head, its method, target and looked-at values ended with NUL; NULL for a refused request */
	struct evbuffer *body;
	struct evbuffer *fields; /* more lines for the answer, NULL when none */
	bool tagged;             /* the answer has an ETag */
	struct timeval started;

	http_wanted *wanted; /* of a long answer */
	void *wanted_arg;
	bool live;         /* without an end: `wanted` is told that the client has gone, and nothing else */
	struct gzip *gzip; /* it is sent compressed; NULL: as it is */
	bool due;          /* a piece was written, `wanted` has not been called for the next */
	int status;
	size_t streamed; /* bytes */
};

/* NULL: there is no memory for TLS; `fd` is closed. */
struct http_conn *http_conn_new(struct http_server *s, evutil_socket_t fd, const struct in6_addr *from);
void http_conn_free(struct http_conn **c);
bool http_conn_idle(const struct http_conn *c);
/* The server stops: the next answer is the last, and an idle connection gets little time for it. May free `c`. */
void http_conn_stop(struct http_conn *c);
/* The answer to the request in work is complete in `answer` (emptied). May free nothing. */
void http_conn_answer(struct http_conn *c, struct evbuffer *answer);

/* A long answer begins with `head`, goes on with pieces (emptied), ends with `tail` or breaks the connection (NULL). */
void http_conn_stream_begin(struct http_conn *c, struct evbuffer *head);
void http_conn_stream_write(struct http_conn *c, struct evbuffer *piece);
/* One piece of an answer without an end. Only a client that takes nothing runs out of time. */
void http_conn_live_write(struct http_conn *c, struct evbuffer *piece);
void http_conn_stream_end(struct http_conn *c, const char *tail);

/* `bytes` NULL: a request that is only answered. */
struct http_request *http_request_new(struct http_server *s, struct http_conn *c, const char *bytes,
				      const struct http_head *head, const struct timeval *started);
void http_request_free(struct http_request **r);

bool http_server_stopping(const struct http_server *s);
void http_server_counted(struct http_server *s); /* a connection has come or gone, or a request has gone */
void http_server_observe(const struct http_server *s, enum http_observation what, double value, double seconds);

struct http_conn {
	TAILQ_ENTRY(http_conn) next;
	struct http_server *server;
	struct in6_addr from; /* IPv4 mapped; all zero: a Unix socket */
	struct bufferevent *bev;
	SSL *ssl;            /* of the bufferevent; NULL: clear text */
	struct event *timer; /* the deadline of the state */
	unsigned state;      /* enum conn_state of http_conn.c */
	bool eof;            /* the client has said all that it will say */
	bool ending;         /* the server stops: a long answer has a deadline for all of it */
	bool last;           /* no request after this one */
	bool told;           /* and the client was told so with the latest answer */
	struct http_head head;
	struct timeval started;       /* first byte of the request */
	struct http_request *request; /* from the end of its head to its answer */
	size_t discarded;
};

#endif
