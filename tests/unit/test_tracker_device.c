/* SPDX-License-Identifier: Apache-2.0
 *
 * What a tracker does with a broker that has no room, and with receipts that come late: the broker is this test, which
 * acknowledges, refuses and sends receipts when it wants to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>

#include "core/log.h"
#include "servers.h"
#include "tests/tracker/device_internal.h"

#define PATIENCE 10.0
#define NO_ROOM  0x87
#define WINDOW   4
#define SAMPLES  8
#define FOR_EVER 1000.0 /* seconds, of a pause that no test lasts for */

enum { CONNECT = 1, PUBLISH = 3, SUBSCRIBE = 8 };

static struct event_base *base;

struct broker {
	struct evconnlistener *listener;
	struct bufferevent *tracker;
	struct link link;
	struct device *device;
	int reason; /* of every PUBACK; negative: none is sent */
	int packs;  /* that came with samples */
	uint16_t unacked[SAMPLES];
	size_t unacked_count;
	int wanted;
};

/* ---- a broker of few words ---- */

static void puback(struct broker *b, uint16_t id, int reason)
{
	const uint8_t packet[] = {0x40, 4, (uint8_t)(id >> 8), (uint8_t)id, (uint8_t)reason, 0};

	bufferevent_write(b->tracker, packet, sizeof(packet));
}

/* With QoS 1, as all that a tracker sends. */
static void take_publish(struct broker *b, const uint8_t *body, size_t len)
{
	size_t topic_len = (size_t)(body[0] << 8 | body[1]);
	const char *topic = (const char *)body + 2;
	uint16_t id = (uint16_t)(body[2 + topic_len] << 8 | body[3 + topic_len]);

	if (memmem(topic, topic_len, "telemetry", 9) == NULL || memmem(body, len, "\"temp\"", 6) == NULL) {
		puback(b, id, 0);
		return;
	}
	b->packs++;
	if (b->reason >= 0)
		puback(b, id, b->reason);
	else if (b->unacked_count < SAMPLES)
		b->unacked[b->unacked_count++] = id;
}

static void take_packet(struct broker *b, const uint8_t *packet, size_t head, size_t len)
{
	static const uint8_t connack[] = {0x20, 3, 0, 0, 0};
	const uint8_t *body = packet + head;

	if (packet[0] >> 4 == CONNECT) {
		bufferevent_write(b->tracker, connack, sizeof(connack));
	} else if (packet[0] >> 4 == SUBSCRIBE) {
		const uint8_t suback[] = {0x90, 4, body[0], body[1], 0, 1};
		bufferevent_write(b->tracker, suback, sizeof(suback));
	} else if (packet[0] >> 4 == PUBLISH) {
		take_publish(b, body, len - head);
	}
}

static void on_bytes(struct bufferevent *from, void *arg)
{
	struct evbuffer *in = bufferevent_get_input(from);

	for (;;) {
		size_t have = evbuffer_get_length(in), head = 1, left = 0;
		const uint8_t *bytes = evbuffer_pullup(in, -1);
		do {
			if (head >= have)
				return;
			left |= (size_t)(bytes[head] & 0x7f) << 7 * (head - 1);
		} while ((bytes[head++] & 0x80) != 0);
		if (have < head + left)
			return;
		take_packet(arg, bytes, head, head + left);
		evbuffer_drain(in, head + left);
	}
}

static void on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *from, int from_len, void *arg)
{
	struct broker *b = arg;

	(void)l, (void)from, (void)from_len;
	if (b->tracker != NULL)
		bufferevent_free(b->tracker);
	b->tracker = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
	bufferevent_setcb(b->tracker, on_bytes, NULL, NULL, b);
	bufferevent_enable(b->tracker, EV_READ);
}

static void send_receipt(struct broker *b, const char *text)
{
	static const char topic[] = "cf/v1/tracker/receipt";
	const size_t topic_len = sizeof(topic) - 1, len = strlen(text);
	uint8_t head[4] = {0x30, (uint8_t)(2 + topic_len + 1 + len), 0, (uint8_t)topic_len};

	assert_true(2 + topic_len + 1 + len < 128);
	bufferevent_write(b->tracker, head, sizeof(head));
	bufferevent_write(b->tracker, topic, topic_len);
	bufferevent_write(b->tracker, "", 1); /* no properties */
	bufferevent_write(b->tracker, text, len);
}

/* ---- the tracker ---- */

static void on_device(struct device *d, enum device_event event, void *arg)
{
	(void)d, (void)event, (void)arg;
}

static bool has_packs(void *arg)
{
	const struct broker *b = arg;

	return b->packs >= b->wanted;
}

static bool is_paused(void *arg)
{
	const struct device *d = ((struct broker *)arg)->device;

	return d->paused && d->flight_count == 0;
}

static bool has_heard(void *arg)
{
	const struct broker *b = arg;

	return device_counts(b->device)->bad_receipts >= (size_t)b->wanted;
}

static void await_packs(struct broker *b, int packs)
{
	b->wanted = packs;
	if (!loop_until(base, has_packs, b, PATIENCE))
		fail_msg("%d packs came, expected %d", b->packs, packs);
}

/* What the tracker sends because of what it was sent has come, too: each answer to the second word is behind it. */
static void await_silence(struct broker *b)
{
	for (int i = 0; i < 2; i++) {
		b->wanted = (int)device_counts(b->device)->bad_receipts + 1;
		send_receipt(b, "no receipt");
		assert_true(loop_until(base, has_heard, b, PATIENCE));
	}
}

/* Eight samples in packs of one, and a broker that answers with `reason`. */
static struct broker *begin(int reason, double pause)
{
	struct broker *b = calloc(1, sizeof(*b));
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t at_len = sizeof(at);
	struct flash *flash = flash_new(100, false);
	struct err e = {0};

	assert_non_null(b);
	b->reason = reason;
	b->listener = evconnlistener_new_bind(base, on_accept, b, LEV_OPT_CLOSE_ON_FREE, -1, (struct sockaddr *)&at,
					      sizeof(at));
	assert_non_null(b->listener);
	assert_int_equal(getsockname(evconnlistener_get_fd(b->listener), (struct sockaddr *)&at, &at_len), 0);
	b->link = (struct link){.host = "127.0.0.1", .port = ntohs(at.sin_port), .clear = true, .keepalive = 60};
	flash_set_epoch(flash, 0);
	for (int i = 0; i < SAMPLES; i++)
		flash_append(flash, (INT64_C(1790000000) + i) * 1000000, &(struct measure){.value = i}, 1);
	const struct device_options o = {.serial = "tracker",
					 .link = &b->link,
					 .encoding = ENCODING_JSON,
					 .pack = 1,
					 .backlog = 1,
					 .window = WINDOW,
					 .resend_after = 0.1};
	b->device = device_new(base, &o, flash, on_device, b, &e);
	if (b->device == NULL)
		fail_msg("%s", e.detail);
	b->device->pause = (struct backoff){.first = pause, .limit = 100 * pause};
	device_start(b->device);
	return b;
}

static void end(struct broker *b)
{
	device_free(&b->device);
	if (b->tracker != NULL)
		bufferevent_free(b->tracker);
	evconnlistener_free(b->listener);
	free(b);
}

static const char nothing_new[] = "{\"epoch\":0,\"through\":-1,\"missing\":[]}";

static void test_receipt_ends_the_pause_and_one_pack_finds_out_whether_there_is_room(void **state)
{
	struct broker *b = begin(NO_ROOM, FOR_EVER);

	(void)state;
	assert_true(loop_until(base, is_paused, b, PATIENCE));
	assert_int_equal(b->packs, WINDOW);
	b->reason = -1;
	send_receipt(b, nothing_new);
	await_packs(b, WINDOW + 1);
	await_silence(b);
	assert_int_equal(b->packs, WINDOW + 1);
	b->reason = 0;
	puback(b, b->unacked[0], 0);
	await_packs(b, WINDOW + SAMPLES);
	end(b);
}

static void test_receipt_of_a_status_ends_the_pause_too(void **state)
{
	struct broker *b = begin(NO_ROOM, FOR_EVER);

	(void)state;
	assert_true(loop_until(base, is_paused, b, PATIENCE));
	b->reason = 0;
	send_receipt(b, "{\"status\":{\"boot\":1,\"uptime\":1}}");
	await_packs(b, WINDOW + SAMPLES);
	end(b);
}

static void test_refused_after_a_receipt_the_pause_is_longer_and_the_next_receipt_ends_it(void **state)
{
	struct broker *b = begin(NO_ROOM, FOR_EVER);

	(void)state;
	assert_true(loop_until(base, is_paused, b, PATIENCE));
	assert_true(b->device->pause.next == 2 * FOR_EVER);
	send_receipt(b, nothing_new);
	await_packs(b, WINDOW + 1);
	assert_true(loop_until(base, is_paused, b, PATIENCE));
	assert_true(b->device->pause.next == 4 * FOR_EVER);
	send_receipt(b, nothing_new);
	await_packs(b, WINDOW + 2);
	assert_true(loop_until(base, is_paused, b, PATIENCE));
	b->reason = 0;
	send_receipt(b, nothing_new);
	await_packs(b, WINDOW + 2 + SAMPLES);
	await_silence(b);
	assert_true(b->device->pause.next == 0);
	end(b);
}

/* Receipts come so fast while what has waited is stored that each of them must not begin anew. */
static void test_many_receipts_do_not_put_off_the_end_of_the_pause(void **state)
{
	struct broker *b = begin(NO_ROOM, FOR_EVER);

	(void)state;
	assert_true(loop_until(base, is_paused, b, PATIENCE));
	send_receipt(b, nothing_new);
	await_silence(b);
	int64_t over = b->device->pause_over;
	send_receipt(b, nothing_new);
	await_silence(b);
	assert_true(b->device->pause_over == over);
	end(b);
}

static void test_receipt_does_not_make_a_short_pause_longer(void **state)
{
	struct broker *b = begin(NO_ROOM, 0.9);

	(void)state;
	assert_true(loop_until(base, is_paused, b, PATIENCE));
	int64_t over = b->device->pause_over;
	send_receipt(b, nothing_new);
	await_silence(b);
	assert_true(b->device->pause_over == over || b->packs > WINDOW);
	end(b);
}

static bool is_older(void *arg)
{
	return device_clock_us(CLOCK_MONOTONIC) >= *(const int64_t *)arg;
}

/* So that everything acknowledged up to now is due to be sent again: twice `resend_after`. */
static void age(void)
{
	int64_t until = device_clock_us(CLOCK_MONOTONIC) + 250000;

	assert_true(loop_until(base, is_older, &until, PATIENCE));
}

static void test_what_is_being_stored_one_after_the_other_is_not_sent_again(void **state)
{
	struct broker *b = begin(0, FOR_EVER);

	(void)state;
	await_packs(b, SAMPLES);
	age();
	send_receipt(b, "{\"epoch\":0,\"through\":2,\"missing\":[]}");
	await_silence(b);
	assert_int_equal(b->packs, SAMPLES);
	send_receipt(b, "{\"epoch\":0,\"through\":4,\"missing\":[3]}"); /* cannot be read: changes nothing */
	send_receipt(b, "{\"epoch\":0,\"through\":4,\"missing\":[[3,3]]}");
	await_packs(b, SAMPLES + 1); /* called missing */
	age();
	send_receipt(b, "{\"epoch\":0,\"through\":4,\"missing\":[[3,3]]}");
	await_packs(b, SAMPLES + 1 + 3); /* nothing moves any more */
	end(b);
}

static int set_up(void **state)
{
	(void)state;
	mqtt_library_init();
	log_level_set(LOG_LEVEL_ERROR);
	base = event_base_new();
	return base == NULL;
}

static int tear_down(void **state)
{
	(void)state;
	event_base_free(base);
	mqtt_library_cleanup();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_receipt_ends_the_pause_and_one_pack_finds_out_whether_there_is_room),
		cmocka_unit_test(test_receipt_of_a_status_ends_the_pause_too),
		cmocka_unit_test(test_refused_after_a_receipt_the_pause_is_longer_and_the_next_receipt_ends_it),
		cmocka_unit_test(test_many_receipts_do_not_put_off_the_end_of_the_pause),
		cmocka_unit_test(test_receipt_does_not_make_a_short_pause_longer),
		cmocka_unit_test(test_what_is_being_stored_one_after_the_other_is_not_sent_again),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
