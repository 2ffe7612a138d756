/* SPDX-License-Identifier: Apache-2.0
 *
 * Hashes of entries and signatures over them. Lines of checkpoints are taken apart by their fixed ends, so that a line
 * has one reading and needs no JSON parser that might have another. */
#include "core/audit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/evp.h>

static const char content_type[] = "application/coldfleet-checkpoint+cbor";
static const char aad[] = "coldfleet-audit-v1"; /* with its terminating zero */

void audit_link(const uint8_t previous[AUDIT_HASH_BYTES], const void *canonical, size_t len,
		uint8_t hash[AUDIT_HASH_BYTES])
{
	static EVP_MD *sha256; /* looked up once: per call it costs more than a short entry */
	static EVP_MD_CTX *context;
	static const uint8_t zero[1];

	if (sha256 == NULL &&
	    ((sha256 = EVP_MD_fetch(NULL, "SHA256", NULL)) == NULL || (context = EVP_MD_CTX_new()) == NULL))
		abort();
	if (EVP_DigestInit_ex2(context, sha256, NULL) != 1 || EVP_DigestUpdate(context, zero, sizeof(zero)) != 1 ||
	    EVP_DigestUpdate(context, previous, AUDIT_HASH_BYTES) != 1 ||
	    EVP_DigestUpdate(context, canonical, len) != 1 || EVP_DigestFinal_ex(context, hash, NULL) != 1)
		abort();
}

/* The place in the chain is the first thing that canonical bytes say. */
static bool says_number(const struct audit_entry *x)
{
	char start[40];
	size_t len = (size_t)snprintf(start, sizeof(start), "{\"number\":%" PRIu64 ",", x->number);
	return x->canonical_len > len && memcmp(x->canonical, start, len) == 0;
}

static bool is_next(const struct audit_place *place, const struct audit_entry *x, struct err *e)
{
	if (x->number > place->number + 1)
		return err_set(e, ERR_CONFLICT, "entry %" PRIu64 ": missing; entry %" PRIu64 " is in its place",
			       place->number + 1, x->number);
	if (x->number <= place->number)
		return err_set(e, ERR_CONFLICT, "entry %" PRIu64 ": out of its place, after entry %" PRIu64, x->number,
			       place->number);
	return says_number(x) || err_set(e, ERR_CONFLICT, "entry %" PRIu64 ": its bytes say another number", x->number);
}

bool audit_step(struct audit_place *place, const struct audit_entry *x, struct err *e)
{
	uint8_t hash[AUDIT_HASH_BYTES];
	if (!is_next(place, x, e))
		return false;
	audit_link(x->previous, x->canonical, x->canonical_len, hash);
	if (memcmp(hash, x->hash, sizeof(hash)) != 0)
		return err_set(e, ERR_CONFLICT, "entry %" PRIu64 ": altered; its bytes do not give its hash",
			       x->number);
	if (!place->any && memcmp(x->previous, place->hash, sizeof(hash)) != 0)
		return err_set(e, ERR_CONFLICT,
			       "entry %" PRIu64 ": does not follow entry %" PRIu64
			       " as it is here; one of them was replaced",
			       x->number, place->number);
	place->number = x->number;
	place->any = false;
	memcpy(place->hash, hash, sizeof(hash));
	return true;
}

bool audit_checkpoint_sign(const struct cose_key *key, const struct audit_checkpoint *c,
			   uint8_t message[AUDIT_CHECKPOINT_MAX], size_t *len, struct err *e)
{
	uint8_t payload[AUDIT_CHECKPOINT_MAX - COSE_OVERHEAD];
	struct cbor_writer w;

	cbor_writer_init(&w, payload, sizeof(payload));
	cbor_put_map(&w, 3);
	cbor_put_uint(&w, 1);
	cbor_put_uint(&w, c->number);
	cbor_put_uint(&w, 2);
	cbor_put_bytes(&w, c->hash, sizeof(c->hash));
	cbor_put_uint(&w, 3);
	cbor_put_int(&w, c->at);
	return cbor_written(&w, e) &&
	       cose_sign1(key, content_type, aad, sizeof(aad), payload, w.len, message, AUDIT_CHECKPOINT_MAX, len, e);
}

static bool take_key(struct cbor_reader *r, uint64_t wanted, struct err *e)
{
	uint64_t key;
	return cbor_take_uint(r, &key, e) &&
	       (key == wanted ||
		err_set(e, ERR_DECODE, "expected key %" PRIu64 " of a checkpoint, got %" PRIu64, wanted, key));
}

static bool take_checkpoint(struct cbor_view payload, struct audit_checkpoint *c, struct err *e)
{
	struct cbor_reader r;
	struct cbor_view hash;
	size_t pairs;

	if (!cbor_open(&r, payload.at, payload.len, e) || !cbor_take_map(&r, &pairs, e))
		return false;
	if (pairs != 3)
		return err_set(e, ERR_DECODE, "expected the 3 fields of a checkpoint, got %zu", pairs);
	if (!take_key(&r, 1, e) || !cbor_take_uint(&r, &c->number, e) || !take_key(&r, 2, e) ||
	    !cbor_take_bytes(&r, &hash, e) || !take_key(&r, 3, e) || !cbor_take_int(&r, &c->at, e))
		return false;
	if (hash.len != sizeof(c->hash))
		return err_set(e, ERR_DECODE, "expected a hash of %zu bytes, got %zu", sizeof(c->hash), hash.len);
	memcpy(c->hash, hash.at, sizeof(c->hash));
	return true;
}

bool audit_checkpoint_open(const struct cose_keyring *ring, const void *message, size_t len, struct audit_checkpoint *c,
			   uint8_t kid[COSE_KID_BYTES], struct err *e)
{
	struct cbor_view payload;
	return cose_verify1(ring, content_type, aad, sizeof(aad), message, len, &payload, kid, e) &&
	       take_checkpoint(payload, c, e);
}

static void hex(const uint8_t *bytes, size_t len, char *out)
{
	for (size_t i = 0; i < len; i++)
		snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

bool audit_checkpoint_line(const struct audit_checkpoint *c, const uint8_t kid[COSE_KID_BYTES], const void *message,
			   size_t len, char line[AUDIT_LINE_MAX], struct err *e)
{
	char hash[2 * AUDIT_HASH_BYTES + 1], key[2 * COSE_KID_BYTES + 1], at[32] = "";
	char base64[AUDIT_CHECKPOINT_MAX * 4 / 3 + 4];
	const time_t seconds = (time_t)c->at;
	struct tm utc;

	if (len > AUDIT_CHECKPOINT_MAX)
		return err_set(e, ERR_TOO_LARGE, "a checkpoint of %zu bytes, expected at most %d", len,
			       AUDIT_CHECKPOINT_MAX);
	hex(c->hash, sizeof(c->hash), hash);
	hex(kid, COSE_KID_BYTES, key);
	EVP_EncodeBlock((unsigned char *)base64, message, (int)len);
	if (gmtime_r(&seconds, &utc) != NULL)
		strftime(at, sizeof(at), "%Y-%m-%dT%H:%M:%SZ", &utc);
	snprintf(line, AUDIT_LINE_MAX,
		 "{\"number\":%" PRIu64 ",\"hash\":\"%s\",\"at\":\"%s\",\"kid\":\"%s\",\"checkpoint\":\"%s\"}\n",
		 c->number, hash, at, key, base64);
	return true;
}

bool audit_checkpoint_message(const char *line, size_t line_len, uint8_t message[AUDIT_CHECKPOINT_MAX], size_t *len,
			      struct err *e)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	static const char name[] = "\"checkpoint\":\"", end[] = "\"}";
	char text[AUDIT_LINE_MAX];
	unsigned char bytes[AUDIT_LINE_MAX];
	size_t padding = 0;

	if (line_len > 0 && line[line_len - 1] == '\n')
		line_len--;
	if (line_len >= sizeof(text) || line_len < sizeof(end) || memcmp(line + line_len - 2, end, 2) != 0)
		goto wrong;
	memcpy(text, line, line_len - 2);
	text[line_len - 2] = '\0';
	char *base64 = strstr(text, name);
	if (base64 == NULL)
		goto wrong;
	base64 += sizeof(name) - 1;
	size_t digits = strlen(base64);
	while (padding < 2 && digits > padding && base64[digits - 1 - padding] == '=')
		padding++;
	if (strspn(base64, alphabet) != digits - padding)
		goto wrong; /* EVP_DecodeBlock() takes padding anywhere */
	int got = EVP_DecodeBlock(bytes, (const unsigned char *)base64, (int)digits);
	if (got < 3 || (size_t)got - padding > AUDIT_CHECKPOINT_MAX)
		goto wrong;
	*len = (size_t)got - padding;
	memcpy(message, bytes, *len);
	return true;
wrong:
	return err_set(e, ERR_DECODE, "expected a JSON object that ends in \"checkpoint\":\"BASE64\"}");
}
