/* SPDX-License-Identifier: Apache-2.0
 *
 * A JWK set as OpenSSL keys. What a key is for comes from its own type, so an RSA key can never be tried with another
 * algorithm than the one of RSA keys. */
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>

#include "api/jwt_internal.h"

#define KEYS_MAX     64
#define NUMBER_MAX   1024 /* bytes of a modulus: RSA of 8192 bits */
#define RSA_BITS_MIN 2048

struct jwt_keys {
	size_t count;
	struct jwt_key key[KEYS_MAX];
};

const struct jwt_key *jwt_keys_find(const struct jwt_keys *k, const char *kid)
{
	for (size_t i = 0; k != NULL && i < k->count; i++)
		if (strcmp(k->key[i].kid, kid) == 0)
			return &k->key[i];
	return NULL;
}

size_t jwt_keys_count(const struct jwt_keys *k)
{
	return k->count;
}

static const char *text_of(const json_t *jwk, const char *name)
{
	const char *text = json_string_value(json_object_get(jwk, name));
	return text != NULL ? text : "";
}

static bool bytes_of(const json_t *jwk, const char *name, unsigned char *to, size_t size, size_t *len)
{
	const char *text = text_of(jwk, name);
	return text[0] != '\0' && jwt_base64url(text, strlen(text), to, size, len) && *len > 0;
}

static EVP_PKEY *from_params(const char *type, OSSL_PARAM_BLD *build)
{
	EVP_PKEY *pkey = NULL;
	OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	if (params == NULL || ctx == NULL)
		abort();
	if (EVP_PKEY_fromdata_init(ctx) != 1 || EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
		pkey = NULL;
	EVP_PKEY_CTX_free(ctx);
	OSSL_PARAM_free(params);
	return pkey;
}

static EVP_PKEY *rsa_key(const json_t *jwk)
{
	unsigned char n[NUMBER_MAX + 2], e[10];
	size_t n_len, e_len;
	if (!bytes_of(jwk, "n", n, sizeof(n), &n_len) || !bytes_of(jwk, "e", e, sizeof(e), &e_len))
		return NULL;
	BIGNUM *bn_n = BN_bin2bn(n, (int)n_len, NULL), *bn_e = BN_bin2bn(e, (int)e_len, NULL);
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	if (bn_n == NULL || bn_e == NULL || build == NULL)
		abort();
	OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, bn_n);
	OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, bn_e);
	bool sound = BN_num_bits(bn_n) >= RSA_BITS_MIN && BN_is_odd(bn_n) && BN_is_odd(bn_e) && !BN_is_one(bn_e);
	EVP_PKEY *pkey = sound ? from_params("RSA", build) : NULL;
	OSSL_PARAM_BLD_free(build);
	BN_free(bn_n);
	BN_free(bn_e);
	return pkey;
}

static EVP_PKEY *p256_key(const json_t *jwk)
{
	unsigned char point[65] = {4}, x[34], y[34];
	char group[] = "P-256";
	size_t x_len, y_len;
	if (strcmp(text_of(jwk, "crv"), "P-256") != 0 || !bytes_of(jwk, "x", x, sizeof(x), &x_len) ||
	    !bytes_of(jwk, "y", y, sizeof(y), &y_len) || x_len != 32 || y_len != 32)
		return NULL;
	memcpy(point + 1, x, 32);
	memcpy(point + 33, y, 32);
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	if (build == NULL)
		abort();
	OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, group, 0);
	OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point));
	EVP_PKEY *pkey = from_params("EC", build); /* refuses a point that is not on the curve */
	OSSL_PARAM_BLD_free(build);
	return pkey;
}

static const struct {
	const char *kty, *alg;
	EVP_PKEY *(*make)(const json_t *jwk);
} kinds[JWT_ALGS] = {
	[JWT_RS256] = {"RSA", "RS256", rsa_key},
	[JWT_ES256] = {"EC", "ES256", p256_key},
};

static void add_key(struct jwt_keys *k, const json_t *jwk)
{
	const char *kid = text_of(jwk, "kid"), *use = text_of(jwk, "use"), *alg = text_of(jwk, "alg");
	size_t len = strlen(kid);
	bool ours = (use[0] == '\0' || strcmp(use, "sig") == 0) && len >= 1 && len <= JWT_KID_MAX;
	for (int i = 0; ours && k->count < KEYS_MAX && i < JWT_ALGS; i++) {
		struct jwt_key *key = &k->key[k->count];
		if (strcmp(text_of(jwk, "kty"), kinds[i].kty) != 0 ||
		    (alg[0] != '\0' && strcmp(alg, kinds[i].alg) != 0) || (key->pkey = kinds[i].make(jwk)) == NULL)
			continue;
		key->alg = (enum jwt_alg)i;
		memcpy(key->kid, kid, len + 1);
		k->count++;
	}
	ERR_clear_error();
}

/* Two keys of one name: which one is meant? */
static bool kids_differ(const struct jwt_keys *k)
{
	for (size_t i = 0; i < k->count; i++)
		if (jwt_keys_find(k, k->key[i].kid) != &k->key[i])
			return false;
	return true;
}

struct jwt_keys *jwt_keys_new(const char *json, size_t len, struct err *e)
{
	struct jwt_keys *k = calloc(1, sizeof(*k));
	if (k == NULL)
		abort();
	json_t *set = json_loadb(json, len, JSON_REJECT_DUPLICATES, NULL);
	const json_t *jwks = json_object_get(set, "keys");
	for (size_t i = 0; i < json_array_size(jwks); i++)
		add_key(k, json_array_get(jwks, i));
	json_decref(set);
	if (k->count > 0 && kids_differ(k))
		return k;
	err_set(e, ERR_CONFIG, "%s",
		k->count > 0
			? "the JWK set has two keys with one kid"
			: "expected a JWK set with at least one key for RS256 (2048 bits or more) or ES256, with kid");
	jwt_keys_free(&k);
	return NULL;
}

void jwt_keys_free(struct jwt_keys **kp)
{
	struct jwt_keys *k = *kp;
	if (k == NULL)
		return;
	for (size_t i = 0; i < k->count; i++)
		EVP_PKEY_free(k->key[i].pkey);
	free(k);
	*kp = NULL;
}
