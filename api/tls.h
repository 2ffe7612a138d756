/* SPDX-License-Identifier: Apache-2.0
 *
 * TLS of the HTTP server: certificate and key from files, TLS 1.2 and 1.3, ALPN http/1.1, client certificates when a
 * CA for them is given. Loading again (a renewed certificate) leaves the connections that exist as they are. */
#ifndef COLDFLEET_API_TLS_H
#define COLDFLEET_API_TLS_H

#include <openssl/ssl.h>

#include "core/err.h"

struct tls;

struct tls_options {
	const char *cert;      /* PEM: the server's certificate, then those between it and the root */
	const char *key;       /* PEM, without a pass phrase */
	const char *client_ca; /* PEM; empty: clients need no certificate */
};

struct tls *tls_new(const struct tls_options *options, struct err *e);
/* On failure what was loaded before stays in force. */
bool tls_load(struct tls *t, const struct tls_options *options, struct err *e);
void tls_free(struct tls **t);

/* A server's end for one connection, the caller's; NULL: out of memory. */
SSL *tls_session(const struct tls *t);

/* Says to the other side that nothing more comes; best effort, on a socket that does not block. */
void tls_goodbye(SSL *ssl);

#endif
