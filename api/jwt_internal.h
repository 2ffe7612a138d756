/* SPDX-License-Identifier: Apache-2.0
 *
 * What the verifier and the set of its keys share. */
#ifndef COLDFLEET_API_JWT_INTERNAL_H
#define COLDFLEET_API_JWT_INTERNAL_H

#include <stdint.h>

#include "api/jwt.h"

struct jwt_key {
	char kid[JWT_KID_MAX + 1];
	enum jwt_alg alg;
	EVP_PKEY *pkey;
};

const struct jwt_key *jwt_keys_find(const struct jwt_keys *k, const char *kid); /* NULL: none, or `k` is NULL */

/* `size` must leave room for len / 4 * 3 + 2 bytes. */
bool jwt_base64url(const char *from, size_t len, unsigned char *to, size_t size, size_t *out);

#endif
