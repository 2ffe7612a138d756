/* SPDX-License-Identifier: Apache-2.0
 *
 * The three files of a TLS client, loaded into a throw-away context as a connection would load them. */
#include "broker-bridge/tls_files.h"

#include <stddef.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

/* The oldest entry of OpenSSL's queue is the cause, the later ones are its callers. */
static bool unusable(struct err *e, const char *what, const char *path)
{
	const char *reason = ERR_reason_error_string(ERR_get_error());
	return err_set(e, ERR_CONFIG, "TLS: %s %.120s: %s", what, path,
		       reason != NULL ? reason : "it cannot be read as PEM");
}

static bool load(SSL_CTX *context, const char *ca, const char *cert, const char *key, struct err *e)
{
	if (SSL_CTX_load_verify_locations(context, ca, NULL) != 1)
		return unusable(e, "authorities", ca);
	if (cert != NULL && SSL_CTX_use_certificate_chain_file(context, cert) != 1)
		return unusable(e, "certificate", cert);
	if (key != NULL && SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1)
		return unusable(e, "key", key);
	return true;
}

bool tls_files_check(const char *ca, const char *cert, const char *key, struct err *e)
{
	if ((cert == NULL) != (key == NULL))
		return err_set(e, ERR_CONFIG,
			       "TLS: a client certificate needs its key and a key its certificate, got only %.120s",
			       cert != NULL ? cert : key);
	ERR_clear_error();
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	bool ok = context != NULL ? load(context, ca, cert, key, e) : err_set(e, ERR_INTERNAL, "TLS: no context");
	SSL_CTX_free(context);
	ERR_clear_error();
	return ok;
}
