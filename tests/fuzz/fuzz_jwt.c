/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as an access token, and any bytes as a JWK set: nothing that was not signed holds. The key is that of
 * RFC 7515, A.3, so the private half is known to everybody and to no input. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "api/jwt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char set[] = "{\"keys\":[{\"kty\":\"EC\",\"kid\":\"1\",\"crv\":\"P-256\","
			  "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
			  "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}]}";
static const struct jwt_rules rules = {.issuer = "i", .audience = "a", .type = "JWT", .algs = {true, true}};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct jwt_keys *keys;
	enum jwt_fault fault;
	struct err e = {0};
	if (keys == NULL && (keys = jwt_keys_new(set, sizeof(set) - 1, &e)) == NULL)
		abort();
	char *text = malloc(size + 1);
	if (text == NULL)
		abort();
	memcpy(text, data, size);
	text[size] = '\0';
	if (jwt_verify(text, keys, &rules, 1790000000, &fault, &e) != NULL || fault == JWT_OK)
		abort();
	struct jwt_keys *other = jwt_keys_new(text, size, &e);
	if (other != NULL && jwt_keys_count(other) == 0)
		abort();
	jwt_keys_free(&other);
	free(text);
	return 0;
}
