/* SPDX-License-Identifier: Apache-2.0
 *
 * The order is: shape, header, key, signature, and only then the claims, so nothing unsigned decides anything but which
 * of our keys is tried. The algorithm is the key's; what the header says must agree with it. */
#include "api/jwt.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>

#include "api/jwt_internal.h"

static const char *const fault_names[JWT_FAULTS] = {
	[JWT_OK] = "ok",     [JWT_MALFORMED] = "malformed", [JWT_ALGORITHM] = "algorithm", [JWT_TYPE] = "type",
	[JWT_KEY] = "key",   [JWT_SIGNATURE] = "signature", [JWT_ISSUER] = "issuer",       [JWT_AUDIENCE] = "audience",
	[JWT_TIME] = "time", [JWT_SUBJECT] = "subject",
};

static const char *const alg_names[JWT_ALGS] = {[JWT_RS256] = "RS256", [JWT_ES256] = "ES256"};

const char *jwt_fault_name(enum jwt_fault fault)
{
	return fault_names[fault];
}

bool jwt_alg_parse(const char *name, enum jwt_alg *alg)
{
	for (int i = 0; i < JWT_ALGS; i++) {
		if (strcmp(name, alg_names[i]) == 0) {
			*alg = (enum jwt_alg)i;
			return true;
		}
	}
	return false;
}

/* ---- base64url (RFC 4648, 5), without padding; the bits left over must be zero ---- */

static int sextet(char c)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	const char *at = c != '\0' ? strchr(alphabet, c) : NULL;
	return at != NULL ? (int)(at - alphabet) : -1;
}

bool jwt_base64url(const char *from, size_t len, unsigned char *to, size_t size, size_t *out)
{
	uint32_t bits = 0;
	unsigned held = 0;
	*out = 0;
	if (len % 4 == 1 || len / 4 * 3 + 2 > size)
		return false;
	for (size_t i = 0; i < len; i++) {
		int v = sextet(from[i]);
		if (v < 0)
			return false;
		bits = bits << 6 | (uint32_t)v;
		held += 6;
		if (held >= 8) {
			held -= 8;
			to[(*out)++] = (unsigned char)(bits >> held);
			bits &= (1u << held) - 1;
		}
	}
	return bits == 0;
}

/* ---- the three parts ---- */

struct token {
	const char *part[3];
	size_t len[3];
	json_t *header, *claims;
	unsigned char signature[JWT_MAX];
	size_t signature_len;
};

static bool refuse(enum jwt_fault *fault, enum jwt_fault is, struct err *e, const char *what)
{
	*fault = is;
	return err_set(e, ERR_UNAUTHORIZED, "the access token is refused: %s", what);
}

static bool split(const char *text, struct token *t)
{
	const char *p = text;
	if (strlen(text) > JWT_MAX)
		return false;
	for (int i = 0; i < 3; i++) {
		t->part[i] = p;
		t->len[i] = strcspn(p, ".");
		p += t->len[i];
		if (t->len[i] == 0 || *p != (i < 2 ? '.' : '\0'))
			return false;
		p++;
	}
	return true;
}

static json_t *object_of(const char *part, size_t len)
{
	unsigned char text[JWT_MAX];
	size_t n;
	if (!jwt_base64url(part, len, text, sizeof(text), &n))
		return NULL;
	json_t *json = json_loadb((const char *)text, n, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(json)) {
		json_decref(json);
		return NULL;
	}
	return json;
}

static const char *text_of(const json_t *object, const char *name)
{
	return json_string_value(json_object_get(object, name));
}

/* ---- header ---- */

/* A token that brings its own key, or wants to be read by rules we do not know. */
static bool brings_its_own(const json_t *header)
{
	static const char *const names[] = {"crit", "jwk", "jku", "x5u", "x5c", "b64", "zip", "enc"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (json_object_get(header, names[i]) != NULL)
			return true;
	return false;
}

/* Media types are compared without regard to case, and "application/" may be left out (RFC 7515, 4.1.9). */
static bool is_type(const char *typ, const char *wanted)
{
	if (typ != NULL && strncasecmp(typ, "application/", 12) == 0)
		typ += 12;
	return typ != NULL && strcasecmp(typ, wanted) == 0;
}

static const struct jwt_key *choose_key(const struct token *t, const struct jwt_keys *keys,
					const struct jwt_rules *rules, enum jwt_fault *fault, struct err *e)
{
	const char *name = text_of(t->header, "alg"), *kid = text_of(t->header, "kid");
	enum jwt_alg alg;
	if (brings_its_own(t->header)) {
		refuse(fault, JWT_MALFORMED, e, "its header has a field that is not taken");
		return NULL;
	}
	if (name == NULL || !jwt_alg_parse(name, &alg) || !rules->algs[alg]) {
		refuse(fault, JWT_ALGORITHM, e, "its algorithm is not one of those configured");
		return NULL;
	}
	if (!is_type(text_of(t->header, "typ"), rules->type)) {
		refuse(fault, JWT_TYPE, e, "its type is not that of an access token");
		return NULL;
	}
	const struct jwt_key *key = kid != NULL ? jwt_keys_find(keys, kid) : NULL;
	if (key == NULL)
		refuse(fault, JWT_KEY, e, "its key is not known");
	else if (key->alg != alg) {
		refuse(fault, JWT_ALGORITHM, e, "its algorithm is not that of its key");
		return NULL;
	}
	return key;
}

/* ---- signature ---- */

/* r and s, 32 bytes each (RFC 7518, 3.4), as the DER that OpenSSL takes. */
static int es256_der(const unsigned char *raw, size_t len, unsigned char **der)
{
	*der = NULL;
	if (len != 64)
		return -1;
	ECDSA_SIG *sig = ECDSA_SIG_new();
	BIGNUM *r = BN_bin2bn(raw, 32, NULL), *s = BN_bin2bn(raw + 32, 32, NULL);
	if (sig == NULL || r == NULL || s == NULL)
		abort();
	ECDSA_SIG_set0(sig, r, s);
	int n = i2d_ECDSA_SIG(sig, der);
	ECDSA_SIG_free(sig);
	return n;
}

static bool signature_holds(const struct token *t, const struct jwt_key *key)
{
	unsigned char *der = NULL;
	const unsigned char *sig = t->signature;
	size_t sig_len = t->signature_len;
	if (key->alg == JWT_ES256) {
		int n = es256_der(t->signature, t->signature_len, &der);
		if (n <= 0)
			return false;
		sig = der;
		sig_len = (size_t)n;
	}
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	size_t signed_len = t->len[0] + 1 + t->len[1];
	bool holds = md != NULL && EVP_DigestVerifyInit(md, NULL, EVP_sha256(), NULL, key->pkey) == 1 &&
		     EVP_DigestVerify(md, sig, sig_len, (const unsigned char *)t->part[0], signed_len) == 1;
	EVP_MD_CTX_free(md);
	OPENSSL_free(der);
	ERR_clear_error();
	return holds;
}

/* ---- claims ---- */

static bool is_for(const json_t *aud, const char *audience)
{
	const json_t *one;
	size_t i;
	if (json_is_string(aud))
		return strcmp(json_string_value(aud), audience) == 0;
	json_array_foreach(aud, i,
			   one) if (json_is_string(one) && strcmp(json_string_value(one), audience) == 0) return true;
	return false;
}

/* Seconds since 1970; `absent` when it is not there, NAN when it is not a number. */
static double moment(const json_t *claims, const char *name, double absent)
{
	const json_t *v = json_object_get(claims, name);
	return v == NULL ? absent : json_is_number(v) ? json_number_value(v) : NAN;
}

static bool is_subject(const char *sub)
{
	size_t len = sub != NULL ? strlen(sub) : 0;
	for (const char *p = sub; len > 0 && *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return false;
	return len >= 1 && len <= 255;
}

static bool check_claims(const json_t *c, const struct jwt_rules *rules, time_t now, enum jwt_fault *fault,
			 struct err *e)
{
	const char *iss = text_of(c, "iss");
	double at = (double)now;
	double exp = moment(c, "exp", NAN), nbf = moment(c, "nbf", at), iat = moment(c, "iat", at);
	if (iss == NULL || strcmp(iss, rules->issuer) != 0)
		return refuse(fault, JWT_ISSUER, e, "its issuer is another");
	if (!is_for(json_object_get(c, "aud"), rules->audience))
		return refuse(fault, JWT_AUDIENCE, e, "it is for another audience");
	if (!(at < exp + JWT_LEEWAY))
		return refuse(fault, JWT_TIME, e, "it has expired, or does not say when it does");
	if (!(nbf <= at + JWT_LEEWAY) || !(iat <= at + JWT_LEEWAY))
		return refuse(fault, JWT_TIME, e, "it is not valid yet");
	return is_subject(text_of(c, "sub")) || refuse(fault, JWT_SUBJECT, e, "it has no usable subject");
}

static bool check(struct token *t, const char *text, const struct jwt_keys *keys, const struct jwt_rules *rules,
		  time_t now, enum jwt_fault *fault, struct err *e)
{
	if (!split(text, t) || (t->header = object_of(t->part[0], t->len[0])) == NULL ||
	    !jwt_base64url(t->part[2], t->len[2], t->signature, sizeof(t->signature), &t->signature_len))
		return refuse(fault, JWT_MALFORMED, e, "it is malformed");
	const struct jwt_key *key = choose_key(t, keys, rules, fault, e);
	if (key == NULL)
		return false;
	if (!signature_holds(t, key))
		return refuse(fault, JWT_SIGNATURE, e, "its signature does not hold");
	if ((t->claims = object_of(t->part[1], t->len[1])) == NULL)
		return refuse(fault, JWT_MALFORMED, e, "its claims are malformed");
	return check_claims(t->claims, rules, now, fault, e);
}

json_t *jwt_verify(const char *token, const struct jwt_keys *keys, const struct jwt_rules *rules, time_t now,
		   enum jwt_fault *fault, struct err *e)
{
	struct token t = {0};
	*fault = JWT_OK;
	json_t *claims = check(&t, token, keys, rules, now, fault, e) ? json_incref(t.claims) : NULL;
	json_decref(t.header);
	json_decref(t.claims);
	return claims;
}
