/* SPDX-License-Identifier: Apache-2.0
 *
 * OpenSSL has signatures as DER and keys as EVP_PKEY; COSE has 64 bytes and 8 bytes of key id. What lies between is
 * here. */
#include "core/cose.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#define LABEL_ALG  1
#define LABEL_KID  4
#define LABEL_TYP  16 /* RFC 9596 */
#define ALG_ES256  (-7)
#define PART       (COSE_SIGNATURE_BYTES / 2)
#define HEADER_MAX (24 + COSE_KID_BYTES + COSE_TYPE_MAX)
#define DER_MAX    80 /* of a signature: 72 on P-256 */

struct cose_key {
	EVP_PKEY *key;
	uint8_t kid[COSE_KID_BYTES];
	uint8_t point[COSE_POINT_BYTES];
};

/* FIPS 186-5: half of the order of P-256, rounded down. */
static const uint8_t half_order[PART] = {0x7f, 0xff, 0xff, 0xff, 0x80, 0x00, 0x00, 0x00, 0x7f, 0xff, 0xff,
					 0xff, 0xff, 0xff, 0xff, 0xff, 0xde, 0x73, 0x7d, 0x56, 0xd3, 0x8b,
					 0xcf, 0x42, 0x79, 0xdc, 0xe5, 0x61, 0x7e, 0x31, 0x92, 0xa8};

/* The newest complaint of OpenSSL goes into the error; its queue is empty afterwards. */
static bool complain(struct err *e, enum err_code code, const char *what)
{
	char words[160];
	ERR_error_string_n(ERR_peek_last_error(), words, sizeof(words));
	ERR_clear_error();
	return err_set(e, code, "%s: %s", what, words);
}

/* ---- keys ---- */

static bool on_p256(EVP_PKEY *key)
{
	char group[64] = "";
	size_t len = 0;
	return EVP_PKEY_get_base_id(key) == EVP_PKEY_EC &&
	       EVP_PKEY_get_group_name(key, group, sizeof(group), &len) == 1 &&
	       (strcmp(group, "prime256v1") == 0 || strcmp(group, "P-256") == 0);
}

/* The SubjectPublicKeyInfo of P-256 with an uncompressed point is a fixed head and the point (RFC 5480). */
static bool describe(struct cose_key *k)
{
	uint8_t *der = NULL, hash[EVP_MAX_MD_SIZE];
	int len = i2d_PUBKEY(k->key, &der);
	bool ok = len > COSE_POINT_BYTES && der[len - COSE_POINT_BYTES] == 0x04 &&
		  EVP_Digest(der, (size_t)len, hash, NULL, EVP_sha256(), NULL) == 1;
	if (ok) {
		memcpy(k->kid, hash, COSE_KID_BYTES);
		memcpy(k->point, der + len - COSE_POINT_BYTES, COSE_POINT_BYTES);
	}
	OPENSSL_free(der);
	return ok;
}

struct cose_key *cose_key_from_evp(EVP_PKEY *key, struct err *e)
{
	if (!on_p256(key)) {
		err_set(e, ERR_CONFIG, "a key that is not on P-256, which ES256 needs");
		return NULL;
	}
	struct cose_key *k = calloc(1, sizeof(*k));
	if (k == NULL || EVP_PKEY_up_ref(key) != 1)
		abort();
	k->key = key;
	if (!describe(k)) {
		complain(e, ERR_CONFIG, "a key whose point is not uncompressed");
		cose_key_free(&k);
	}
	return k;
}

static EVP_PKEY *read_pem(FILE *f)
{
	EVP_PKEY *key = PEM_read_PUBKEY(f, NULL, NULL, NULL);
	if (key != NULL)
		return key;
	rewind(f);
	X509 *certificate = PEM_read_X509(f, NULL, NULL, NULL);
	key = certificate != NULL ? X509_get_pubkey(certificate) : NULL;
	X509_free(certificate);
	return key;
}

struct cose_key *cose_key_load_pem(const char *path, struct err *e)
{
	struct cose_key *k = NULL;
	FILE *f = fopen(path, "re");
	EVP_PKEY *key = f != NULL ? read_pem(f) : NULL;
	if (f == NULL)
		err_set(e, ERR_CONFIG, "%.160s: %m", path);
	else if (key == NULL)
		complain(e, ERR_CONFIG, "expected a public key or a certificate in PEM");
	else
		k = cose_key_from_evp(key, e);
	if (k == NULL && f != NULL)
		err_prefix(e, "%.100s: ", path);
	EVP_PKEY_free(key);
	if (f != NULL)
		fclose(f);
	ERR_clear_error();
	return k;
}

struct cose_key *cose_key_public(const uint8_t point[COSE_POINT_BYTES], struct err *e)
{
	uint8_t copy[COSE_POINT_BYTES];
	char group[] = "P-256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, memcpy(copy, point, sizeof(copy)),
						  sizeof(copy)),
		OSSL_PARAM_construct_end(),
	};
	EVP_PKEY *key = NULL;
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	bool ok = ctx != NULL && point[0] == 0x04 && EVP_PKEY_fromdata_init(ctx) == 1 &&
		  EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) == 1;
	struct cose_key *k = ok ? cose_key_from_evp(key, e) : NULL;
	if (!ok)
		complain(e, ERR_DECODE, "not an uncompressed point on P-256");
	EVP_PKEY_free(key);
	EVP_PKEY_CTX_free(ctx);
	return k;
}

void cose_key_free(struct cose_key **k)
{
	if (*k == NULL)
		return;
	EVP_PKEY_free((*k)->key);
	free(*k);
	*k = NULL;
}

const uint8_t *cose_key_kid(const struct cose_key *k)
{
	return k->kid;
}

const uint8_t *cose_key_point(const struct cose_key *k)
{
	return k->point;
}

/* ---- signatures: DER in OpenSSL, r and s in COSE ---- */

static bool raw_from_der(const uint8_t *der, size_t der_len, uint8_t raw[COSE_SIGNATURE_BYTES])
{
	ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &der, (long)der_len);
	BIGNUM *order = BN_new(), *s = BN_new(), *half = BN_bin2bn(half_order, PART, NULL);
	if (order == NULL || s == NULL || half == NULL)
		abort();
	/* n is odd: twice its rounded half, and one */
	bool ok = sig != NULL && BN_lshift1(order, half) == 1 && BN_add_word(order, 1) == 1 &&
		  BN_copy(s, ECDSA_SIG_get0_s(sig)) != NULL;
	if (ok && BN_cmp(s, half) > 0)
		ok = BN_sub(s, order, s) == 1;
	ok = ok && BN_bn2binpad(ECDSA_SIG_get0_r(sig), raw, PART) == PART && BN_bn2binpad(s, raw + PART, PART) == PART;
	BN_free(half);
	BN_free(s);
	BN_free(order);
	ECDSA_SIG_free(sig);
	return ok;
}

/* An INTEGER of DER: no zero in front but the one that keeps it positive. */
static size_t put_integer(uint8_t *out, const uint8_t part[PART])
{
	size_t zeros = 0;
	while (zeros < PART - 1 && part[zeros] == 0)
		zeros++;
	size_t sign = part[zeros] >> 7, len = PART - zeros + sign;
	out[0] = 0x02;
	out[1] = (uint8_t)len;
	out[2] = 0;
	memcpy(out + 2 + sign, part + zeros, PART - zeros);
	return 2 + len;
}

static size_t der_from_raw(const uint8_t raw[COSE_SIGNATURE_BYTES], uint8_t der[DER_MAX])
{
	size_t len = put_integer(der + 2, raw);
	len += put_integer(der + 2 + len, raw + PART);
	der[0] = 0x30;
	der[1] = (uint8_t)len;
	return 2 + len;
}

/* ---- the message ---- */

static size_t put_protected(uint8_t out[HEADER_MAX], const uint8_t kid[COSE_KID_BYTES], const char *content_type)
{
	struct cbor_writer w;
	cbor_writer_init(&w, out, HEADER_MAX);
	cbor_put_map(&w, 3);
	cbor_put_uint(&w, LABEL_ALG);
	cbor_put_int(&w, ALG_ES256);
	cbor_put_uint(&w, LABEL_KID);
	cbor_put_bytes(&w, kid, COSE_KID_BYTES);
	cbor_put_uint(&w, LABEL_TYP);
	cbor_put_text(&w, content_type);
	return w.len;
}

/* SHA-256 over what is signed (RFC 9052 section 4.4): ["Signature1", protected, external_aad, payload]. */
static bool digest(struct cbor_view header, struct cbor_view aad, struct cbor_view payload, uint8_t out[32])
{
	uint8_t front[4 * HEADER_MAX];
	struct cbor_writer w;
	cbor_writer_init(&w, front, sizeof(front));
	cbor_put_array(&w, 4);
	cbor_put_text(&w, "Signature1");
	cbor_put_bytes(&w, header.at, header.len);
	cbor_put_bytes(&w, aad.at, aad.len);
	cbor_put_bytes_head(&w, payload.len);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = ctx != NULL && cbor_written(&w, NULL) && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1 &&
		  EVP_DigestUpdate(ctx, front, w.len) == 1 && EVP_DigestUpdate(ctx, payload.at, payload.len) == 1 &&
		  EVP_DigestFinal_ex(ctx, out, NULL) == 1;
	EVP_MD_CTX_free(ctx);
	return ok;
}

static bool sign(EVP_PKEY *key, const uint8_t hash[32], uint8_t raw[COSE_SIGNATURE_BYTES])
{
	uint8_t der[DER_MAX];
	size_t len = sizeof(der);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
	bool ok = ctx != NULL && EVP_PKEY_sign_init(ctx) == 1 && EVP_PKEY_sign(ctx, der, &len, hash, 32) == 1 &&
		  raw_from_der(der, len, raw);
	EVP_PKEY_CTX_free(ctx);
	return ok;
}

static bool verify(EVP_PKEY *key, const uint8_t hash[32], const uint8_t raw[COSE_SIGNATURE_BYTES])
{
	uint8_t der[DER_MAX];
	size_t len = der_from_raw(raw, der);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
	bool ok = ctx != NULL && EVP_PKEY_verify_init(ctx) == 1 && EVP_PKEY_verify(ctx, der, len, hash, 32) == 1;
	EVP_PKEY_CTX_free(ctx);
	ERR_clear_error();
	return ok;
}

bool cose_sign1(const struct cose_key *key, const char *content_type, const void *aad, size_t aad_len,
		const void *payload, size_t payload_len, uint8_t *out, size_t cap, size_t *len, struct err *e)
{
	uint8_t header[HEADER_MAX], hash[32], signature[COSE_SIGNATURE_BYTES];
	struct cbor_writer w;
	if (strlen(content_type) > COSE_TYPE_MAX || aad_len > HEADER_MAX)
		return err_set(e, ERR_INTERNAL, "content type or external data of a signature too long");
	size_t header_len = put_protected(header, key->kid, content_type);
	if (!digest((struct cbor_view){header, header_len}, (struct cbor_view){aad, aad_len},
		    (struct cbor_view){payload, payload_len}, hash) ||
	    !sign(key->key, hash, signature))
		return complain(e, ERR_INTERNAL, "the key did not sign");
	cbor_writer_init(&w, out, cap);
	cbor_put_array(&w, 4);
	cbor_put_bytes(&w, header, header_len);
	cbor_put_map(&w, 0);
	cbor_put_bytes(&w, payload, payload_len);
	cbor_put_bytes(&w, signature, sizeof(signature));
	*len = w.len;
	return cbor_written(&w, e);
}

struct parts {
	struct cbor_view header, payload, signature;
};

static bool take_parts(const void *bytes, size_t len, struct parts *p, struct err *e)
{
	struct cbor_reader r;
	size_t items, pairs;
	if (!cbor_open(&r, bytes, len, e) || !cbor_take_array(&r, &items, e))
		return false;
	if (items != 4)
		return err_set(e, ERR_DECODE, "COSE_Sign1 of %zu items, expected 4", items);
	if (!cbor_take_bytes(&r, &p->header, e) || !cbor_take_map(&r, &pairs, e))
		return false;
	if (pairs != 0)
		return err_set(e, ERR_DECODE, "an unprotected header, expected none");
	if (!cbor_take_bytes(&r, &p->payload, e) || !cbor_take_bytes(&r, &p->signature, e))
		return false;
	if (p->signature.len != COSE_SIGNATURE_BYTES)
		return err_set(e, ERR_DECODE, "a signature of %zu bytes, expected %d", p->signature.len,
			       COSE_SIGNATURE_BYTES);
	return true;
}

/* The key whose protected header this is, byte for byte. */
static const struct cose_key *whose(const struct cose_keyring *ring, const char *content_type, struct cbor_view header)
{
	uint8_t expected[HEADER_MAX];
	for (size_t i = 0; i < ring->count; i++) {
		size_t len = put_protected(expected, ring->keys[i]->kid, content_type);
		if (len == header.len && memcmp(expected, header.at, len) == 0)
			return ring->keys[i];
	}
	return NULL;
}

bool cose_verify1(const struct cose_keyring *ring, const char *content_type, const void *aad, size_t aad_len,
		  const void *bytes, size_t bytes_len, struct cbor_view *payload, uint8_t kid[COSE_KID_BYTES],
		  struct err *e)
{
	struct parts p;
	uint8_t hash[32];
	if (strlen(content_type) > COSE_TYPE_MAX || aad_len > HEADER_MAX)
		return err_set(e, ERR_INTERNAL, "content type or external data of a signature too long");
	if (!take_parts(bytes, bytes_len, &p, e))
		return false;
	const struct cose_key *key = whose(ring, content_type, p.header);
	if (key == NULL)
		return err_set(e, ERR_UNAUTHORIZED, "not signed for this purpose by a key that is trusted");
	if (memcmp(p.signature.at + PART, half_order, PART) > 0)
		return err_set(e, ERR_UNAUTHORIZED, "the signature is not in its lower form");
	if (!digest(p.header, (struct cbor_view){aad, aad_len}, p.payload, hash) ||
	    !verify(key->key, hash, p.signature.at))
		return err_set(e, ERR_UNAUTHORIZED, "the signature is not right");
	*payload = p.payload;
	if (kid != NULL)
		memcpy(kid, key->kid, COSE_KID_BYTES);
	return true;
}
