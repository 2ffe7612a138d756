/* SPDX-License-Identifier: Apache-2.0
 *
 * Access tokens of an identity provider: JWTs (RFC 7519, 9068) signed RS256 or ES256, verified against what was
 * configured and nothing that the token says about itself. Strict: one reading of every byte, or refused. */
#ifndef COLDFLEET_API_JWT_H
#define COLDFLEET_API_JWT_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include <jansson.h>
#include <openssl/evp.h>

#include "core/err.h"

#define JWT_MAX     8192 /* bytes of a whole token */
#define JWT_KID_MAX 128
#define JWT_LEEWAY  30 /* seconds that clocks may differ */

enum jwt_alg { JWT_RS256, JWT_ES256, JWT_ALGS };

/* Why a token is refused. */
enum jwt_fault {
	JWT_OK,
	JWT_MALFORMED,
	JWT_ALGORITHM,
	JWT_TYPE,
	JWT_KEY, /* no key of that kid: the keys may have changed */
	JWT_SIGNATURE,
	JWT_ISSUER,
	JWT_AUDIENCE,
	JWT_TIME, /* expired, or not valid yet */
	JWT_SUBJECT,
	JWT_FAULTS
};
const char *jwt_fault_name(enum jwt_fault fault);

struct jwt_keys;

/* The keys of a JWK set (RFC 7517) that can verify: RSA of 2048 bits or more, P-256; each with a kid of its own. Others
 * are left out; a set without any, or one that is malformed, is an error. */
struct jwt_keys *jwt_keys_new(const char *json, size_t len, struct err *e);
void jwt_keys_free(struct jwt_keys **k);
size_t jwt_keys_count(const struct jwt_keys *k);

struct jwt_rules {
	const char *issuer, *audience;
	const char *type; /* "at+jwt" or "JWT" */
	bool algs[JWT_ALGS];
};

bool jwt_alg_parse(const char *name, enum jwt_alg *alg);

/* The claims of a token that holds, the caller's to json_decref; NULL: *fault and `e` say why not. */
json_t *jwt_verify(const char *token, const struct jwt_keys *keys, const struct jwt_rules *rules, time_t now,
		   enum jwt_fault *fault, struct err *e);

#endif
