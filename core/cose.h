/* SPDX-License-Identifier: Apache-2.0
 *
 * COSE_Sign1 (RFC 9052 section 4.2, untagged) with ES256 (RFC 9053 section 2.1) in one form only: the protected header
 * is compared with the one that we would write, nothing is taken from it; the unprotected header is empty. Of the two
 * signatures (r, s) and (r, n - s) that ECDSA holds for equal, the one with the smaller s is written and the other is
 * refused: nobody can make a second message out of a signed one. */
#ifndef COLDFLEET_CORE_COSE_H
#define COLDFLEET_CORE_COSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/evp.h>

#include "core/cbor.h"
#include "core/err.h"

#define COSE_KID_BYTES       8
#define COSE_POINT_BYTES     65  /* SEC1, uncompressed: 0x04, x, y */
#define COSE_SIGNATURE_BYTES 64  /* r, s */
#define COSE_OVERHEAD        192 /* bytes that a message is longer than its payload, at most */
#define COSE_TYPE_MAX        64  /* bytes of a content type */
#define COSE_KEYS_MAX        16

/* A key on P-256, public or private. */
struct cose_key;

/* Keeps a reference of its own on `key`, which the caller still frees. ERR_CONFIG when it is not on P-256. */
struct cose_key *cose_key_from_evp(EVP_PKEY *key, struct err *e);
/* A PEM file with a public key (SPKI) or a certificate. Private keys come from elsewhere (broker-bridge/signer_key). */
struct cose_key *cose_key_load_pem(const char *path, struct err *e);
/* A public key from its point. ERR_DECODE when it is not on the curve. */
struct cose_key *cose_key_public(const uint8_t point[COSE_POINT_BYTES], struct err *e);
void cose_key_free(struct cose_key **k);

/* The first 8 bytes of SHA-256 over the SubjectPublicKeyInfo in DER. */
const uint8_t *cose_key_kid(const struct cose_key *k);
const uint8_t *cose_key_point(const struct cose_key *k); /* COSE_POINT_BYTES */

/* Whose signature counts; the keys are borrowed. */
struct cose_keyring {
	const struct cose_key *keys[COSE_KEYS_MAX];
	size_t count;
};

/* Writes the message into `out`, at most `cap` bytes (COSE_OVERHEAD more than the payload is always enough), and its
 * length into *len. `aad` is covered by the signature and not in the message. ERR_TOO_LARGE, or ERR_INTERNAL with
 * OpenSSL's words when the key cannot sign. */
bool cose_sign1(const struct cose_key *key, const char *content_type, const void *aad, size_t aad_len,
		const void *payload, size_t payload_len, uint8_t *out, size_t cap, size_t *len, struct err *e);

/* *payload then points into `bytes`, and `kid` (may be NULL) says whose signature it was. ERR_DECODE: not such a
 * message at all, ERR_UNAUTHORIZED: no key of the ring, or a signature that is not right. Nothing of the payload was
 * looked at before its signature. */
bool cose_verify1(const struct cose_keyring *ring, const char *content_type, const void *aad, size_t aad_len,
		  const void *bytes, size_t bytes_len, struct cbor_view *payload, uint8_t kid[COSE_KID_BYTES],
		  struct err *e);

#endif
