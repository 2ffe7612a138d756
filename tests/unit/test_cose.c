/* SPDX-License-Identifier: Apache-2.0
 *
 * COSE_Sign1 in one form, and trust lists: what is signed verifies, and nothing else does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/pem.h>

#include "core/cose.h"
#include "core/trust.h"

#define TYPE "application/test+cbor"

static struct cose_key *alice, *bob;
static struct cose_keyring ring;

static struct cose_key *new_key(void)
{
	EVP_PKEY *pkey = EVP_EC_gen("P-256");
	struct cose_key *key = cose_key_from_evp(pkey, NULL);
	assert_non_null(key);
	EVP_PKEY_free(pkey);
	return key;
}

static int make_keys(void **state)
{
	(void)state;
	alice = new_key();
	bob = new_key();
	ring = (struct cose_keyring){.keys = {alice}, .count = 1};
	return 0;
}

static int free_keys(void **state)
{
	(void)state;
	cose_key_free(&alice);
	cose_key_free(&bob);
	return 0;
}

struct message {
	uint8_t bytes[256];
	size_t len;
};

static struct message sign(const struct cose_key *key, const char *payload)
{
	struct message m;
	struct err e = {0};
	if (!cose_sign1(key, TYPE, "aad", 3, payload, strlen(payload), m.bytes, sizeof(m.bytes), &m.len, &e))
		fail_msg("%s", e.detail);
	return m;
}

static bool opens(const struct message *m, struct err *e)
{
	struct cbor_view payload;
	return cose_verify1(&ring, TYPE, "aad", 3, m->bytes, m->len, &payload, NULL, e);
}

static void assert_refused(const struct message *m, const char *because)
{
	struct err e = {0};
	assert_false(opens(m, &e));
	if (strstr(e.detail, because) == NULL)
		fail_msg("said \"%s\", expected \"%s\"", e.detail, because);
}

static void test_signed_message_gives_its_payload_and_whose_it_was(void **state)
{
	struct message m = sign(alice, "payload");
	struct cbor_view payload;
	uint8_t kid[COSE_KID_BYTES];
	struct err e = {0};
	(void)state;
	ring.keys[1] = bob;
	ring.count = 2;
	assert_true(cose_verify1(&ring, TYPE, "aad", 3, m.bytes, m.len, &payload, kid, &e));
	assert_true(cbor_text_is(payload, "payload"));
	assert_memory_equal(kid, cose_key_kid(alice), COSE_KID_BYTES);
	assert_in_range(m.len, 1, 7 + COSE_OVERHEAD);
	m = sign(bob, "payload");
	assert_true(cose_verify1(&ring, TYPE, "aad", 3, m.bytes, m.len, &payload, kid, &e));
	assert_memory_equal(kid, cose_key_kid(bob), COSE_KID_BYTES);
	ring.count = 1;
	assert_refused(&m, "by a key that is trusted");
}

static void test_other_type_or_external_data_is_refused(void **state)
{
	struct message m = sign(alice, "payload");
	struct cbor_view payload;
	struct err e = {0};
	(void)state;
	assert_false(cose_verify1(&ring, "application/other", "aad", 3, m.bytes, m.len, &payload, NULL, &e));
	assert_int_equal(e.code, ERR_UNAUTHORIZED);
	assert_false(cose_verify1(&ring, TYPE, "aae", 3, m.bytes, m.len, &payload, NULL, &e));
	assert_string_equal(e.detail, "the signature is not right");
	assert_false(cose_verify1(&ring, TYPE, "aad", 2, m.bytes, m.len, &payload, NULL, &e));
	assert_int_equal(e.code, ERR_UNAUTHORIZED);
}

static void test_every_flipped_bit_is_refused(void **state)
{
	struct message m = sign(alice, "payload");
	(void)state;
	for (size_t bit = 0; bit < m.len * 8; bit++) {
		m.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_false(opens(&m, NULL));
		m.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	assert_true(opens(&m, NULL));
}

/* (r, n - s) is as good as (r, s) for ECDSA, and no second message for us. Signatures are random: many are made. */
static void test_the_other_form_of_a_signature_is_refused(void **state)
{
	EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
	(void)state;
	for (int i = 0; i < 50; i++) {
		struct message m = sign(alice, "payload");
		assert_true(opens(&m, NULL));
		uint8_t *tail = m.bytes + m.len - 32;
		BIGNUM *s = BN_bin2bn(tail, 32, NULL);
		assert_true(BN_sub(s, EC_GROUP_get0_order(group), s));
		assert_int_equal(BN_bn2binpad(s, tail, 32), 32);
		BN_free(s);
		assert_refused(&m, "lower form");
	}
	EC_GROUP_free(group);
}

static void test_zero_signature_is_refused(void **state)
{
	struct message m = sign(alice, "payload");
	(void)state;
	memset(m.bytes + m.len - 64, 0, 64);
	assert_refused(&m, "not right");
	memset(m.bytes + m.len - 64, 0xff, 32);
	assert_refused(&m, "not right");
}

static void test_key_that_is_not_on_p256_is_refused(void **state)
{
	EVP_PKEY *pkey = EVP_EC_gen("P-384");
	struct err e = {0};
	uint8_t point[COSE_POINT_BYTES];
	(void)state;
	assert_null(cose_key_from_evp(pkey, &e));
	assert_int_equal(e.code, ERR_CONFIG);
	EVP_PKEY_free(pkey);
	memcpy(point, cose_key_point(alice), sizeof(point));
	point[40] ^= 1;
	assert_null(cose_key_public(point, &e));
	assert_int_equal(e.code, ERR_DECODE);
}

static void test_public_key_from_its_point_or_a_file_has_the_same_id(void **state)
{
	char path[] = "/tmp/cose-key-XXXXXX";
	struct cose_key *copy = cose_key_public(cose_key_point(alice), NULL), *loaded;
	EVP_PKEY *pkey = EVP_EC_gen("P-256");
	struct err e = {0};
	FILE *f = fdopen(mkstemp(path), "w");
	(void)state;
	assert_memory_equal(cose_key_kid(copy), cose_key_kid(alice), COSE_KID_BYTES);
	assert_int_equal(PEM_write_PUBKEY(f, pkey), 1);
	fclose(f);
	loaded = cose_key_load_pem(path, &e);
	cose_key_free(&copy);
	copy = cose_key_from_evp(pkey, NULL);
	assert_memory_equal(cose_key_kid(loaded), cose_key_kid(copy), COSE_KID_BYTES);
	cose_key_free(&loaded);
	cose_key_free(&copy);
	f = fopen(path, "w");
	assert_int_equal(PEM_write_PrivateKey(f, pkey, NULL, NULL, 0, NULL, NULL), 1);
	fclose(f);
	assert_null(cose_key_load_pem(path, &e));
	assert_non_null(strstr(e.detail, "expected a public key"));
	EVP_PKEY_free(pkey);
	unlink(path);
}

/* ---- trust lists ---- */

static struct cose_key *public_of(const struct cose_key *key)
{
	return cose_key_public(cose_key_point(key), NULL);
}

static struct trust *list_of(int64_t version, const struct cose_key *a, const struct cose_key *b)
{
	struct trust *t = trust_new(version);
	assert_true(trust_add(t, public_of(a), 2000, NULL));
	if (b != NULL)
		assert_true(trust_add(t, public_of(b), TRUST_NEVER, NULL));
	return t;
}

static void test_trust_list_comes_back_from_its_bytes(void **state)
{
	struct trust *t = list_of(7, alice, bob), *back;
	uint8_t bytes[TRUST_BYTES_MAX], again[TRUST_BYTES_MAX];
	size_t len, again_len;
	struct err e = {0};
	(void)state;
	assert_true(trust_encode(t, bytes, sizeof(bytes), &len, &e));
	back = trust_decode(bytes, len, &e);
	assert_non_null(back);
	assert_int_equal(trust_version(back), 7);
	assert_true(trust_encode(back, again, sizeof(again), &again_len, &e));
	assert_int_equal(len, again_len);
	assert_memory_equal(bytes, again, len);
	assert_int_equal(trust_ring(back, 2000).count, 2);
	assert_int_equal(trust_ring(back, 2001).count, 1);
	assert_int_equal(trust_ring(back, -1).count, 2);
	trust_free(&back);
	for (size_t i = 0; i < len * 8; i++) {
		bytes[i / 8] ^= (uint8_t)(1u << i % 8);
		back = trust_decode(bytes, len, NULL);
		if (back != NULL) { /* another version or another time: still exactly these bytes */
			assert_true(trust_encode(back, again, sizeof(again), &again_len, NULL));
			assert_int_equal(again_len, len);
			assert_memory_equal(again, bytes, len);
		}
		trust_free(&back);
		bytes[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	trust_free(&t);
}

static void test_same_key_twice_in_a_trust_list_is_refused(void **state)
{
	struct trust *t = list_of(1, alice, NULL);
	struct err e = {0};
	(void)state;
	assert_false(trust_add(t, public_of(alice), 1, &e));
	assert_int_equal(e.code, ERR_INVALID);
	trust_free(&t);
}

struct update {
	uint8_t bytes[TRUST_UPDATE_MAX];
	size_t len;
};

static void make_update(struct update *u, const struct trust *next, const struct cose_key *old,
			const struct cose_key *fresh)
{
	assert_true(trust_update_sign(next, old, fresh, u->bytes, sizeof(u->bytes), &u->len, NULL));
}

static enum err_code outcome(const struct trust *present, const struct update *u)
{
	struct err e = {0};
	struct trust *next = trust_update_open(present, 1000, u->bytes, u->len, &e);
	bool ok = next != NULL;
	trust_free(&next);
	return ok ? ERR_NONE : e.code;
}

static void test_new_trust_list_needs_an_old_key_and_a_new_one_and_a_higher_version(void **state)
{
	struct cose_key *carol = new_key();
	struct trust *first = trust_of_key(public_of(alice)), *second = list_of(2, bob, NULL);
	struct trust *same = list_of(2, carol, bob);
	struct update u;
	(void)state;
	make_update(&u, second, alice, bob);
	assert_int_equal(outcome(first, &u), ERR_NONE);
	assert_int_equal(outcome(second, &u), ERR_UNAUTHORIZED);
	make_update(&u, same, bob, carol);
	assert_int_equal(outcome(second, &u), ERR_CONFLICT);
	make_update(&u, second, carol, bob);
	assert_int_equal(outcome(first, &u), ERR_UNAUTHORIZED);
	make_update(&u, second, alice, carol);
	assert_int_equal(outcome(first, &u), ERR_UNAUTHORIZED);
	make_update(&u, second, alice, alice);
	assert_int_equal(outcome(first, &u), ERR_UNAUTHORIZED);
	trust_free(&first);
	trust_free(&second);
	trust_free(&same);
	cose_key_free(&carol);
}

static void test_two_lists_that_differ_are_refused(void **state)
{
	struct trust *first = trust_of_key(public_of(alice)), *a = list_of(2, bob, NULL), *b = list_of(3, bob, NULL);
	struct update u, v, mixed;
	struct cbor_reader r;
	struct cbor_view old_part, new_part;
	struct cbor_writer w;
	(void)state;
	make_update(&u, a, alice, bob);
	make_update(&v, b, alice, bob);
	assert_true(cbor_open(&r, u.bytes, u.len, NULL) && cbor_take_array(&r, &(size_t){0}, NULL) &&
		    cbor_take_bytes(&r, &old_part, NULL));
	assert_true(cbor_open(&r, v.bytes, v.len, NULL) && cbor_take_array(&r, &(size_t){0}, NULL) &&
		    cbor_take_bytes(&r, &new_part, NULL) && cbor_take_bytes(&r, &new_part, NULL));
	cbor_writer_init(&w, mixed.bytes, sizeof(mixed.bytes));
	cbor_put_array(&w, 2);
	cbor_put_bytes(&w, old_part.at, old_part.len);
	cbor_put_bytes(&w, new_part.at, new_part.len);
	mixed.len = w.len;
	assert_int_equal(outcome(first, &mixed), ERR_DECODE);
	trust_free(&first);
	trust_free(&a);
	trust_free(&b);
}

static void test_trust_is_loaded_from_a_list_or_a_single_key_and_from_nothing_else(void **state)
{
	char path[] = "/tmp/trust-list-XXXXXX";
	uint8_t bytes[TRUST_BYTES_MAX];
	size_t len;
	struct err e = {0};
	struct trust *t = list_of(3, alice, bob), *loaded;
	FILE *f = fdopen(mkstemp(path), "w");
	(void)state;
	assert_true(trust_encode(t, bytes, sizeof(bytes), &len, &e));
	fwrite(bytes, 1, len, f);
	fflush(f);
	loaded = trust_load(path, &e);
	assert_non_null(loaded);
	assert_int_equal(trust_version(loaded), 3);
	trust_free(&loaded);
	fputc(0, f);
	fflush(f);
	assert_null(trust_load(path, &e));
	assert_non_null(strstr(e.detail, "bytes behind the end"));
	fclose(f);
	f = fopen(path, "w");
	fputs("hello", f);
	fclose(f);
	assert_null(trust_load(path, &e));
	assert_non_null(strstr(e.detail, "expected a public key"));
	unlink(path);
	assert_null(trust_load(path, &e));
	assert_non_null(strstr(e.detail, path));
	trust_free(&t);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_signed_message_gives_its_payload_and_whose_it_was),
		cmocka_unit_test(test_other_type_or_external_data_is_refused),
		cmocka_unit_test(test_every_flipped_bit_is_refused),
		cmocka_unit_test(test_the_other_form_of_a_signature_is_refused),
		cmocka_unit_test(test_zero_signature_is_refused),
		cmocka_unit_test(test_key_that_is_not_on_p256_is_refused),
		cmocka_unit_test(test_public_key_from_its_point_or_a_file_has_the_same_id),
		cmocka_unit_test(test_trust_list_comes_back_from_its_bytes),
		cmocka_unit_test(test_same_key_twice_in_a_trust_list_is_refused),
		cmocka_unit_test(test_new_trust_list_needs_an_old_key_and_a_new_one_and_a_higher_version),
		cmocka_unit_test(test_two_lists_that_differ_are_refused),
		cmocka_unit_test(test_trust_is_loaded_from_a_list_or_a_single_key_and_from_nothing_else),
	};
	return cmocka_run_group_tests(tests, make_keys, free_keys);
}
