/* SPDX-License-Identifier: Apache-2.0
 *
 * Where a daemon listens: "127.0.0.1:PORT", "[::1]:PORT", another address and port, or "unix:/PATH" (a stale socket
 * there is replaced, one that somebody serves is not). Owner and group may connect to a Unix socket. Or at a socket
 * that whoever started the daemon has made, and that other processes may hold as well (sd_listen_fds(3)). */
#ifndef COLDFLEET_CORE_LISTEN_H
#define COLDFLEET_CORE_LISTEN_H

#include <sys/socket.h>

#include <event2/listener.h>

#include "core/err.h"

struct listen_address {
	struct sockaddr_storage sa;
	int len;
	bool local; /* a Unix socket or a loopback address: nobody beyond this machine */
	int passed; /* the descriptor of a socket that was made by somebody else; 0: there is none, it is to be made */
};

struct listen_options {
	int backlog;
	bool local_only; /* other addresses are refused: what is served there is in clear text */
	bool reuse_port; /* other processes of the same user may listen there too, and the kernel deals to all */
	evconnlistener_cb accepted; /* NULL: evhttp sets its own */
	void *arg;
};

bool listen_parse(const char *where, struct listen_address *a, struct err *e);
/* The one socket that this process was started with, and the address that it listens at. */
bool listen_passed(struct listen_address *a, struct err *e);
struct evconnlistener *listen_open(struct event_base *base, const struct listen_address *a,
				   const struct listen_options *options, struct err *e);
/* Of a port that several processes serve: new connections are to find another one of them. Those that have begun still
 * come; the kernel passes over what clients send to begin one, and a second later they try again, by then elsewhere. */
bool listen_leave(struct evconnlistener *l, struct err *e);
/* Removes the file of a Unix socket that was made here; nothing for other addresses. */
void listen_remove(const struct listen_address *a);

#endif
