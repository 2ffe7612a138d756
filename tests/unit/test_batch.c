/* SPDX-License-Identifier: Apache-2.0
 *
 * Taking messages: each is kept whole, decoded if it can be, and marked with what is wrong with it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ingest/batch.h"

#define NOW INT64_C(1790000300000000)
#define PACK                                                                                                           \
	"[{\"bt\":1790000000,\"n\":\"temp\",\"u\":\"Cel\",\"v\":4.1},{\"n\":\"temp\",\"u\":\"Cel\",\"v\":4.2,\"t\":"   \
	"60}]"
#define OLD                                                                                                            \
	"[{\"bt\":1000000000,\"n\":\"temp\",\"u\":\"Cel\",\"v\":4.1},{\"n\":\"temp\",\"u\":\"Cel\",\"v\":4.2,\"t\":"   \
	"790000000}]"
#define ASKS "[{\"n\":\"rr\",\"vb\":true},{\"bt\":1790000000,\"n\":\"temp\",\"u\":\"Cel\",\"v\":4.1}]"
#define STATUS                                                                                                         \
	"{\"boot\":1,\"uptime\":2,\"mcu\":\"running\",\"firmware\":{\"running\":\"a\",\"slots\":{\"a\":\"1.0\"}},"     \
	"\"module\":null,"                                                                                             \
	"\"config\":{\"version\":0}}"

static const struct pack_limits limits = PACK_LIMITS_DEFAULT;
static struct devices *devices;
static struct batch b;

static int fresh(void **state)
{
	(void)state;
	devices = devices_new();
	devices_put(devices, "known", 5, 7);
	batch_init(&b);
	return 0;
}

static int drop(void **state)
{
	(void)state;
	batch_fini(&b);
	devices_free(&devices);
	return 0;
}

static struct message *add(const char *topic, const char *payload, const char *response_topic)
{
	/* Heap copies that are gone afterwards: the batch must not keep pointers into the message. */
	char *topic_copy = strdup(topic), *payload_copy = strdup(payload);
	const struct mqtt_message in = {.topic = topic_copy,
					.payload = (const uint8_t *)payload_copy,
					.payload_len = strlen(payload),
					.qos = 1,
					.response_topic = response_topic};
	batch_add(&b, &in, NOW, devices, &limits);
	free(topic_copy);
	free(payload_copy);
	return &b.messages[b.count - 1];
}

static void test_a_good_message_is_decoded_and_kept_whole(void **state)
{
	(void)state;
	struct message *m = add("cf/v1/known/telemetry", PACK, NULL);
	assert_string_equal(m->topic, "cf/v1/known/telemetry");
	assert_int_equal(m->payload_len, strlen(PACK));
	assert_memory_equal(m->payload, PACK, strlen(PACK));
	assert_int_equal(m->device_id, 7);
	assert_true(m->received_at == NOW);
	assert_true(m->store && !m->asked && m->quarantine == NULL);
	assert_int_equal(m->pack.reading_count, 2);
	assert_int_equal(b.readings, 2);
	assert_int_equal(b.unresolved, 0);
}

static void test_what_cannot_be_decoded_is_marked_with_its_reason(void **state)
{
	(void)state;
	static const struct {
		const char *topic, *payload, *reason;
	} bad[] = {
		{"cf/v1/known/telemetry", "", "empty"},
		{"cf/v1/known/telemetry", "[{", "syntax"},
		{"cf/v1/known/telemetry", "[{\"n\":\"temp\",\"x_\":1}]", "senml"},
		{"cf/v1/known/status", PACK, "syntax"},
		{"cf/v1/known/status", "{}", "content"},
		{"cf/v1/known/status", "", "empty"},
		{"cf/v1/known/reply", PACK, REASON_TOPIC},
		{"cf/v1/known/receipt", PACK, REASON_TOPIC},
		{"cf/v2/known/telemetry", PACK, REASON_TOPIC},
		{"other", PACK, REASON_TOPIC},
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct message *m = add(bad[i].topic, bad[i].payload, NULL);
		assert_non_null(m->quarantine);
		assert_string_equal(m->quarantine, bad[i].reason);
		assert_true(strlen(m->detail) > 0);
		assert_false(m->store);
		assert_int_equal(m->payload_len, strlen(bad[i].payload));
	}
	assert_int_equal(b.readings, 0);
}

static void test_a_pack_that_is_partly_too_old_is_stored_and_quarantined(void **state)
{
	(void)state;
	struct message *m = add("cf/v1/known/telemetry", OLD, NULL);
	assert_true(m->store);
	assert_string_equal(m->quarantine, "clock");
	assert_int_equal(m->pack.rejected, 1);
}

static void test_a_receipt_is_asked_for_by_response_topic_or_record(void **state)
{
	(void)state;
	assert_true(add("cf/v1/known/telemetry", PACK, "cf/v1/known/receipt")->asked);
	assert_true(add("cf/v1/known/telemetry", ASKS, NULL)->asked);
	assert_false(add("cf/v1/known/telemetry", PACK, NULL)->asked);
}

static void test_a_status_is_taken_by_its_topic_and_asks_for_no_receipt_of_samples(void **state)
{
	(void)state;
	struct message *m = add("cf/v1/known/status", STATUS, "cf/v1/known/receipt");
	assert_true(m->is_status && m->store && !m->asked && m->status_asked && m->quarantine == NULL);
	assert_int_equal(m->device_id, 7);
	assert_non_null(strstr(m->status.json, "\"mcu\":\"running\""));
	assert_int_equal(b.readings, 0);
	assert_false(add("cf/v1/known/telemetry", PACK, NULL)->is_status);
	add("cf/v1/never/status", STATUS, NULL);
	batch_resolve(&b, devices);
	assert_false(b.messages[2].store);
	assert_string_equal(b.messages[2].quarantine, REASON_UNKNOWN_DEVICE);
}

static void test_an_unknown_device_is_looked_up_again_before_it_is_quarantined(void **state)
{
	(void)state;
	add("cf/v1/late/telemetry", PACK, NULL);
	add("cf/v1/never/telemetry", PACK, NULL);
	add("cf/v1/known/telemetry", PACK, NULL);
	assert_int_equal(b.unresolved, 2);
	assert_true(b.messages[0].quarantine == NULL);
	devices_put(devices, "late", 4, 9);
	batch_resolve(&b, devices);
	assert_int_equal(b.unresolved, 0);
	assert_int_equal(b.messages[0].device_id, 9);
	assert_true(b.messages[0].store && b.messages[0].quarantine == NULL);
	assert_false(b.messages[1].store);
	assert_string_equal(b.messages[1].quarantine, REASON_UNKNOWN_DEVICE);
	assert_non_null(strstr(b.messages[1].detail, "no device has the serial never"));
	assert_int_equal(b.messages[2].device_id, 7);
}

static void test_the_words_of_a_quarantine_are_safe_to_store(void **state)
{
	(void)state;
	struct message *m = add("cf/v1/known/telemetry", PACK, NULL);
	message_quarantine(&b, m, REASON_REFUSED, "bad \x01 byte \xff in \xc3\xa4\n line");
	assert_string_equal(m->detail, "bad ? byte ? in ??? line");
}

static void test_a_batch_grows_and_an_empty_one_starts_again(void **state)
{
	(void)state;
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 2000; i++)
			add("cf/v1/known/telemetry", PACK, NULL);
		assert_int_equal(b.count, 2000);
		assert_int_equal(b.readings, 4000);
		for (int i = 0; i < 2000; i++)
			assert_true(b.messages[i].pack.readings[1].number[CH_TEMP] == 4.2);
		batch_reset(&b);
		assert_int_equal(b.count + b.readings + b.unresolved, 0);
	}
}

#define T(name) cmocka_unit_test_setup_teardown(name, fresh, drop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_a_good_message_is_decoded_and_kept_whole),
		T(test_what_cannot_be_decoded_is_marked_with_its_reason),
		T(test_a_pack_that_is_partly_too_old_is_stored_and_quarantined),
		T(test_a_receipt_is_asked_for_by_response_topic_or_record),
		T(test_a_status_is_taken_by_its_topic_and_asks_for_no_receipt_of_samples),
		T(test_an_unknown_device_is_looked_up_again_before_it_is_quarantined),
		T(test_the_words_of_a_quarantine_are_safe_to_store),
		T(test_a_batch_grows_and_an_empty_one_starts_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
