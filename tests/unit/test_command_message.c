/* SPDX-License-Identifier: Apache-2.0
 *
 * Commands and replies as bytes: what is written comes back, one form each, and every rule of the contract refuses what
 * breaks it, at the side that writes as at the side that reads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/ec.h>

#include "broker-bridge/command_message.h"

static struct cose_key *key;
static struct cose_keyring ring;
static const uint8_t empty_map[] = {0xa0};
static const uint8_t approval[COMMAND_APPROVAL_BYTES] = {1, 2, 3};

static int make_key(void **state)
{
	EVP_PKEY *pkey = EVP_EC_gen("P-256");
	(void)state;
	key = cose_key_from_evp(pkey, NULL);
	EVP_PKEY_free(pkey);
	ring = (struct cose_keyring){.keys = {key}, .count = 1};
	return key == NULL;
}

static int free_key(void **state)
{
	(void)state;
	cose_key_free(&key);
	return 0;
}

static const struct command_operation *operation(const char *name)
{
	return command_operation((struct cbor_view){(const uint8_t *)name, strlen(name)});
}

static struct command_message message(const char *name)
{
	struct command_message m = {.version = COMMAND_VERSION,
				    .id = {1, 2, 3},
				    .issuer = "admin",
				    .audience = "T-1",
				    .epoch = 0,
				    .counter = 7,
				    .issued_at = 1790000000,
				    .not_before = 1790000000,
				    .expires_at = 1790003600,
				    .operation = operation(name),
				    .arguments = {empty_map, sizeof(empty_map)}};
	m.class = m.operation->class;
	if (m.class >= COMMAND_STATE)
		m.approval = (struct cbor_view){approval, sizeof(approval)};
	return m;
}

static bool arguments(const char *name, const char *json, uint8_t *out, struct cbor_view *view, struct err *e)
{
	json_t *value = json_loads(json, JSON_DECODE_ANY, NULL);
	assert_non_null(value);
	bool ok = command_arguments_from_json(operation(name), value, out, COMMAND_ARGUMENTS_MAX, &view->len, e);
	view->at = out;
	json_decref(value);
	return ok;
}

static void test_signed_command_opens_for_its_tracker_only(void **state)
{
	uint8_t bytes[COMMAND_BYTES_MAX], map[COMMAND_ARGUMENTS_MAX];
	size_t len;
	struct command_message m = message("disable"), back;
	struct err e = {0};
	struct cbor_view mode;
	(void)state;
	assert_true(arguments("disable", "{\"until\": 1800000000, \"mode\": \"halt\"}", map, &m.arguments, &e));
	assert_true(command_sign(key, &m, bytes, sizeof(bytes), &len, &e));
	assert_true(command_open(&ring, "T-1", bytes, len, &back, &e));
	assert_memory_equal(back.id, m.id, COMMAND_ID_BYTES);
	assert_string_equal(back.issuer, "admin");
	assert_string_equal(back.audience, "T-1");
	assert_int_equal(back.counter, 7);
	assert_int_equal(back.expires_at, 1790003600);
	assert_ptr_equal(back.operation, m.operation);
	assert_int_equal(back.approval.len, COMMAND_APPROVAL_BYTES);
	assert_memory_equal(back.approval.at, approval, COMMAND_APPROVAL_BYTES);
	assert_true(command_argument_text(back.arguments, "mode", &mode));
	assert_true(cbor_text_is(mode, "halt"));
	assert_int_equal(command_argument_int(back.arguments, "until", -1), 1800000000);
	assert_int_equal(command_argument_int(back.arguments, "since", -1), -1);
	assert_false(command_open(&ring, "T-2", bytes, len, &back, &e));
	assert_int_equal(e.code, ERR_UNAUTHORIZED);
}

/* The external data says whose it is, and the payload too: one of them alone is not enough. */
static void test_audience_that_differs_from_the_external_data_is_refused(void **state)
{
	static const char aad[] = "coldfleet-command-v1\0T-2";
	uint8_t payload[COMMAND_PAYLOAD_MAX], bytes[COMMAND_BYTES_MAX];
	size_t payload_len, len;
	struct command_message m = message("locate"), back;
	struct err e = {0};
	(void)state;
	assert_true(command_encode(&m, payload, sizeof(payload), &payload_len, &e));
	assert_true(cose_sign1(key, COMMAND_CONTENT_TYPE, aad, sizeof(aad) - 1, payload, payload_len, bytes,
			       sizeof(bytes), &len, &e));
	assert_false(command_open(&ring, "T-2", bytes, len, &back, &e));
	assert_int_equal(e.code, ERR_UNAUTHORIZED);
	assert_string_equal(e.detail, "audience: another tracker");
	assert_false(command_open(&ring, "T-1", bytes, len, &back, &e));
}

static void assert_unwritable(struct command_message m, const char *because)
{
	uint8_t bytes[COMMAND_BYTES_MAX];
	size_t len;
	struct err e = {0};
	assert_false(command_sign(key, &m, bytes, sizeof(bytes), &len, &e));
	assert_int_equal(e.code, ERR_INVALID);
	if (strstr(e.detail, because) == NULL)
		fail_msg("said \"%s\", expected \"%s\"", e.detail, because);
}

static void test_signer_refuses_to_write_what_no_tracker_would_take(void **state)
{
	struct command_message m;
	(void)state;
#define WITH(name, change, because)                                                                                    \
	m = message(name);                                                                                             \
	change;                                                                                                        \
	assert_unwritable(m, because)
	WITH("locate", m.version = 2, "version");
	WITH("locate", memset(m.id, 0, sizeof(m.id)), "id");
	WITH("locate", m.issuer[0] = '\0', "issuer");
	WITH("locate", strcpy(m.audience, "+"), "audience");
	WITH("locate", strcpy(m.audience, ""), "audience");
	WITH("locate", m.epoch = -1, "epoch");
	WITH("locate", m.counter = 0, "counter");
	WITH("locate", m.expires_at = m.not_before, "expires");
	WITH("locate", m.not_before = -1, "not before");
	WITH("locate", m.class = COMMAND_CONFIG, "class");
	WITH("enable", m.class = COMMAND_READ, "class");
	WITH("enable", m.approval.len = 0, "approval");
	WITH("enable", m.approval.len = 31, "approval");
	WITH("locate", m.approval = ((struct cbor_view){approval, 32}), "approval");
	WITH("disable", (void)0, "needs the argument mode");
	WITH("locate", m.operation = NULL, "operation");
#undef WITH
}

static void test_arguments_are_those_of_the_operation_and_no_others(void **state)
{
	static const struct {
		const char *operation, *json, *because; /* because NULL: taken */
	} rows[] = {
		{"disable", "{\"mode\": \"radio-off\"}", NULL},
		{"disable", "{\"mode\": \"halt\", \"until\": 1}", NULL},
		{"disable", "{\"mode\": \"radio\"}", "mode: expected radio-off|halt"},
		{"disable", "{\"mode\": \"\"}", "mode"},
		{"disable", "{\"mode\": \"radio-off|halt\"}", "mode"},
		{"disable", "{\"mode\": 1}", "mode"},
		{"disable", "{\"mode\": \"halt\", \"until\": 0}", "until: expected a whole number from 1 to"},
		{"disable", "{\"mode\": \"halt\", \"until\": \"tomorrow\"}", "until"},
		{"disable", "{\"mode\": \"halt\", \"until\": 1.5}", "until"},
		{"disable", "{\"mode\": \"halt\", \"for\": 1}", "does not know this argument: for"},
		{"disable", "[]", "expected an object"},
		{"enable", "{}", NULL},
		{"enable", "{\"mode\": \"halt\"}", "enable does not know this argument: mode"},
		{"resend", "{\"first\": 3, \"last\": 3}", NULL},
		{"resend", "{\"first\": 3, \"last\": 4, \"epoch\": 1}", NULL},
		{"resend", "{\"first\": 4, \"last\": 3}", "last: expected no less than first"},
		{"resend", "{\"first\": 4}", "resend needs the argument last"},
		{"resend", "{\"first\": -1, \"last\": 3}", "first"},
		{"set-config", "{\"version\": 3, \"config\": {\"interval\": 60}}", NULL},
		{"set-config", "{\"version\": 0, \"config\": {}}", "version"},
		{"set-config", "{\"version\": 3, \"config\": [1]}", "config: expected an object"},
		{"update-firmware",
		 "{\"release\": \"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\"}", NULL},
		{"update-firmware",
		 "{\"release\": \"9F86D081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\"}", "release"},
		{"update-firmware", "{\"release\": \"9f86\"}", "release: expected a SHA-256"},
		{"rotate-key", "{\"list\": \"gkEA_-8\"}", NULL},
		{"rotate-key", "{\"list\": \"gkEA+/8\"}", "list: expected base64url"},
		{"rotate-key", "{\"list\": \"gkEAg\"}", "list"},
		{"rotate-key", "{\"list\": \"\"}", "list"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t map[COMMAND_ARGUMENTS_MAX];
		struct cbor_view view;
		struct err e = {0};
		bool ok = arguments(rows[i].operation, rows[i].json, map, &view, &e);
		if (ok != (rows[i].because == NULL) || (!ok && strstr(e.detail, rows[i].because) == NULL))
			fail_msg("%s %s: \"%s\"", rows[i].operation, rows[i].json, ok ? "taken" : e.detail);
		if (!ok)
			assert_int_equal(e.code, ERR_INVALID);
	}
}

/* Payloads with the fields 1 to 12 of a locate, and what follows `key` replaced; 0 appends. */
static size_t payload_with(const char *hex_after, uint64_t at_key, uint8_t *out)
{
	uint8_t whole[COMMAND_PAYLOAD_MAX];
	size_t len, pairs;
	unsigned byte;
	struct command_message m = message("locate");
	struct cbor_reader r;
	struct cbor_writer w;
	struct cbor_view name, value;
	assert_true(command_encode(&m, whole, sizeof(whole), &len, NULL));
	assert_true(cbor_open(&r, whole, len, NULL) && cbor_take_map(&r, &pairs, NULL));
	cbor_writer_init(&w, out, COMMAND_PAYLOAD_MAX);
	cbor_put_map(&w, pairs + (at_key == 0 ? 1 : 0) - (at_key != 0 && *hex_after == '\0'));
	for (uint64_t k = 1; k <= pairs; k++) {
		cbor_take_item(&r, &name, NULL);
		cbor_take_item(&r, &value, NULL);
		if (k == at_key && *hex_after == '\0')
			continue;
		cbor_put_raw(&w, name);
		if (k != at_key)
			cbor_put_raw(&w, value);
		for (const char *p = hex_after; k == at_key && sscanf(p, "%2x", &byte) == 1; p += 2)
			out[w.len++] = (uint8_t)byte;
	}
	for (const char *p = hex_after; at_key == 0 && sscanf(p, "%2x", &byte) == 1; p += 2)
		out[w.len++] = (uint8_t)byte;
	return w.len;
}

static void test_payload_that_breaks_a_rule_is_refused(void **state)
{
	static const struct {
		uint64_t key;
		const char *hex; /* the value; nothing: the key is left out; for key 0 a further pair */
		const char *because;
	} rows[] = {
		{1, "02", "version"},
		{1, "", "version (key 1) is missing"},
		{2, "4100", "id: 1 bytes, expected 16"},
		{2, "7030313233343536373839616263646566", "id"},
		{3, "60", "issuer: 0 bytes of text"},
		{3, "624100", "without NUL"},
		{4, "613f", "audience"},
		{4, "8163542d31", "audience"}, /* a list of trackers */
		{5, "20", "epoch: a negative number"},
		{6, "00", "counter"},
		{6, "1b8000000000000000", "counter"},
		{8, "", "not before (key 8) is missing"},
		{9, "01", "expires"},
		{10, "02", "class"},
		{10, "06", "class"},
		{11, "6464616e63", "no such operation"},
		{11, "664c4f43415445", "no such operation"},
		{12, "80", "arguments"},
		{12, "a1616100", "does not know this argument: a"},
		{0, "0d41ff", "approval: 1 bytes"},
		{0, "0e00", "does not know"},
		{0, "2000", "expected a number"},
		{0, "616100", "expected a number"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t bytes[COMMAND_PAYLOAD_MAX];
		struct command_message m;
		struct err e = {0};
		size_t len = payload_with(rows[i].hex, rows[i].key, bytes);
		bool ok = command_decode(bytes, len, &m, &e);
		if (ok || strstr(e.detail, rows[i].because) == NULL)
			fail_msg("key %d %s: \"%s\"", (int)rows[i].key, rows[i].hex, ok ? "taken" : e.detail);
	}
}

static void test_reply_comes_back_and_what_it_may_leave_out_is_told_as_missing(void **state)
{
	uint8_t bytes[COMMAND_REPLY_MAX];
	size_t len;
	struct command_reply r = {.id = {9},
				  .counter = 7,
				  .status = COMMAND_SUCCEEDED,
				  .reason = "as told",
				  .result = {empty_map, 1},
				  .device_time = 1790000001,
				  .boot_count = 3,
				  .generation = UINT32_MAX};
	struct command_reply back;
	struct err e = {0};
	(void)state;
	assert_true(command_reply_encode(&r, bytes, sizeof(bytes), &len, &e));
	assert_true(command_reply_decode(bytes, len, &back, &e));
	assert_string_equal(back.reason, "as told");
	assert_int_equal(back.result.len, 1);
	assert_true(back.generation == UINT32_MAX);
	r = (struct command_reply){
		.id = {9}, .counter = 7, .status = COMMAND_ACCEPTED, .device_time = -1, .generation = -1};
	assert_true(command_reply_encode(&r, bytes, sizeof(bytes), &len, &e));
	assert_true(command_reply_decode(bytes, len, &back, &e));
	assert_string_equal(back.reason, "");
	assert_int_equal(back.result.len, 0);
	assert_int_equal(back.device_time, -1);
	assert_int_equal(back.generation, -1);
	r.generation = (int64_t)UINT32_MAX + 1;
	assert_false(command_reply_encode(&r, bytes, sizeof(bytes), &len, &e));
	r.generation = -1;
	r.status = COMMAND_STATUSES;
	assert_false(command_reply_encode(&r, bytes, sizeof(bytes), &len, &e));
}

static void test_approval_is_the_hash_of_its_record(void **state)
{
	uint8_t got[COMMAND_APPROVAL_BYTES], expected[COMMAND_APPROVAL_BYTES], sha[32];
	uint8_t record[] = {0x84, 0x58, 0x20, 0, 0, 0,    0,   0,    0,   0,    0,    0,    0,    0,   0,
			    0,    0,    0,    0, 0, 0,    0,   0,    0,   0,    0,    0,    0,    0,   0,
			    0,    0,    0,    0, 0, 0x61, 'a', 0x61, 'b', 0x1a, 0x6a, 0xb1, 0x3b, 0x80};
	(void)state;
	memset(sha, 0xab, sizeof(sha));
	memcpy(record + 3, sha, sizeof(sha));
	assert_int_equal(EVP_Digest(record, sizeof(record), expected, NULL, EVP_sha256(), NULL), 1);
	assert_true(command_approval(sha, "a", "b", 1790000000, got, NULL));
	assert_memory_equal(got, expected, sizeof(got));
}

static void test_ids_and_generations_have_one_form(void **state)
{
	uint8_t id[COMMAND_ID_BYTES], four[COMMAND_GENERATION];
	char text[COMMAND_ID_TEXT];
	(void)state;
	assert_true(command_id_parse("0192f3a4-b5c6-7d8e-9f00-112233445566", id));
	command_id_text(id, text);
	assert_string_equal(text, "0192f3a4-b5c6-7d8e-9f00-112233445566");
	assert_true(command_id_parse("0192F3A4-B5C6-7D8E-9F00-112233445566", id));
	assert_false(command_id_parse("0192f3a4-b5c6-7d8e-9f00-11223344556", id));
	assert_false(command_id_parse("0192f3a4b5c6-7d8e--9f00-112233445566", id));
	assert_false(command_id_parse("0192f3a4-b5c6-7d8e-9f00-11223344556g", id));
	command_generation_put(0x01020304, four);
	assert_int_equal(four[0], 1);
	assert_int_equal(command_generation_get(four, 4), 0x01020304);
	command_generation_put(UINT32_MAX, four);
	assert_true(command_generation_get(four, 4) == UINT32_MAX);
	assert_int_equal(command_generation_get(four, 3), -1);
}

static void test_operation_names_are_told_apart_and_have_a_class(void **state)
{
	size_t count;
	const struct command_operation *all = command_operations(&count);
	(void)state;
	assert_int_equal(count, 11);
	for (size_t i = 0; i < count; i++) {
		assert_in_range(all[i].class, COMMAND_READ, COMMAND_KEYS);
		assert_ptr_equal(operation(all[i].name), &all[i]);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_signed_command_opens_for_its_tracker_only),
		cmocka_unit_test(test_audience_that_differs_from_the_external_data_is_refused),
		cmocka_unit_test(test_signer_refuses_to_write_what_no_tracker_would_take),
		cmocka_unit_test(test_arguments_are_those_of_the_operation_and_no_others),
		cmocka_unit_test(test_payload_that_breaks_a_rule_is_refused),
		cmocka_unit_test(test_reply_comes_back_and_what_it_may_leave_out_is_told_as_missing),
		cmocka_unit_test(test_approval_is_the_hash_of_its_record),
		cmocka_unit_test(test_ids_and_generations_have_one_form),
		cmocka_unit_test(test_operation_names_are_told_apart_and_have_a_class),
	};
	return cmocka_run_group_tests(tests, make_key, free_key);
}
