/* SPDX-License-Identifier: Apache-2.0
 *
 * One SSL_CTX, replaced as a whole when it is loaded again; sessions hold a reference to the one they began with. */
#include "api/tls.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

/* Forward secrecy and authenticated encryption; TLS 1.3 has nothing else. */
#define CIPHERS_1_2 "ECDHE+AESGCM:ECDHE+CHACHA20"

struct tls {
	SSL_CTX *ctx;
};

static bool failed(struct err *e, const char *what, const char *file)
{
	char reason[160] = "no reason given";
	unsigned long code = ERR_get_error();
	if (code != 0)
		ERR_error_string_n(code, reason, sizeof(reason));
	ERR_clear_error();
	return err_set(e, ERR_CONFIG, "%s '%.80s': %s", what, file, reason);
}

/* A client that offers protocols and not ours would not understand our answers (RFC 7301, 3.2). */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *offered,
			   unsigned int len, void *arg)
{
	static const unsigned char ours[] = "\x08http/1.1";
	unsigned char *chosen;
	(void)ssl, (void)arg;
	if (SSL_select_next_proto(&chosen, out_len, ours, sizeof(ours) - 1, offered, len) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = chosen;
	return SSL_TLSEXT_ERR_OK;
}

static bool require_client(SSL_CTX *ctx, const char *ca, struct err *e)
{
	static const unsigned char session_context[] = "coldfleet-api";
	if (SSL_CTX_load_verify_file(ctx, ca) != 1)
		return failed(e, "tls_client_ca", ca);
	SSL_CTX_set_client_CA_list(ctx, SSL_load_client_CA_file(ca));
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	return SSL_CTX_set_session_id_context(ctx, session_context, sizeof(session_context) - 1) == 1 ||
	       failed(e, "tls_client_ca", ca);
}

static bool fill(SSL_CTX *ctx, const struct tls_options *o, struct err *e)
{
	if (SSL_CTX_use_certificate_chain_file(ctx, o->cert) != 1)
		return failed(e, "tls_cert", o->cert);
	if (SSL_CTX_use_PrivateKey_file(ctx, o->key, SSL_FILETYPE_PEM) != 1)
		return failed(e, "tls_key", o->key);
	if (SSL_CTX_check_private_key(ctx) != 1)
		return failed(e, "tls_key does not belong to tls_cert:", o->key);
	return o->client_ca[0] == '\0' || require_client(ctx, o->client_ca, e);
}

/* Nobody is here to type a pass phrase: a key that has one is an error and not a question on the terminal. */
static int no_pass_phrase(char *buf, int size, int rwflag, void *arg)
{
	(void)buf, (void)size, (void)rwflag, (void)arg;
	return -1;
}

bool tls_load(struct tls *t, const struct tls_options *options, struct err *e)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	if (ctx == NULL)
		abort();
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_cipher_list(ctx, CIPHERS_1_2);
	/* Many clients close without a goodbye; a request's length says whether it was whole. */
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF |
					 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS); /* 34 KiB less for each connection that idles */
	SSL_CTX_set_default_passwd_cb(ctx, no_pass_phrase);
	SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, NULL);
	if (!fill(ctx, options, e)) {
		SSL_CTX_free(ctx);
		return false;
	}
	SSL_CTX_free(t->ctx);
	t->ctx = ctx;
	return true;
}

struct tls *tls_new(const struct tls_options *options, struct err *e)
{
	struct tls *t = calloc(1, sizeof(*t));
	if (t == NULL)
		abort();
	if (!tls_load(t, options, e))
		tls_free(&t);
	return t;
}

void tls_free(struct tls **tp)
{
	struct tls *t = *tp;
	if (t == NULL)
		return;
	SSL_CTX_free(t->ctx);
	free(t);
	*tp = NULL;
}

SSL *tls_session(const struct tls *t)
{
	return SSL_new(t->ctx);
}

void tls_goodbye(SSL *ssl)
{
	ERR_clear_error();
	SSL_shutdown(ssl);
	ERR_clear_error();
}
