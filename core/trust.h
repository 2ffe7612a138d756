/* SPDX-License-Identifier: Apache-2.0
 *
 * Whose commands a tracker obeys: a versioned list of keys. A new list is taken when a key of the present one and a key
 * of the new one have signed it and its version is higher: so nobody is let in by a stolen key alone that is not
 * trusted already, and nobody puts in a key that they do not hold.
 *
 * The list is deterministic CBOR: {1: version, 2: [{1: kid, 2: point (SEC1, 65 bytes), 3: not after}, ...]}, keys by
 * kid, not after in seconds since 1970. A new list travels as [COSE_Sign1 by an old key, COSE_Sign1 by a new key],
 * both over the same list, each as a byte string. */
#ifndef COLDFLEET_CORE_TRUST_H
#define COLDFLEET_CORE_TRUST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/cose.h"
#include "core/err.h"

#define TRUST_BYTES_MAX  2048 /* of a list */
#define TRUST_UPDATE_MAX (2 * (TRUST_BYTES_MAX + COSE_OVERHEAD) + 16)
#define TRUST_NEVER      INT64_C(253402300799) /* not after: the last second of the year 9999 */

struct trust;

/* Version 0 with this one key, which a tracker leaves the factory with. The key is taken. */
struct trust *trust_of_key(struct cose_key *key_take);
/* A list of that version, empty; trust_add() takes the key. ERR_INVALID: the same key twice, or too many. */
struct trust *trust_new(int64_t version);
bool trust_add(struct trust *t, struct cose_key *key_take, int64_t not_after, struct err *e);
void trust_free(struct trust **t);

bool trust_encode(const struct trust *t, uint8_t *out, size_t cap, size_t *len, struct err *e);
/* NULL: ERR_DECODE. Every key id is checked against its key. */
struct trust *trust_decode(const void *bytes, size_t len, struct err *e);
/* From a file: an encoded list, or a public key or certificate in PEM. */
struct trust *trust_load(const char *path, struct err *e);

int64_t trust_version(const struct trust *t);
/* The keys that count at `now` (seconds since 1970; -1: the time is not known, all count). Borrowed from `t`. */
struct cose_keyring trust_ring(const struct trust *t, int64_t now);

/* Signs `next` for those who hold a list with `old`'s key; `fresh` is a private key of `next`. */
bool trust_update_sign(const struct trust *next, const struct cose_key *old, const struct cose_key *fresh, uint8_t *out,
		       size_t cap, size_t *len, struct err *e);
/* The new list. NULL: ERR_DECODE, ERR_UNAUTHORIZED, or ERR_CONFLICT when its version is not higher. */
struct trust *trust_update_open(const struct trust *present, int64_t now, const void *bytes, size_t len, struct err *e);

#endif
