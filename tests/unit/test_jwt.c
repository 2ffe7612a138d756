/* SPDX-License-Identifier: Apache-2.0
 *
 * Access tokens: what holds, and the ways in which others have been fooled. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/pem.h>

#include "jwt_maker.h"

#define NOW  1790000000
#define RS   "{\"alg\":\"RS256\",\"typ\":\"at+jwt\",\"kid\":\"r1\"}"
#define ES   "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"e1\"}"
#define GOOD "{\"iss\":\"https://id.example\",\"aud\":\"coldfleet\",\"sub\":\"ada\",\"exp\":1790000300}"

static struct jwt_maker maker;
static struct jwt_keys *keys;
static const struct jwt_rules rules = {
	.issuer = "https://id.example", .audience = "coldfleet", .type = "at+jwt", .algs = {true, true}};

static int start(void **state)
{
	struct err e = {0};
	(void)state;
	jwt_maker_init(&maker);
	keys = jwt_keys_new(maker.jwks, strlen(maker.jwks), &e);
	return keys != NULL ? 0 : -1;
}

static int stop(void **state)
{
	(void)state;
	jwt_keys_free(&keys);
	jwt_maker_free(&maker);
	return 0;
}

static enum jwt_fault fault_of(const char *token, const struct jwt_rules *r)
{
	enum jwt_fault fault;
	struct err e = {0};
	json_t *claims = jwt_verify(token, keys, r, NOW, &fault, &e);
	if ((claims != NULL) != (fault == JWT_OK) || (claims == NULL) != (e.code == ERR_UNAUTHORIZED))
		fail_msg("fault %s, error %d", jwt_fault_name(fault), e.code);
	json_decref(claims);
	return fault;
}

static void expect(enum jwt_fault fault, const char *header, const char *claims, EVP_PKEY *key)
{
	enum jwt_fault is = fault_of(jwt_make(header, claims, key, NULL), &rules);
	if (is != fault)
		fail_msg("expected %s, got %s for %s %s", jwt_fault_name(fault), jwt_fault_name(is), header, claims);
}

static void test_tokens_of_both_algorithms_hold(void **state)
{
	(void)state;
	assert_int_equal(jwt_keys_count(keys), 2);
	expect(JWT_OK, RS, GOOD, maker.rsa);
	expect(JWT_OK, ES, GOOD, maker.ec);
	expect(JWT_OK, "{\"alg\":\"ES256\",\"typ\":\"application/AT+JWT\",\"kid\":\"e1\"}", GOOD, maker.ec);
	expect(JWT_OK, ES,
	       "{\"iss\":\"https://id.example\",\"aud\":[\"x\",\"coldfleet\"],\"sub\":\"ada\",\"exp\":1790000300.5,"
	       "\"nbf\":1790000030,\"iat\":1789999999}",
	       maker.ec);
}

static void test_hmac_with_the_public_key_as_secret_is_refused(void **state)
{
	(void)state;
	BIO *bio = BIO_new(BIO_s_mem());
	char *pem;
	PEM_write_bio_PUBKEY(bio, maker.rsa);
	BIO_write(bio, "", 1);
	BIO_get_mem_data(bio, &pem);
	static const char *const algs[] = {"HS256", "RS256", "hs256", "HS512"};
	for (size_t i = 0; i < sizeof(algs) / sizeof(algs[0]); i++) {
		char header[128];
		snprintf(header, sizeof(header), "{\"alg\":\"%s\",\"typ\":\"at+jwt\",\"kid\":\"r1\"}", algs[i]);
		assert_int_equal(fault_of(jwt_make(header, GOOD, NULL, pem), &rules),
				 i == 1 ? JWT_SIGNATURE : JWT_ALGORITHM);
	}
	BIO_free(bio);
}

static void test_unsigned_tokens_are_refused(void **state)
{
	(void)state;
	static const char *const algs[] = {"none", "None", "NONE", "nOnE", "", "RS256"};
	for (size_t i = 0; i < sizeof(algs) / sizeof(algs[0]); i++) {
		char header[128], token[2048];
		snprintf(header, sizeof(header), "{\"alg\":\"%s\",\"typ\":\"at+jwt\",\"kid\":\"r1\"}", algs[i]);
		snprintf(token, sizeof(token), "%s", jwt_make(header, GOOD, NULL, NULL));
		assert_int_equal(fault_of(token, &rules), JWT_MALFORMED); /* an empty signature is none */
		strcat(token, "AAAA");
		assert_int_equal(fault_of(token, &rules), i == 5 ? JWT_SIGNATURE : JWT_ALGORITHM);
	}
}

static void test_algorithm_must_be_configured_and_that_of_the_key(void **state)
{
	(void)state;
	struct jwt_rules only_es = rules;
	only_es.algs[JWT_RS256] = false;
	assert_int_equal(fault_of(jwt_make(RS, GOOD, maker.rsa, NULL), &only_es), JWT_ALGORITHM);
	assert_int_equal(fault_of(jwt_make(ES, GOOD, maker.ec, NULL), &only_es), JWT_OK);
	expect(JWT_ALGORITHM, "{\"alg\":\"RS256\",\"typ\":\"at+jwt\",\"kid\":\"e1\"}", GOOD, maker.rsa);
	expect(JWT_ALGORITHM, "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"r1\"}", GOOD, maker.ec);
	expect(JWT_ALGORITHM, "{\"alg\":\"RS512\",\"typ\":\"at+jwt\",\"kid\":\"r1\"}", GOOD, maker.rsa);
	expect(JWT_ALGORITHM, "{\"alg\":[\"RS256\"],\"typ\":\"at+jwt\",\"kid\":\"r1\"}", GOOD, maker.rsa);
	expect(JWT_ALGORITHM, "{\"typ\":\"at+jwt\",\"kid\":\"r1\"}", GOOD, maker.rsa);
}

static void test_header_decides_nothing_but_which_key(void **state)
{
	(void)state;
	expect(JWT_TYPE, "{\"alg\":\"RS256\",\"typ\":\"JWT\",\"kid\":\"r1\"}", GOOD, maker.rsa);
	expect(JWT_TYPE, "{\"alg\":\"RS256\",\"kid\":\"r1\"}", GOOD, maker.rsa);
	expect(JWT_KEY, "{\"alg\":\"RS256\",\"typ\":\"at+jwt\",\"kid\":\"r2\"}", GOOD, maker.rsa);
	expect(JWT_KEY, "{\"alg\":\"RS256\",\"typ\":\"at+jwt\"}", GOOD, maker.rsa);
	static const char *const own[] = {
		"crit\":[\"exp\"]", "jwk\":{}",   "jku\":\"https://evil.example\"", "x5u\":\"https://evil.example\"",
		"x5c\":[]",         "b64\":false"};
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
		char header[200];
		snprintf(header, sizeof(header), "{\"alg\":\"RS256\",\"typ\":\"at+jwt\",\"kid\":\"r1\",\"%s}", own[i]);
		expect(JWT_MALFORMED, header, GOOD, maker.rsa);
	}
}

static void test_claims_must_be_for_us_and_now(void **state)
{
	(void)state;
#define CLAIMS(iss, aud, rest) "{\"iss\":" iss ",\"aud\":" aud "," rest "}"
#define ISS                    "\"https://id.example\""
#define AUD                    "\"coldfleet\""
#define REST                   "\"sub\":\"ada\",\"exp\":1790000300"
	static const struct {
		enum jwt_fault fault;
		const char *claims;
	} rows[] = {
		{JWT_ISSUER, CLAIMS("\"https://id.example/\"", AUD, REST)},
		{JWT_ISSUER, CLAIMS("null", AUD, REST)},
		{JWT_AUDIENCE, CLAIMS(ISS, "\"coldfleet2\"", REST)},
		{JWT_AUDIENCE, CLAIMS(ISS, "[]", REST)},
		{JWT_AUDIENCE, CLAIMS(ISS, "{\"a\":\"coldfleet\"}", REST)},
		{JWT_TIME, CLAIMS(ISS, AUD, "\"sub\":\"ada\"")},
		{JWT_TIME, CLAIMS(ISS, AUD, "\"sub\":\"ada\",\"exp\":\"1790000300\"")},
		{JWT_TIME, CLAIMS(ISS, AUD, "\"sub\":\"ada\",\"exp\":1789999970")},
		{JWT_OK, CLAIMS(ISS, AUD, "\"sub\":\"ada\",\"exp\":1789999971")},
		{JWT_TIME, CLAIMS(ISS, AUD, REST ",\"nbf\":1790000031")},
		{JWT_OK, CLAIMS(ISS, AUD, REST ",\"nbf\":1790000030")},
		{JWT_TIME, CLAIMS(ISS, AUD, REST ",\"iat\":1790000031")},
		{JWT_TIME, CLAIMS(ISS, AUD, REST ",\"nbf\":\"soon\"")},
		{JWT_SUBJECT, CLAIMS(ISS, AUD, "\"exp\":1790000300")},
		{JWT_SUBJECT, CLAIMS(ISS, AUD, "\"sub\":\"\",\"exp\":1790000300")},
		{JWT_SUBJECT, CLAIMS(ISS, AUD, "\"sub\":\"a\\nb\",\"exp\":1790000300")},
		{JWT_MALFORMED, CLAIMS(ISS, AUD, REST ",\"sub\":\"eve\"")},
		{JWT_MALFORMED, CLAIMS(ISS, AUD, REST ",\"aud\":\"coldfleet\"")},
		{JWT_MALFORMED, "[]"},
		{JWT_MALFORMED, GOOD "x"},
		{JWT_MALFORMED, "{\"sub\":\"a\\u0000b\"}"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		expect(rows[i].fault, i % 2 ? ES : RS, rows[i].claims, i % 2 ? maker.ec : maker.rsa);
}

/* Any byte of a good token that becomes another one. */
static void test_a_hundred_thousand_changed_tokens_are_refused(void **state)
{
	(void)state;
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=";
	for (int kind = 0; kind < 2; kind++) {
		char *good = strdup(jwt_make(kind ? ES : RS, GOOD, kind ? maker.ec : maker.rsa, NULL));
		size_t len = strlen(good);
		uint32_t x = 12345;
		assert_int_equal(fault_of(good, &rules), JWT_OK);
		for (int i = 0; i < 50000; i++) {
			x = x * 1664525u + 1013904223u;
			size_t at = (x >> 8) % len;
			char was = good[at];
			x = x * 1664525u + 1013904223u;
			good[at] = alphabet[(x >> 8) % (sizeof(alphabet) - 1)];
			if (good[at] != was && fault_of(good, &rules) == JWT_OK)
				fail_msg("byte %zu of %s", at, good);
			good[at] = was;
		}
		free(good);
	}
}

static void test_shapes_that_are_no_token_are_refused(void **state)
{
	(void)state;
	char *big = malloc(60000);
	assert_non_null(big);
	memset(big, 'A', 59999);
	big[59999] = '\0';
	big[100] = big[200] = '.';
	assert_int_equal(fault_of(big, &rules), JWT_MALFORMED);
	free(big);
	char claims[9000];
	snprintf(claims, sizeof(claims), "{\"pad\":\"%08000d\"}", 0);
	expect(JWT_MALFORMED, RS, claims, maker.rsa);
	static const char *const bad[] = {"",      ".",       "..",          "...",          "a.b",
					  "a.b.c", "a.b.c.d", "e30.e30.e30", "e30=.e30.AAAA"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_not_equal(fault_of(bad[i], &rules), JWT_OK);
	char *padded = malloc(4096);
	assert_non_null(padded);
	snprintf(padded, 4096, "%s=", jwt_make(ES, GOOD, maker.ec, NULL));
	assert_int_equal(fault_of(padded, &rules), JWT_MALFORMED);
	free(padded);
}

static void test_key_sets_that_cannot_be_trusted_are_refused(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"",
		"{}",
		"[]",
		"{\"keys\":[]}",
		"{\"keys\":[{\"kty\":\"oct\",\"kid\":\"a\",\"k\":\"AAAA\"}]}",
		"{\"keys\":[{\"kty\":\"RSA\",\"kid\":\"a\",\"n\":\"AQAB\",\"e\":\"AQAB\"}]}", /* far too short */
		"{\"keys\":[{\"kty\":\"EC\",\"kid\":\"a\",\"crv\":\"P-256\","
		"\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE\","
		"\"y\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE\"}]}", /* not on the curve */
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct err e = {0};
		assert_null(jwt_keys_new(bad[i], strlen(bad[i]), &e));
		assert_int_equal(e.code, ERR_CONFIG);
	}
	char *twice = strdup(maker.jwks);
	struct err e = {0};
	memcpy(strstr(twice, "\"e1\""), "\"r1\"", 4);
	assert_null(jwt_keys_new(twice, strlen(twice), &e));
	assert_non_null(strstr(e.detail, "two keys"));
	free(twice);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tokens_of_both_algorithms_hold),
		cmocka_unit_test(test_hmac_with_the_public_key_as_secret_is_refused),
		cmocka_unit_test(test_unsigned_tokens_are_refused),
		cmocka_unit_test(test_algorithm_must_be_configured_and_that_of_the_key),
		cmocka_unit_test(test_header_decides_nothing_but_which_key),
		cmocka_unit_test(test_claims_must_be_for_us_and_now),
		cmocka_unit_test(test_a_hundred_thousand_changed_tokens_are_refused),
		cmocka_unit_test(test_shapes_that_are_no_token_are_refused),
		cmocka_unit_test(test_key_sets_that_cannot_be_trusted_are_refused),
	};
	return cmocka_run_group_tests(tests, start, stop);
}
