/* SPDX-License-Identifier: Apache-2.0
 *
 * What the signer refuses although the database hands it over: each row of the table forges one thing. And the chain of
 * the audit trail, one step at a time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/sha.h>

#include "broker-bridge/signer_check.h"
#include "broker-bridge/signer_checkpoint.h"

#define NOW INT64_C(1790000000)

static const char canonical_text[] =
	"{\"class\": 3, \"serials\": [\"a-1\", \"a-2\"], \"arguments\": {\"mode\": \"halt\"}, "
	"\"operation\": \"disable\", \"expires_at\": 1790003600, \"not_before\": 1789999990, "
	"\"device_count\": 2, \"shipment_override\": null}";

static uint8_t canonical_hash[32], other_hash[32];
static struct sign_request seen;

static struct cbor_view view(const void *bytes, size_t len)
{
	return (struct cbor_view){.at = bytes, .len = len};
}

static struct sign_order good_order(void)
{
	SHA256((const unsigned char *)canonical_text, strlen(canonical_text), canonical_hash);
	return (struct sign_order){.id = {1, 2, 3},
				   .generation = 1,
				   .serial = "a-2",
				   .counter = 17,
				   .class = 3,
				   .operation = "disable",
				   .arguments = "{\"mode\":\"halt\"}",
				   .issued_at = NOW,
				   .not_before = 1789999990,
				   .expires_at = 1790003600,
				   .requested_by = "olga",
				   .canonical = view(canonical_text, strlen(canonical_text)),
				   .request_sha256 = view(canonical_hash, 32),
				   .approver = "anna",
				   .approved_sha256 = view(canonical_hash, 32),
				   .approved_at = NOW - 5};
}

static void test_what_was_approved_is_signed_as_it_was_approved(void **state)
{
	struct sign_order order = good_order();
	struct sign_draft draft;
	struct err e = {0};
	uint8_t approval[32];
	(void)state;
	if (!signer_check(&order, &seen, "oem", NOW, &draft, &e))
		fail_msg("%s", e.detail);
	assert_string_equal(draft.message.audience, "a-2");
	assert_string_equal(draft.message.issuer, "oem");
	assert_string_equal(draft.message.operation->name, "disable");
	assert_int_equal(draft.message.counter, 17);
	assert_int_equal(draft.message.expires_at, 1790003600);
	assert_true(command_approval(canonical_hash, "olga", "anna", NOW - 5, approval, &e));
	assert_int_equal(draft.message.approval.len, 32);
	assert_memory_equal(draft.message.approval.at, approval, 32);
}

/* One forgery: what it changes, and what the signer has to say. */
struct forgery {
	const char *what;
	void (*forge)(struct sign_order *o);
	const char *said;
};

static void forge_serial(struct sign_order *o)
{
	o->serial = "b-1";
}
static void forge_prefix_of_serial(struct sign_order *o)
{
	o->serial = "a-";
}
static void forge_operation(struct sign_order *o)
{
	o->operation = "enable";
}
static void forge_arguments(struct sign_order *o)
{
	o->arguments = "{\"mode\":\"radio-off\"}";
}
static void forge_more_arguments(struct sign_order *o)
{
	o->arguments = "{\"mode\":\"halt\",\"until\":1}";
}
static void forge_broken_arguments(struct sign_order *o)
{
	o->arguments = "{\"mode\":\"halt\"";
}
static void forge_class(struct sign_order *o)
{
	o->class = 1;
}
static void forge_expiry(struct sign_order *o)
{
	o->expires_at += 86400;
}
static void forge_not_before(struct sign_order *o)
{
	o->not_before -= 1;
}
static void forge_hash(struct sign_order *o)
{
	o->request_sha256 = view(other_hash, 32);
	o->approved_sha256 = o->request_sha256;
}
static void forge_short_hash(struct sign_order *o)
{
	o->request_sha256.len = 31;
}
static void forge_canonical(struct sign_order *o)
{
	o->canonical.len--;
}
static void forge_no_approval(struct sign_order *o)
{
	o->approver = NULL;
}
static void forge_no_approved_hash(struct sign_order *o)
{
	o->approved_sha256.len = 0;
}
static void forge_own_approval(struct sign_order *o)
{
	o->approver = "olga";
}
static void forge_approval_of_another(struct sign_order *o)
{
	o->approved_sha256 = view(other_hash, 32);
}
static void forge_future_approval(struct sign_order *o)
{
	o->approved_at = NOW + 86400;
}
static void forge_expired(struct sign_order *o)
{
	o->issued_at = o->expires_at + 1;
}
static void forge_old_issue(struct sign_order *o)
{
	o->issued_at = NOW - 86400;
}
static void forge_no_serial(struct sign_order *o)
{
	o->serial = NULL;
}

static void test_each_forgery_is_refused_in_words(void **state)
{
	static const struct forgery forgeries[] = {
		{"another device", forge_serial, "not among those"},
		{"a device whose name begins like one", forge_prefix_of_serial, "not among those"},
		{"another operation", forge_operation, "operation is not the request's"},
		{"other arguments", forge_arguments, "arguments is not the request's"},
		{"one more argument", forge_more_arguments, "arguments is not the request's"},
		{"arguments that are no JSON", forge_broken_arguments, "arguments is not the request's"},
		{"another class", forge_class, "class is not the request's"},
		{"a later expiry", forge_expiry, "expires_at is not the request's"},
		{"an earlier beginning", forge_not_before, "not_before is not the request's"},
		{"another hash", forge_hash, "hash is not that"},
		{"a hash cut off", forge_short_hash, "hash is not that"},
		{"canonical bytes cut off", forge_canonical, "hash is not that"},
		{"no approver", forge_no_approval, "nobody approved"},
		{"no approved hash", forge_no_approved_hash, "nobody approved"},
		{"the requester's own approval", forge_own_approval, "cannot approve it"},
		{"an approval of something else", forge_approval_of_another, "is not this request"},
		{"an approval from the future", forge_future_approval, "dated in the future"},
		{"a date behind the expiry", forge_expired, "dated"},
		{"an old date", forge_old_issue, "dated"},
		{"no device", forge_no_serial, "incomplete"},
	};
	(void)state;
	memset(other_hash, 0x5a, sizeof(other_hash));
	for (size_t i = 0; i < sizeof(forgeries) / sizeof(forgeries[0]); i++) {
		struct sign_order order = good_order();
		struct sign_draft draft;
		struct err e = {0};
		forgeries[i].forge(&order);
		if (signer_check(&order, &seen, "oem", NOW, &draft, &e))
			fail_msg("%s was signed", forgeries[i].what);
		if (strstr(e.detail, forgeries[i].said) == NULL)
			fail_msg("%s: said \"%s\", expected \"%s\"", forgeries[i].what, e.detail, forgeries[i].said);
	}
}

static void test_an_expired_command_is_not_signed(void **state)
{
	struct sign_order order = good_order();
	struct sign_draft draft;
	struct err e = {0};
	(void)state;
	assert_false(signer_check(&order, &seen, "oem", order.expires_at, &draft, &e));
	assert_non_null(strstr(e.detail, "expired"));
}

/* The hash is right, so only the signer's own table can know. */
static void test_a_class_that_is_lower_than_its_operation_is_refused_by_the_signers_own_table(void **state)
{
	static const char text[] =
		"{\"class\": 1, \"serials\": [\"a-2\"], \"arguments\": {\"mode\": \"halt\"}, \"operation\": "
		"\"disable\", \"expires_at\": 1790003600, \"not_before\": 1789999990}";
	struct sign_order order = good_order();
	struct sign_draft draft;
	struct err e = {0};
	uint8_t hash[32];
	(void)state;
	SHA256((const unsigned char *)text, strlen(text), hash);
	order.canonical = view(text, strlen(text));
	order.request_sha256 = view(hash, 32);
	order.class = 1;
	order.approver = NULL;
	assert_false(signer_check(&order, &seen, "oem", NOW, &draft, &e));
	assert_non_null(strstr(e.detail, "disable has class 3, not 1"));
}

static void test_canonical_bytes_that_say_a_thing_twice_are_refused(void **state)
{
	static const char text[] =
		"{\"class\": 3, \"serials\": [\"b-1\"], \"serials\": [\"a-2\"], \"arguments\": {\"mode\": "
		"\"halt\"}, \"operation\": \"disable\", \"expires_at\": 1790003600, \"not_before\": "
		"1789999990}";
	struct sign_order order = good_order();
	struct sign_draft draft;
	struct err e = {0};
	uint8_t hash[32];
	(void)state;
	SHA256((const unsigned char *)text, strlen(text), hash);
	order.canonical = view(text, strlen(text));
	order.request_sha256 = order.approved_sha256 = view(hash, 32);
	assert_false(signer_check(&order, &seen, "oem", NOW, &draft, &e));
}

/* ---- devices behind a hash ---- */

#define FLEET 1500

static void test_devices_behind_a_hash_are_those_of_the_list_and_no_others(void **state)
{
	static char list[FLEET * 12], text[512];
	struct sign_request request = {0};
	struct sign_order order = good_order();
	struct sign_draft draft;
	uint8_t hash[32], text_hash[32];
	char hex[65], serial[16];
	struct err e = {0};
	size_t len = 0;
	(void)state;
	for (int i = 0; i < FLEET; i++)
		len += (size_t)snprintf(list + len, sizeof(list) - len, "%sd-%05d", i > 0 ? "\n" : "", i * 2);
	SHA256((const unsigned char *)list, len, hash);
	for (int i = 0; i < 32; i++)
		snprintf(hex + 2 * i, 3, "%02x", hash[i]);
	snprintf(text, sizeof(text),
		 "{\"class\": 1, \"serials_sha256\": \"%s\", \"arguments\": {}, \"operation\": \"locate\", "
		 "\"expires_at\": 1790003600, \"not_before\": 1789999990}",
		 hex);
	SHA256((const unsigned char *)text, strlen(text), text_hash);
	order.canonical = view(text, strlen(text));
	order.request_sha256 = view(text_hash, 32);
	order.class = 1;
	order.operation = "locate";
	order.arguments = "{}";
	order.approver = NULL;
	order.serial = serial;
	snprintf(serial, sizeof(serial), "d-00000");
	assert_false(signer_targets_known(&order, &request));
	assert_false(signer_check(&order, &request, "oem", NOW, &draft, &e)); /* nobody could read the list */
	assert_non_null(strstr(e.detail, "the device d-00000 is not among those of the request"));
	signer_targets_set(&request, &order, list);
	assert_true(signer_targets_known(&order, &request));
	for (int i = 0; i < 2 * FLEET + 2; i++) {
		snprintf(serial, sizeof(serial), "d-%05d", i);
		assert_int_equal(signer_check(&order, &request, "oem", NOW, &draft, &e), i % 2 == 0 && i < 2 * FLEET);
	}
	static const char *const others[] = {"", "d", "d-0000", "d-000000", "d-00000\nd-00002", "a", "z"};
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		order.serial = others[i];
		assert_false(signer_check(&order, &request, "oem", NOW, &draft, &e));
	}
	/* A list with one more device is not the one that was approved. */
	order.serial = "d-99999";
	snprintf(list + len, sizeof(list) - len, "\nd-99999");
	signer_targets_set(&request, &order, list);
	assert_true(signer_targets_known(&order, &request));
	assert_false(signer_check(&order, &request, "oem", NOW, &draft, &e));
	order.serial = "d-00002";
	assert_false(signer_check(&order, &request, "oem", NOW, &draft, &e));
	signer_request_fini(&request);
}

/* One altered byte makes it another request, however the hash beside it reads. */
static void test_what_was_read_of_one_request_is_not_taken_for_another(void **state)
{
	char altered[sizeof(canonical_text)];
	struct sign_request request = {0};
	struct sign_draft draft;
	struct err e = {0};
	(void)state;
	for (size_t i = 0; i < strlen(canonical_text); i++) {
		struct sign_order good = good_order(), bad = good_order();
		memcpy(altered, canonical_text, sizeof(altered));
		altered[i] ^= 1;
		bad.canonical = view(altered, strlen(altered));
		assert_true(signer_check(&good, &request, "oem", NOW, &draft, &e));
		assert_false(signer_check(&bad, &request, "oem", NOW, &draft, &e));
	}
	signer_request_fini(&request);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_was_approved_is_signed_as_it_was_approved),
		cmocka_unit_test(test_each_forgery_is_refused_in_words),
		cmocka_unit_test(test_an_expired_command_is_not_signed),
		cmocka_unit_test(test_a_class_that_is_lower_than_its_operation_is_refused_by_the_signers_own_table),
		cmocka_unit_test(test_canonical_bytes_that_say_a_thing_twice_are_refused),
		cmocka_unit_test(test_devices_behind_a_hash_are_those_of_the_list_and_no_others),
		cmocka_unit_test(test_what_was_read_of_one_request_is_not_taken_for_another),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
