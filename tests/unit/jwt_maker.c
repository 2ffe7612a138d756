/* SPDX-License-Identifier: Apache-2.0
 *
 * Signs with OpenSSL, and writes base64url on its own, so that the reader is not tested with itself. */
#include "jwt_maker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/hmac.h>

static void must(bool claim)
{
	if (!claim)
		abort();
}

static size_t base64url(const unsigned char *from, size_t len, char *to)
{
	size_t n = (size_t)EVP_EncodeBlock((unsigned char *)to, from, (int)len);
	while (n > 0 && to[n - 1] == '=')
		n--;
	to[n] = '\0';
	for (char *p = to; *p != '\0'; p++)
		*p = *p == '+' ? '-' : *p == '/' ? '_' : *p;
	return n;
}

static void number(EVP_PKEY *key, const char *name, size_t width, char *to)
{
	unsigned char bytes[512];
	BIGNUM *n = NULL;
	must(EVP_PKEY_get_bn_param(key, name, &n) == 1);
	int len = width > 0 ? BN_bn2binpad(n, bytes, (int)width) : BN_bn2bin(n, bytes);
	must(len > 0);
	base64url(bytes, (size_t)len, to);
	BN_free(n);
}

void jwt_maker_init(struct jwt_maker *m)
{
	char n[1024], e[16], x[64], y[64];
	m->rsa = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
	m->ec = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	must(m->rsa != NULL && m->ec != NULL);
	number(m->rsa, OSSL_PKEY_PARAM_RSA_N, 0, n);
	number(m->rsa, OSSL_PKEY_PARAM_RSA_E, 0, e);
	number(m->ec, OSSL_PKEY_PARAM_EC_PUB_X, 32, x);
	number(m->ec, OSSL_PKEY_PARAM_EC_PUB_Y, 32, y);
	snprintf(m->jwks, sizeof(m->jwks),
		 "{\"keys\":[{\"kty\":\"RSA\",\"kid\":\"r1\",\"use\":\"sig\",\"alg\":\"RS256\",\"n\":\"%s\",\"e\":\"%"
		 "s\"},"
		 "{\"kty\":\"EC\",\"kid\":\"e1\",\"crv\":\"P-256\",\"x\":\"%s\",\"y\":\"%s\"},"
		 "{\"kty\":\"OKP\",\"kid\":\"o1\",\"crv\":\"Ed25519\",\"x\":\"AAAA\"}]}",
		 n, e, x, y);
}

void jwt_maker_free(struct jwt_maker *m)
{
	EVP_PKEY_free(m->rsa);
	EVP_PKEY_free(m->ec);
}

static size_t raw_of_der(unsigned char *sig, size_t len)
{
	const unsigned char *p = sig;
	ECDSA_SIG *s = d2i_ECDSA_SIG(NULL, &p, (long)len);
	must(s != NULL && BN_bn2binpad(ECDSA_SIG_get0_r(s), sig, 32) == 32 &&
	     BN_bn2binpad(ECDSA_SIG_get0_s(s), sig + 32, 32) == 32);
	ECDSA_SIG_free(s);
	return 64;
}

static size_t sign(const char *text, EVP_PKEY *key, unsigned char *sig, size_t size)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	must(md != NULL && EVP_DigestSignInit(md, NULL, EVP_sha256(), NULL, key) == 1 &&
	     EVP_DigestSign(md, sig, &size, (const unsigned char *)text, strlen(text)) == 1);
	EVP_MD_CTX_free(md);
	return EVP_PKEY_is_a(key, "EC") ? raw_of_der(sig, size) : size;
}

const char *jwt_make(const char *header, const char *claims, EVP_PKEY *key, const char *secret)
{
	static char token[65536];
	unsigned char sig[1024];
	size_t len = 0;
	size_t n = base64url((const unsigned char *)header, strlen(header), token);
	token[n++] = '.';
	n += base64url((const unsigned char *)claims, strlen(claims), token + n);
	if (key != NULL) {
		len = sign(token, key, sig, sizeof(sig));
	} else if (secret != NULL) {
		unsigned int hmac_len = 0;
		must(HMAC(EVP_sha256(), secret, (int)strlen(secret), (const unsigned char *)token, n, sig, &hmac_len) !=
		     NULL);
		len = hmac_len;
	}
	token[n++] = '.';
	base64url(sig, len, token + n);
	return token;
}
