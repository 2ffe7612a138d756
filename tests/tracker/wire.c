/* SPDX-License-Identifier: Apache-2.0
 *
 * Non-blocking OpenSSL over libevent. What the kernel does not take at once waits in `rest`, and nothing else is sent
 * meanwhile. Failures are noted where they happen and end the connection from the event loop. */
#include "tests/tracker/wire.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "broker-bridge/tls_files.h"
#include "core/backoff.h"
#include "core/clock.h"
#include "core/log.h"

#define RECEIVE_MAXIMUM 20   /* as libmosquitto tells the broker */
#define CONNECT_TIMEOUT 60.0 /* all trackers may come at once, and are served alike */
#define BACKOFF_LIMIT   600
#define PUBACK_RECORD   25 /* bytes of one in TLS 1.2 with ChaCha20; others have more */

enum state { STOPPED, DOWN, TCP, TLS, GREETING, UP };

struct wire_hub {
	const struct link *link;
	struct event_base *base;
	SSL_CTX *tls; /* NULL: clear text */
	struct sockaddr_storage address;
	socklen_t address_len;
	uint8_t in[2 * PACKET_IN_MAX];                /* of the connection that is being read */
	uint8_t out[PACKET_SMALL + WIRE_PAYLOAD_MAX]; /* the PUBLISH that is being written */
};

struct wire {
	struct wire_hub *hub;
	const char *serial;
	wire_cb *cb;
	void *arg;

	enum state state;
	int fd;
	SSL *ssl;
	struct event *readable, *writable;
	struct event *timer; /* connect, its deadline, keep alive: by state */
	struct backoff backoff;
	uint16_t receive_maximum;
	bool sent, pinged;    /* since the timer's last tick; a PINGREQ without answer */
	bool held, unsent;    /* records are kept for one write; the kernel has not taken all of them */
	uint8_t *part, *rest; /* a packet that has not come, one that has not gone whole; NULL: none */
	size_t part_len, rest_len;
	struct err end; /* why it is to end; no words: it is not */
};

static void *check_memory(void *p)
{
	if (p == NULL)
		abort();
	return p;
}

/* ---- the hub ---- */

static bool resolve(struct wire_hub *hub, struct err *e)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *found = NULL;
	char port[16];

	snprintf(port, sizeof(port), "%d", (int)hub->link->port);
	int rc = getaddrinfo(hub->link->host, port, &hints, &found);
	if (rc != 0)
		return err_set(e, ERR_INVALID, "--host %s: %s", hub->link->host, gai_strerror(rc));
	memcpy(&hub->address, found->ai_addr, found->ai_addrlen);
	hub->address_len = found->ai_addrlen;
	freeaddrinfo(found);
	return true;
}

/* As libmosquitto: TLS 1.2 or newer, the ciphers that OpenSSL has by default, the broker's name is checked. */
static bool set_up_tls(struct wire_hub *hub, struct err *e)
{
	char ca[LINK_PATH_MAX];

	if (!link_find_ca(hub->link, ca, e) || !tls_files_check(ca, NULL, NULL, e))
		return false;
	hub->tls = check_memory(SSL_CTX_new(TLS_client_method()));
	SSL_CTX_set_min_proto_version(hub->tls, TLS1_2_VERSION);
	SSL_CTX_set_mode(hub->tls, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_read_ahead(hub->tls, 1); /* a read takes all records that wait */
	SSL_CTX_set_verify(hub->tls, SSL_VERIFY_PEER, NULL);
	X509_VERIFY_PARAM *verify = SSL_CTX_get0_param(hub->tls);
	if (X509_VERIFY_PARAM_set1_ip_asc(verify, hub->link->host) != 1 &&
	    X509_VERIFY_PARAM_set1_host(verify, hub->link->host, 0) != 1)
		return err_set(e, ERR_INVALID, "--host %s: expected a name or an address", hub->link->host);
	if (SSL_CTX_load_verify_file(hub->tls, ca) != 1)
		return err_set(e, ERR_CONFIG, "--ca: %s: OpenSSL cannot use it", ca);
	ERR_clear_error();
	return true;
}

struct wire_hub *wire_hub_new(const struct link *link, struct event_base *base, struct err *e)
{
	struct wire_hub *hub = check_memory(calloc(1, sizeof(*hub)));

	hub->link = link;
	hub->base = base;
	if (!resolve(hub, e) || (!link->clear && !set_up_tls(hub, e)))
		wire_hub_free(&hub);
	return hub;
}

void wire_hub_free(struct wire_hub **hub)
{
	if (*hub == NULL)
		return;
	SSL_CTX_free((*hub)->tls);
	free(*hub);
	*hub = NULL;
}

/* ---- the end of a connection ---- */

static void timer_set(struct wire *w, double seconds)
{
	event_add(w->timer, &(struct timeval){.tv_sec = (time_t)seconds});
}

static void disconnect(struct wire *w)
{
	if (w->readable != NULL)
		event_free(w->readable);
	if (w->writable != NULL)
		event_free(w->writable);
	w->readable = w->writable = NULL;
	SSL_free(w->ssl);
	w->ssl = NULL;
	if (w->fd >= 0)
		close(w->fd);
	w->fd = -1;
	free(w->part);
	free(w->rest);
	w->part = w->rest = NULL;
	w->part_len = w->rest_len = 0;
	w->sent = w->pinged = w->held = w->unsent = false;
}

static void lost(struct wire *w)
{
	struct err end = w->end;
	struct timeval wait = backoff_fail(&w->backoff);

	w->end.detail[0] = '\0';
	disconnect(w);
	w->state = DOWN;
	event_add(w->timer, &wait);
	w->cb(&(struct wire_event){.type = WIRE_LOST, .why = end.detail}, w->arg);
}

/* Ends the connection, for this reason, once the event loop comes by. */
static void fail(struct wire *w, const char *what, const char *why)
{
	if (w->end.detail[0] != '\0')
		return;
	err_set(&w->end, ERR_BROKER_LOST, "%s%s", what, why);
	event_active(w->timer, EV_TIMEOUT, 0);
}

/* A call of OpenSSL that returned `rc` and did not do it. True: once the socket can be written (*writes) or read it may
 * be done. */
static bool tls_later(struct wire *w, int rc, bool *writes)
{
	int error = errno, code = SSL_get_error(w->ssl, rc);
	unsigned long reason = ERR_peek_error();
	long verified = SSL_get_verify_result(w->ssl);
	const char *text = reason != 0 ? ERR_reason_error_string(reason) : NULL;

	*writes = code == SSL_ERROR_WANT_WRITE;
	if (code == SSL_ERROR_WANT_READ || code == SSL_ERROR_WANT_WRITE)
		return true;
	if (code == SSL_ERROR_SSL && w->state == TLS && verified != X509_V_OK)
		fail(w, "TLS: the broker's certificate: ", X509_verify_cert_error_string(verified));
	else if (code == SSL_ERROR_SSL && ERR_GET_REASON(reason) != SSL_R_UNEXPECTED_EOF_WHILE_READING)
		fail(w, "TLS: ", text != NULL ? text : "an error without a name");
	else if (code == SSL_ERROR_SYSCALL && error != 0)
		fail(w, "", strerror(error));
	else
		fail(w, "", "the broker closed the connection");
	ERR_clear_error();
	return false;
}

/* ---- writing ---- */

/* Hands the kernel the records that wait. */
static void flush(struct wire *w)
{
	errno = 0;
	w->unsent = BIO_flush(SSL_get_wbio(w->ssl)) != 1;
	if (w->unsent && BIO_should_retry(SSL_get_wbio(w->ssl)))
		event_add(w->writable, NULL);
	else if (w->unsent)
		fail(w, "", errno != 0 ? strerror(errno) : "the broker closed the connection");
}

/* What of it the kernel or OpenSSL took: all, nothing, or in clear text a part. */
static size_t push(struct wire *w, const uint8_t *bytes, size_t len)
{
	bool writes;

	errno = 0;
	if (w->ssl != NULL) {
		int n = SSL_write(w->ssl, bytes, (int)len);
		if (n > 0 && !w->held)
			flush(w);
		if (n > 0)
			return (size_t)n;
		tls_later(w, n, &writes);
		return 0;
	}
	ssize_t n = send(w->fd, bytes, len, MSG_NOSIGNAL);
	if (n >= 0)
		return (size_t)n;
	if (errno != EAGAIN && errno != EINTR)
		fail(w, "", strerror(errno));
	return 0;
}

static bool transmit(struct wire *w, const uint8_t *bytes, size_t len)
{
	if (w->end.detail[0] != '\0' || w->state < GREETING || w->rest != NULL || w->unsent)
		return false;
	size_t taken = push(w, bytes, len);
	w->sent = true;
	if (taken < len && w->end.detail[0] == '\0') {
		w->rest_len = len - taken;
		w->rest = check_memory(malloc(w->rest_len));
		memcpy(w->rest, bytes + taken, w->rest_len);
		event_add(w->writable, NULL);
	}
	return w->end.detail[0] == '\0';
}

static void write_rest(struct wire *w)
{
	size_t taken = push(w, w->rest, w->rest_len);

	w->rest_len -= taken;
	memmove(w->rest, w->rest + taken, w->rest_len);
	if (w->rest_len == 0) {
		free(w->rest);
		w->rest = NULL;
	} else if (w->end.detail[0] == '\0') {
		event_add(w->writable, NULL);
	}
}

bool wire_writable(const struct wire *w)
{
	return w->state == UP && w->rest == NULL && !w->unsent && w->end.detail[0] == '\0';
}

static void write_on(struct wire *w)
{
	if (w->unsent)
		flush(w);
	if (!w->unsent && w->rest != NULL)
		write_rest(w);
	if (wire_writable(w))
		w->cb(&(struct wire_event){.type = WIRE_WRITABLE}, w->arg);
}

uint16_t wire_receive_maximum(const struct wire *w)
{
	return w->receive_maximum;
}

void wire_hold(struct wire *w)
{
	w->held = w->ssl != NULL;
}

void wire_release(struct wire *w)
{
	if (w->held && w->end.detail[0] == '\0')
		flush(w);
	w->held = false;
}

void wire_read_at(struct wire *w, int acknowledgements)
{
	/* Several in one record are less, and so is the answer to PINGREQ. */
	static const struct timeval read_anyhow = {.tv_sec = 1};
	int bytes = acknowledgements > 1 ? acknowledgements * PUBACK_RECORD : 1;

	if (w->state != UP || w->ssl == NULL)
		return;
	setsockopt(w->fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof(bytes));
	if (acknowledgements > 1)
		event_add(w->readable, &read_anyhow);
	else
		event_remove_timer(w->readable);
	event_active(w->readable, EV_READ, 0); /* what came before does not tell again */
}

bool wire_subscribe(struct wire *w, uint16_t id, const char *filter)
{
	uint8_t bytes[PACKET_SMALL];

	return transmit(w, bytes, packet_subscribe(bytes, id, filter));
}

bool wire_publish(struct wire *w, const struct packet_head *head, const uint8_t *payload, size_t payload_len)
{
	uint8_t *out = w->hub->out;

	memcpy(out, head->bytes, head->len);
	memcpy(out + head->len, payload, payload_len);
	return transmit(w, out, head->len + payload_len);
}

/* ---- reading ---- */

static void greeted(struct wire *w, const struct packet *p)
{
	char why[64];

	if (p->reason != 0) {
		snprintf(why, sizeof(why), "reason 0x%02x", (unsigned)p->reason);
		fail(w, "the broker refused the connection: ", why);
		return;
	}
	w->state = UP;
	w->receive_maximum = p->receive_maximum;
	backoff_reset(&w->backoff);
	timer_set(w, w->hub->link->keepalive / 2);
	w->cb(&(struct wire_event){.type = WIRE_UP}, w->arg);
}

static void on_packet(struct wire *w, const struct packet *p)
{
	char why[64];

	if ((p->type == PACKET_CONNACK) != (w->state == GREETING)) {
		fail(w, "", "the broker sent CONNACK twice, or something else first");
	} else if (p->type == PACKET_CONNACK) {
		greeted(w, p);
	} else if (p->type == PACKET_PUBACK) {
		w->cb(&(struct wire_event){.type = WIRE_ACKED, .id = p->id, .reason = p->reason}, w->arg);
	} else if (p->type == PACKET_PUBLISH) {
		w->cb(&(struct wire_event){.type = WIRE_RECEIVED}, w->arg);
	} else if (p->type == PACKET_SUBACK && p->reason >= 0x80) {
		snprintf(why, sizeof(why), "reason 0x%02x", (unsigned)p->reason);
		fail(w, "the broker refused the subscription: ", why);
	} else if (p->type == PACKET_PINGRESP) {
		w->pinged = false;
	} else if (p->type == PACKET_DISCONNECT) {
		snprintf(why, sizeof(why), "reason 0x%02x", (unsigned)p->reason);
		fail(w, "the broker closed the connection: ", why);
	}
}

/* Bytes that came, 0 when there are none now. */
static size_t pull(struct wire *w, uint8_t *out, size_t room)
{
	bool writes;

	errno = 0;
	if (w->ssl != NULL) {
		int n = SSL_read(w->ssl, out, (int)room);
		if (n <= 0 && tls_later(w, n, &writes) && writes)
			event_add(w->writable, NULL);
		return n > 0 ? (size_t)n : 0;
	}
	ssize_t n = recv(w->fd, out, room, 0);
	if (n == 0)
		fail(w, "", "the broker closed the connection");
	else if (n < 0 && errno != EAGAIN && errno != EINTR)
		fail(w, "", strerror(errno));
	return n > 0 ? (size_t)n : 0;
}

/* All packets that are whole; returns the bytes that they take. */
static size_t read_packets(struct wire *w, const uint8_t *bytes, size_t len)
{
	size_t at = 0, used = 1;
	struct packet p;
	struct err e;

	while (at < len && used > 0 && w->end.detail[0] == '\0') {
		if (packet_read(bytes + at, len - at, &p, &used, &e))
			at += used;
		else
			fail(w, "", e.detail);
		if (used > 0)
			on_packet(w, &p);
	}
	return at;
}

static void keep_part(struct wire *w, const uint8_t *bytes, size_t len)
{
	w->part_len = len;
	if (len == 0)
		return;
	w->part = check_memory(malloc(len));
	memcpy(w->part, bytes, len);
}

/* With what OpenSSL holds already, of which no event tells. The buffer is longer than any packet. */
static void read_all(struct wire *w)
{
	uint8_t *in = w->hub->in;
	size_t len = w->part_len, at, got;

	if (w->part != NULL)
		memcpy(in, w->part, len);
	free(w->part);
	w->part = NULL;
	do {
		got = pull(w, in + len, sizeof(w->hub->in) - len);
		at = read_packets(w, in, len + got);
		len += got - at;
		memmove(in, in + at, len);
	} while (got > 0 && w->end.detail[0] == '\0' && w->ssl != NULL && SSL_has_pending(w->ssl) == 1);
	keep_part(w, in, len);
}

/* ---- connecting ---- */

static void greet(struct wire *w)
{
	uint8_t bytes[PACKET_SMALL];

	w->state = GREETING;
	transmit(w, bytes, packet_connect(bytes, w->serial, (uint16_t)w->hub->link->keepalive, RECEIVE_MAXIMUM));
}

static void shake_hands(struct wire *w)
{
	bool writes;

	errno = 0;
	int rc = SSL_connect(w->ssl);
	if (rc == 1)
		greet(w);
	else if (tls_later(w, rc, &writes) && writes)
		event_add(w->writable, NULL);
}

/* Records go to the kernel when they are flushed, which OpenSSL does itself with those of the handshake. */
static void keep_records(struct wire *w)
{
	BIO *socket_bio = SSL_get_wbio(w->ssl), *kept = check_memory(BIO_new(BIO_f_buffer()));

	BIO_up_ref(socket_bio);
	SSL_set0_wbio(w->ssl, BIO_push(kept, socket_bio));
}

static bool use_certificate(struct wire *w)
{
	struct link_paths paths;
	struct err e;

	w->ssl = check_memory(SSL_new(w->hub->tls));
	if (!link_find(w->hub->link, w->serial, &paths, &e)) {
		fail(w, "", e.detail);
		return false;
	}
	bool ok = SSL_use_certificate_chain_file(w->ssl, paths.cert) == 1 &&
		  SSL_use_PrivateKey_file(w->ssl, paths.key, SSL_FILETYPE_PEM) == 1 && SSL_set_fd(w->ssl, w->fd) == 1;
	ERR_clear_error(); /* SSL_get_error() takes what is left there for its own */
	if (ok)
		keep_records(w);
	else
		fail(w, "TLS: cannot use ", paths.cert);
	return ok;
}

/* The TCP connection stands, or does not. */
static void reached(struct wire *w)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (getsockopt(w->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0 || error != 0) {
		fail(w, "", strerror(error != 0 ? error : errno));
		return;
	}
	w->state = TLS;
	event_add(w->readable, NULL);
	if (w->hub->tls == NULL)
		greet(w);
	else if (use_certificate(w))
		shake_hands(w);
}

static void on_socket(evutil_socket_t fd, short what, void *arg)
{
	struct wire *w = arg;

	(void)fd;
	if (w->end.detail[0] == '\0' && w->state == TCP)
		reached(w);
	else if (w->end.detail[0] == '\0' && w->state == TLS)
		shake_hands(w);
	else if (w->end.detail[0] == '\0' && (what & EV_WRITE) != 0 && (w->unsent || w->rest != NULL))
		write_on(w);
	else if (w->end.detail[0] == '\0')
		read_all(w);
}

static void connect_start(struct wire *w)
{
	const struct wire_hub *hub = w->hub;

	w->state = TCP;
	w->fd = socket(hub->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (w->fd < 0) {
		fail(w, "socket: ", strerror(errno));
		return;
	}
	setsockopt(w->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	w->readable = check_memory(event_new(hub->base, w->fd, EV_READ | EV_PERSIST, on_socket, w));
	w->writable = check_memory(event_new(hub->base, w->fd, EV_WRITE, on_socket, w));
	timer_set(w, CONNECT_TIMEOUT);
	if (connect(w->fd, (const struct sockaddr *)&hub->address, hub->address_len) != 0 && errno != EINPROGRESS)
		fail(w, "", strerror(errno));
	else
		event_add(w->writable, NULL);
}

static void keep_alive(struct wire *w)
{
	uint8_t bytes[PACKET_SMALL];

	timer_set(w, w->hub->link->keepalive / 2);
	if (w->pinged)
		fail(w, "", "the broker does not answer PINGREQ");
	else if (!w->sent && transmit(w, bytes, packet_ping(bytes)))
		w->pinged = true;
	w->sent = false;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct wire *w = arg;

	(void)fd;
	(void)what;
	if (w->end.detail[0] != '\0') {
		lost(w);
	} else if (w->state == DOWN) {
		connect_start(w);
	} else if (w->state == UP) {
		keep_alive(w);
	} else if (w->state != STOPPED) {
		fail(w, "", "the broker did not accept the connection in time");
	}
}

struct wire *wire_new(struct wire_hub *hub, const char *serial, wire_cb *cb, void *arg, struct err *e)
{
	struct link_paths paths;

	if (hub->tls != NULL &&
	    (!link_find(hub->link, serial, &paths, e) || !tls_files_check(paths.ca, paths.cert, paths.key, e)))
		return NULL;
	struct wire *w = check_memory(calloc(1, sizeof(*w)));
	w->hub = hub;
	w->serial = serial;
	w->cb = cb;
	w->arg = arg;
	w->fd = -1;
	w->backoff = (struct backoff){.first = 1, .limit = BACKOFF_LIMIT};
	w->timer = check_memory(evtimer_new(hub->base, on_timer, w));
	return w;
}

void wire_free(struct wire **w)
{
	if (*w == NULL)
		return;
	disconnect(*w);
	event_free((*w)->timer);
	free(*w);
	*w = NULL;
}

void wire_start(struct wire *w)
{
	if (w->state != STOPPED)
		return;
	w->state = DOWN;
	timer_set(w, 0);
}
