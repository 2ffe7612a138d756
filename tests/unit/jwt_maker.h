/* SPDX-License-Identifier: Apache-2.0
 *
 * An identity provider for tests: makes keys, their JWK set, and tokens signed with them. */
#ifndef COLDFLEET_TESTS_JWT_MAKER_H
#define COLDFLEET_TESTS_JWT_MAKER_H

#include <openssl/evp.h>

#include "api/jwt.h"

struct jwt_maker {
	EVP_PKEY *rsa, *ec;
	char jwks[4096]; /* kid "r1" and "e1" */
};

void jwt_maker_init(struct jwt_maker *m);
void jwt_maker_free(struct jwt_maker *m);
/* A token of this header and these claims; `key` NULL: signed with HMAC of `secret`, and unsigned when that is NULL
 * too. Static, good until the next call. */
const char *jwt_make(const char *header, const char *claims, EVP_PKEY *key, const char *secret);

#endif
