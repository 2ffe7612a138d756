/* SPDX-License-Identifier: Apache-2.0
 *
 * Lists are short (COSE_KEYS_MAX), so everything walks through them. */
#include "core/trust.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UPDATE_TYPE "application/coldfleet-trust+cbor"
#define UPDATE_DATA "coldfleet-trust-v1"

enum { KEY_VERSION = 1, KEY_LIST = 2, KEY_KID = 1, KEY_POINT = 2, KEY_NOT_AFTER = 3 };

struct trust {
	int64_t version;
	size_t count;
	struct cose_key *keys[COSE_KEYS_MAX]; /* by key id */
	int64_t not_after[COSE_KEYS_MAX];
};

struct trust *trust_new(int64_t version)
{
	struct trust *t = calloc(1, sizeof(*t));
	if (t == NULL)
		abort();
	t->version = version;
	return t;
}

struct trust *trust_of_key(struct cose_key *key_take)
{
	struct trust *t = trust_new(0);
	trust_add(t, key_take, TRUST_NEVER, NULL);
	return t;
}

static int by_kid(const struct cose_key *a, const struct cose_key *b)
{
	return memcmp(cose_key_kid(a), cose_key_kid(b), COSE_KID_BYTES);
}

bool trust_add(struct trust *t, struct cose_key *key_take, int64_t not_after, struct err *e)
{
	size_t at = 0;
	while (at < t->count && by_kid(t->keys[at], key_take) < 0)
		at++;
	bool twice = at < t->count && by_kid(t->keys[at], key_take) == 0;
	if (twice || t->count == COSE_KEYS_MAX || not_after < 0) {
		cose_key_free(&key_take);
		return err_set(e, ERR_INVALID, "trust list: %s",
			       twice           ? "a key that is there twice"
			       : not_after < 0 ? "a time before 1970"
					       : "too many keys");
	}
	memmove(&t->keys[at + 1], &t->keys[at], (t->count - at) * sizeof(t->keys[0]));
	memmove(&t->not_after[at + 1], &t->not_after[at], (t->count - at) * sizeof(t->not_after[0]));
	t->keys[at] = key_take;
	t->not_after[at] = not_after;
	t->count++;
	return true;
}

void trust_free(struct trust **t)
{
	if (*t == NULL)
		return;
	for (size_t i = 0; i < (*t)->count; i++)
		cose_key_free(&(*t)->keys[i]);
	free(*t);
	*t = NULL;
}

int64_t trust_version(const struct trust *t)
{
	return t->version;
}

struct cose_keyring trust_ring(const struct trust *t, int64_t now)
{
	struct cose_keyring ring = {.count = 0};
	for (size_t i = 0; i < t->count; i++)
		if (now <= t->not_after[i])
			ring.keys[ring.count++] = t->keys[i];
	return ring;
}

/* ---- as bytes ---- */

bool trust_encode(const struct trust *t, uint8_t *out, size_t cap, size_t *len, struct err *e)
{
	struct cbor_writer w;
	cbor_writer_init(&w, out, cap);
	cbor_put_map(&w, 2);
	cbor_put_uint(&w, KEY_VERSION);
	cbor_put_int(&w, t->version);
	cbor_put_uint(&w, KEY_LIST);
	cbor_put_array(&w, t->count);
	for (size_t i = 0; i < t->count; i++) {
		cbor_put_map(&w, 3);
		cbor_put_uint(&w, KEY_KID);
		cbor_put_bytes(&w, cose_key_kid(t->keys[i]), COSE_KID_BYTES);
		cbor_put_uint(&w, KEY_POINT);
		cbor_put_bytes(&w, cose_key_point(t->keys[i]), COSE_POINT_BYTES);
		cbor_put_uint(&w, KEY_NOT_AFTER);
		cbor_put_int(&w, t->not_after[i]);
	}
	*len = w.len;
	return cbor_written(&w, e);
}

static bool take_label(struct cbor_reader *r, uint64_t expected, struct err *e)
{
	uint64_t label;
	if (!cbor_take_uint(r, &label, e))
		return false;
	return label == expected || err_set(e, ERR_DECODE, "key %u, expected %u", (unsigned)label, (unsigned)expected);
}

static bool take_pairs(struct cbor_reader *r, size_t expected, struct err *e)
{
	size_t pairs;
	if (!cbor_take_map(r, &pairs, e))
		return false;
	return pairs == expected || err_set(e, ERR_DECODE, "a map of %zu, expected %zu", pairs, expected);
}

/* In the order of their ids, so that the list has one form. */
static bool take_key(struct cbor_reader *r, struct trust *t, struct err *e)
{
	struct cbor_view kid, point;
	int64_t not_after;
	struct cose_key *key;
	if (!take_pairs(r, 3, e) || !take_label(r, KEY_KID, e) || !cbor_take_bytes(r, &kid, e) ||
	    !take_label(r, KEY_POINT, e) || !cbor_take_bytes(r, &point, e) || !take_label(r, KEY_NOT_AFTER, e) ||
	    !cbor_take_int(r, &not_after, e))
		return false;
	if (kid.len != COSE_KID_BYTES || point.len != COSE_POINT_BYTES)
		return err_set(e, ERR_DECODE, "a key id of %zu and a point of %zu bytes, expected %d and %d", kid.len,
			       point.len, COSE_KID_BYTES, COSE_POINT_BYTES);
	key = cose_key_public(point.at, e);
	if (key == NULL)
		return false;
	bool own = memcmp(cose_key_kid(key), kid.at, COSE_KID_BYTES) == 0;
	bool rising = t->count == 0 || by_kid(t->keys[t->count - 1], key) < 0;
	if (own && rising)
		return trust_add(t, key, not_after, e);
	cose_key_free(&key);
	return err_set(e, ERR_DECODE, own ? "keys are not in the order of their ids" : "a key id of another key");
}

static bool take_list(struct cbor_reader *r, struct trust *t, struct err *e)
{
	size_t keys;
	if (!take_pairs(r, 2, e) || !take_label(r, KEY_VERSION, e) || !cbor_take_int(r, &t->version, e) ||
	    !take_label(r, KEY_LIST, e) || !cbor_take_array(r, &keys, e))
		return false;
	if (t->version < 1 || keys < 1 || keys > COSE_KEYS_MAX)
		return err_set(e, ERR_DECODE, "expected a version from 1 on and 1 to %d keys", COSE_KEYS_MAX);
	for (size_t i = 0; i < keys; i++)
		if (!take_key(r, t, e))
			return false;
	return true;
}

struct trust *trust_decode(const void *bytes, size_t len, struct err *e)
{
	struct cbor_reader r;
	struct trust *t = trust_new(0);
	if (len > TRUST_BYTES_MAX)
		err_set(e, ERR_DECODE, "%zu bytes, expected at most %d", len, TRUST_BYTES_MAX);
	else if (cbor_open(&r, bytes, len, e) && take_list(&r, t, e))
		return t;
	err_prefix(e, "trust list: ");
	trust_free(&t);
	return NULL;
}

struct trust *trust_load(const char *path, struct err *e)
{
	uint8_t bytes[TRUST_BYTES_MAX + 1];
	FILE *f = fopen(path, "re");
	if (f == NULL) {
		err_set(e, ERR_CONFIG, "%.160s: %m", path);
		return NULL;
	}
	size_t len = fread(bytes, 1, sizeof(bytes), f);
	fclose(f);
	if (len > 0 && bytes[0] == 0xa2)
		return trust_decode(bytes, len, e);
	struct cose_key *key = cose_key_load_pem(path, e);
	return key != NULL ? trust_of_key(key) : NULL;
}

/* ---- from one version to the next ---- */

bool trust_update_sign(const struct trust *next, const struct cose_key *old, const struct cose_key *fresh, uint8_t *out,
		       size_t cap, size_t *len, struct err *e)
{
	uint8_t list[TRUST_BYTES_MAX], message[TRUST_BYTES_MAX + COSE_OVERHEAD];
	const struct cose_key *signers[] = {old, fresh};
	size_t list_len, message_len;
	struct cbor_writer w;
	cbor_writer_init(&w, out, cap);
	cbor_put_array(&w, 2);
	if (!trust_encode(next, list, sizeof(list), &list_len, e))
		return false;
	for (size_t i = 0; i < 2; i++) {
		if (!cose_sign1(signers[i], UPDATE_TYPE, UPDATE_DATA, sizeof(UPDATE_DATA), list, list_len, message,
				sizeof(message), &message_len, e))
			return false;
		cbor_put_bytes(&w, message, message_len);
	}
	*len = w.len;
	return cbor_written(&w, e);
}

static bool open_part(struct cbor_reader *r, const struct trust *signers, int64_t now, struct cbor_view *list,
		      struct err *e)
{
	struct cbor_view message;
	struct cose_keyring ring = trust_ring(signers, now);
	return cbor_take_bytes(r, &message, e) && cose_verify1(&ring, UPDATE_TYPE, UPDATE_DATA, sizeof(UPDATE_DATA),
							       message.at, message.len, list, NULL, e);
}

struct trust *trust_update_open(const struct trust *present, int64_t now, const void *bytes, size_t len, struct err *e)
{
	struct cbor_reader r;
	struct cbor_view list, again;
	struct trust *next = NULL;
	size_t parts;
	bool ok = cbor_open(&r, bytes, len, e) && cbor_take_array(&r, &parts, e) &&
		  (parts == 2 || err_set(e, ERR_DECODE, "%zu signed lists, expected 2", parts)) &&
		  open_part(&r, present, now, &list, e) && (next = trust_decode(list.at, list.len, e)) != NULL &&
		  open_part(&r, next, now, &again, e);
	if (ok && (list.len != again.len || memcmp(list.at, again.at, list.len) != 0))
		ok = err_set(e, ERR_DECODE, "two lists that differ");
	if (ok && next->version <= present->version)
		ok = err_set(e, ERR_CONFLICT, "trust list: version %d, expected more than %d", (int)next->version,
			     (int)present->version);
	if (!ok)
		trust_free(&next);
	return next;
}
