/* SPDX-License-Identifier: Apache-2.0
 *
 * The packets of a load generator are those of MQTT 5, byte for byte, and what a broker sends is read whole, in pieces
 * or refused, whatever it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/tracker/packet.h"

#define BYTES(text) (const uint8_t *)(text), sizeof(text) - 1

/* One of each that a broker sends, properties in them. */
static const struct {
	const uint8_t *bytes;
	size_t len;
	struct packet is;
} good[] = {
	{BYTES("\x20\x03\x00\x00\x00"), {PACKET_CONNACK, 0, 0, 65535}},
	{BYTES("\x20\x03\x00\x87\x00"), {PACKET_CONNACK, 0, 0x87, 65535}},
	{BYTES("\x20\x13\x01\x00\x10\x21\x00\x64\x22\x00\x0a\x24\x01\x12\x00\x05"
	       "load-"),
	 {PACKET_CONNACK, 0, 0, 100}},
	{BYTES("\x40\x02\x12\x34"), {PACKET_PUBACK, 0x1234, 0, 0}},
	{BYTES("\x40\x03\x00\x01\x10"), {PACKET_PUBACK, 1, 0x10, 0}},
	{BYTES("\x40\x0c\x00\x02\x97\x08\x1f\x00\x05quota"), {PACKET_PUBACK, 2, 0x97, 0}},
	{BYTES("\x40\x0b\x00\x02\x00\x07\x26\x00\x01k\x00\x01v"), {PACKET_PUBACK, 2, 0, 0}},
	{BYTES("\x90\x05\x00\x01\x00\x00\x87"), {PACKET_SUBACK, 1, 0x87, 0}},
	{BYTES("\x30\x09\x00\x01t\x00paper"), {PACKET_PUBLISH, 0, 0, 0}},
	{BYTES("\x30\x0a\x00\x01t\x04\x03\x00\x01j{}"), {PACKET_PUBLISH, 0, 0, 0}},
	{BYTES("\xd0\x00"), {PACKET_PINGRESP, 0, 0, 0}},
	{BYTES("\xe0\x00"), {PACKET_DISCONNECT, 0, 0, 0}},
	{BYTES("\xe0\x02\x8e\x00"), {PACKET_DISCONNECT, 0, 0x8e, 0}},
};
#define GOOD (sizeof(good) / sizeof(good[0]))

static bool read_copy(const uint8_t *bytes, size_t len, struct packet *out, size_t *used, struct err *e)
{
	/* On the heap, so that a sanitizer sees a read past the end. */
	uint8_t *copy = malloc(len > 0 ? len : 1);

	assert_non_null(copy);
	memcpy(copy, bytes, len);
	*e = (struct err){0};
	bool ok = packet_read(copy, len, out, used, e);
	free(copy);
	assert_true(*used <= len);
	assert_true(ok == (e->detail[0] == '\0'));
	return ok;
}

static void refused(const uint8_t *bytes, size_t len)
{
	struct packet p;
	struct err e;
	size_t used;

	assert_false(read_copy(bytes, len, &p, &used, &e));
	assert_int_equal(e.code, ERR_DECODE);
	assert_int_equal(used, 0);
}

static void test_packets_of_a_broker_are_understood(void **state)
{
	struct packet p;
	struct err e;
	size_t used;

	(void)state;
	for (size_t i = 0; i < GOOD; i++) {
		assert_true(read_copy(good[i].bytes, good[i].len, &p, &used, &e));
		assert_int_equal(used, good[i].len);
		assert_int_equal(p.type, good[i].is.type);
		assert_int_equal(p.id, good[i].is.id);
		assert_int_equal(p.reason, good[i].is.reason);
		assert_int_equal(p.receive_maximum, good[i].is.receive_maximum);
	}
}

static void test_part_of_a_packet_waits_for_the_rest(void **state)
{
	struct packet p;
	struct err e;
	size_t used;

	(void)state;
	for (size_t i = 0; i < GOOD; i++) {
		for (size_t len = 0; len < good[i].len; len++) {
			assert_true(read_copy(good[i].bytes, len, &p, &used, &e));
			assert_int_equal(used, 0);
		}
	}
}

static void test_first_of_many_packets_is_taken_alone(void **state)
{
	struct packet p;
	struct err e;
	size_t used;

	(void)state;
	assert_true(read_copy(BYTES("\x40\x02\x00\x07\x40\x02\x00\x08\x40"), &p, &used, &e));
	assert_int_equal(used, 4);
	assert_int_equal(p.id, 7);
}

static void test_packet_that_a_tracker_does_not_expect_is_refused(void **state)
{
	(void)state;
	refused(BYTES("\x00\x00"));                        /* no type */
	refused(BYTES("\x10\x00"));                        /* a client's */
	refused(BYTES("\x50\x02\x00\x01"));                /* of QoS 2 */
	refused(BYTES("\x41\x02\x00\x01"));                /* flags */
	refused(BYTES("\x32\x08\x00\x01t\x00\x01\x00{}")); /* QoS 1 was not asked for */
	refused(BYTES("\x40\x02\x00\x00"));                /* no identifier */
	refused(BYTES("\x40\x01\x00"));
	refused(BYTES("\xd0\x01\x00"));
	refused(BYTES("\x90\x03\x00\x01\x00"));             /* no reason */
	refused(BYTES("\x20\x06\x00\x00\x03\x21\x00\x00")); /* receive maximum 0 */
	refused(BYTES("\x20\x05\x00\x00\x02\x21\x00"));     /* half a property */
	refused(BYTES("\x20\x05\x00\x00\x02\x7f\x00"));     /* none of MQTT 5's */
	refused(BYTES("\x20\x04\x00\x00\x7f\x00"));         /* properties longer than the packet */
	refused(BYTES("\x20\x04\x00\x00\x00\x00"));         /* something behind them */
	refused(BYTES("\x40\x05\x00\x01\x00\xff\xff"));     /* half a length */
	refused(BYTES("\x30\x80\x80\x80\x80\x01"));         /* a length of five bytes */
	refused(BYTES("\x30\xff\xff\xff\x7f"));             /* longer than we take */
}

static void test_damaged_packets_never_take_more_than_there_is(void **state)
{
	struct packet p;
	struct err e;
	size_t used;
	uint8_t bytes[64];

	(void)state;
	for (size_t i = 0; i < GOOD; i++) {
		for (size_t at = 0; at < good[i].len; at++) {
			for (unsigned value = 0; value < 256; value++) {
				memcpy(bytes, good[i].bytes, good[i].len);
				bytes[at] = (uint8_t)value;
				read_copy(bytes, good[i].len, &p, &used, &e);
			}
		}
	}
	srand(1);
	for (int i = 0; i < 200000; i++) {
		size_t len = (size_t)rand() % sizeof(bytes);
		for (size_t at = 0; at < len; at++)
			bytes[at] = (uint8_t)rand();
		read_copy(bytes, len, &p, &used, &e);
	}
}

static void test_what_a_tracker_sends_is_written_as_the_standard_says(void **state)
{
	uint8_t out[PACKET_SMALL];
	static const uint8_t connect[] = "\x10\x13\x00\x04MQTT\x05\x00\x00\x3c\x03\x21\x00\x14\x00\x03t-1";
	static const uint8_t subscribe[] = "\x82\x08\x00\x09\x00\x00\x02"
					   "cf\x00";

	(void)state;
	assert_int_equal(packet_connect(out, "t-1", 60, 20), sizeof(connect) - 1);
	assert_memory_equal(out, connect, sizeof(connect) - 1);
	assert_int_equal(packet_subscribe(out, 9, "cf"), sizeof(subscribe) - 1);
	assert_memory_equal(out, subscribe, sizeof(subscribe) - 1);
	assert_int_equal(packet_ping(out), 2);
	assert_memory_equal(out, "\xc0\x00", 2);
}

static void test_publish_has_properties_and_the_number_that_is_set(void **state)
{
	struct packet_head h = {0};
	static const uint8_t plain[] = "\x32\x15\x00\x02"
				       "cf\x01\x02\x04\x03\x00\x01j";
	static const uint8_t asking[] = "\x32\xd6\x01\x00\x02"
					"cf\xff\xff\x09\x03\x00\x01j\x08\x00\x02rc";

	(void)state;
	packet_head(&h, "cf", "j", NULL, 10);
	packet_head_number(&h, 0x0102);
	assert_int_equal(h.len, sizeof(plain) - 1);
	assert_memory_equal(h.bytes, plain, h.len);
	packet_head(&h, "cf", "j", "rc", 198);
	packet_head_number(&h, 0xffff);
	assert_int_equal(h.len, sizeof(asking) - 1);
	assert_memory_equal(h.bytes, asking, h.len);
}

static void test_properties_beyond_127_bytes_have_a_length_of_two(void **state)
{
	struct packet_head h = {0};
	char topic[PACKET_TEXT_MAX + 1];

	(void)state;
	memset(topic, 't', PACKET_TEXT_MAX);
	topic[PACKET_TEXT_MAX] = '\0';
	packet_head(&h, topic, topic, topic, 0);
	assert_int_equal(h.len, 3 + 2 + 128 + 2 + 2 + 3 + 128 + 3 + 128);
	assert_int_equal(h.bytes[1] | h.bytes[2] << 8, ((h.len - 3) & 0x7f) | 0x80 | (h.len - 3) >> 7 << 8);
	assert_memory_equal(h.bytes + h.id_at + 2, "\x86\x02", 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_packets_of_a_broker_are_understood),
		cmocka_unit_test(test_part_of_a_packet_waits_for_the_rest),
		cmocka_unit_test(test_first_of_many_packets_is_taken_alone),
		cmocka_unit_test(test_packet_that_a_tracker_does_not_expect_is_refused),
		cmocka_unit_test(test_damaged_packets_never_take_more_than_there_is),
		cmocka_unit_test(test_what_a_tracker_sends_is_written_as_the_standard_says),
		cmocka_unit_test(test_publish_has_properties_and_the_number_that_is_set),
		cmocka_unit_test(test_properties_beyond_127_bytes_have_a_length_of_two),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
