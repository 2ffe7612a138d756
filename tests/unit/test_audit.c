/* SPDX-License-Identifier: Apache-2.0
 *
 * Entries of the audit chain and signed checkpoints as bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/ec.h>

#include "core/audit.h"

static struct err err;

static struct cose_key *new_key(void)
{
	EVP_PKEY *pair = EVP_EC_gen("P-256");
	struct cose_key *key = cose_key_from_evp(pair, &err);
	EVP_PKEY_free(pair);
	assert_non_null(key);
	return key;
}

static const struct audit_checkpoint sample = {.number = 4711, .hash = {1, 2, 3}, .at = 1790000000};

static void test_entry_is_hashed_behind_a_zero_byte_and_the_hash_before(void **state)
{
	/* printf '\0' then 32 zeros then {"number":1} | sha256sum */
	static const uint8_t expected[4] = {0x66, 0x31, 0x12, 0x44}, zeros[AUDIT_HASH_BYTES];
	uint8_t hash[AUDIT_HASH_BYTES];
	(void)state;
	audit_link(zeros, "{\"number\":1}", 12, hash);
	assert_memory_equal(hash, expected, sizeof(expected));
}

static void test_checkpoint_survives_signing_and_its_line(void **state)
{
	struct cose_key *key = new_key();
	const struct cose_keyring ring = {.keys = {key}, .count = 1};
	uint8_t message[AUDIT_CHECKPOINT_MAX], again[AUDIT_CHECKPOINT_MAX], kid[COSE_KID_BYTES];
	char line[AUDIT_LINE_MAX];
	size_t len, again_len;
	struct audit_checkpoint c;
	(void)state;
	assert_true(audit_checkpoint_sign(key, &sample, message, &len, &err));
	assert_true(audit_checkpoint_line(&sample, cose_key_kid(key), message, len, line, &err));
	assert_non_null(strstr(line, "{\"number\":4711,\"hash\":\"010203000"));
	assert_non_null(strstr(line, "\"at\":\"2026-09-21T"));
	assert_true(audit_checkpoint_message(line, strlen(line), again, &again_len, &err));
	assert_int_equal(again_len, len);
	assert_memory_equal(again, message, len);
	assert_true(audit_checkpoint_open(&ring, again, again_len, &c, kid, &err));
	assert_true(c.number == 4711 && c.at == 1790000000 && memcmp(c.hash, sample.hash, sizeof(c.hash)) == 0);
	assert_memory_equal(kid, cose_key_kid(key), sizeof(kid));
	cose_key_free(&key);
}

static void test_longest_checkpoint_fits(void **state)
{
	struct cose_key *key = new_key();
	const struct audit_checkpoint longest = {.number = UINT64_MAX, .at = INT64_MIN};
	uint8_t message[AUDIT_CHECKPOINT_MAX];
	char line[AUDIT_LINE_MAX];
	size_t len;
	(void)state;
	assert_true(audit_checkpoint_sign(key, &longest, message, &len, &err));
	assert_true(audit_checkpoint_line(&longest, cose_key_kid(key), message, len, line, &err));
	assert_int_equal(line[strlen(line) - 1], '\n');
	cose_key_free(&key);
}

static void test_checkpoint_with_any_bit_flipped_or_of_another_key_is_refused(void **state)
{
	struct cose_key *key = new_key(), *other = new_key();
	const struct cose_keyring ring = {.keys = {key}, .count = 1};
	uint8_t message[AUDIT_CHECKPOINT_MAX], kid[COSE_KID_BYTES];
	struct audit_checkpoint c;
	size_t len;
	(void)state;
	assert_true(audit_checkpoint_sign(key, &sample, message, &len, &err));
	for (size_t bit = 0; bit < 8 * len; bit++) {
		message[bit / 8] ^= (uint8_t)(1U << (bit % 8));
		assert_false(audit_checkpoint_open(&ring, message, len, &c, kid, &err));
		message[bit / 8] ^= (uint8_t)(1U << (bit % 8));
	}
	assert_true(audit_checkpoint_sign(other, &sample, message, &len, &err));
	assert_false(audit_checkpoint_open(&ring, message, len, &c, kid, &err));
	assert_int_equal(err.code, ERR_UNAUTHORIZED);
	cose_key_free(&key);
	cose_key_free(&other);
}

static void test_line_that_is_no_checkpoint_is_refused(void **state)
{
	static const char *const lines[] = {"",
					    "\n",
					    "\"}",
					    "{}",
					    "{\"checkpoint\":\"\"}",
					    "{\"checkpoint\":\"A\"}",
					    "{\"checkpoint\":\"====\"}",
					    "{\"checkpoint\":\"AAAA\"",
					    "{\"checkpoint\":\"AA!A\"}",
					    "{\"number\":1}"};
	uint8_t message[AUDIT_CHECKPOINT_MAX];
	char longest[2 * AUDIT_LINE_MAX];
	size_t len;
	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		if (audit_checkpoint_message(lines[i], strlen(lines[i]), message, &len, &err))
			fail_msg("'%s' is taken", lines[i]);
	for (size_t digits = 344; digits < 1100; digits += 4) {
		snprintf(longest, sizeof(longest), "{\"checkpoint\":\"%0*d\"}", (int)digits, 0);
		assert_false(audit_checkpoint_message(longest, strlen(longest), message, &len, &err));
	}
}

/* What is asked about the entry that is said to have that number. */
static const char *step(struct audit_place *place, uint64_t number, const uint8_t *previous, const uint8_t *hash,
			const char *canonical)
{
	static struct err e;
	const struct audit_entry x = {number, previous, hash, canonical, strlen(canonical)};
	e = (struct err){0};
	return audit_step(place, &x, &e) ? "" : e.detail;
}

static void test_a_step_of_the_chain_takes_the_next_entry_and_nothing_else(void **state)
{
	static const char first[] = "{\"number\":1,\"at\":\"x\"}", second[] = "{\"number\":2,\"at\":\"y\"}";
	struct audit_place place = {0}, before;
	uint8_t zero[32] = {0}, hash1[32], hash2[32], wrong[32], elsewhere[32];
	(void)state;
	memset(wrong, 7, sizeof(wrong));
	audit_link(zero, first, strlen(first), hash1);
	audit_link(hash1, second, strlen(second), hash2);
	audit_link(wrong, second, strlen(second), elsewhere);

	assert_string_equal(step(&place, 2, zero, hash2, second), "entry 1: missing; entry 2 is in its place");
	assert_string_equal(step(&place, 1, zero, hash1, first), "");
	before = place;
	assert_string_equal(step(&place, 1, zero, hash1, first), "entry 1: out of its place, after entry 1");
	assert_string_equal(step(&place, 2, wrong, elsewhere, second),
			    "entry 2: does not follow entry 1 as it is here; one of them was replaced");
	assert_string_equal(step(&place, 2, hash1, wrong, second), "entry 2: altered; its bytes do not give its hash");
	assert_string_equal(step(&place, 2, wrong, hash2, second), "entry 2: altered; its bytes do not give its hash");
	assert_string_equal(step(&place, 2, hash1, hash2, "{\"number\":2,\"at\":\"z\"}"),
			    "entry 2: altered; its bytes do not give its hash");
	assert_string_equal(step(&place, 2, hash1, hash1, first), "entry 2: its bytes say another number");
	assert_memory_equal(&place, &before, sizeof(place));
	assert_string_equal(step(&place, 2, hash1, hash2, second), "");
	assert_int_equal(place.number, 2);
	/* Where the hash before is not known, any entry of that number follows, and the next one follows that one only.
	 */
	place = (struct audit_place){.number = 1, .any = true};
	assert_string_equal(step(&place, 2, wrong, elsewhere, second), "");
	assert_false(place.any);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_entry_is_hashed_behind_a_zero_byte_and_the_hash_before),
		cmocka_unit_test(test_a_step_of_the_chain_takes_the_next_entry_and_nothing_else),
		cmocka_unit_test(test_checkpoint_survives_signing_and_its_line),
		cmocka_unit_test(test_longest_checkpoint_fits),
		cmocka_unit_test(test_checkpoint_with_any_bit_flipped_or_of_another_key_is_refused),
		cmocka_unit_test(test_line_that_is_no_checkpoint_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
