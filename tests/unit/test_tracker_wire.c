/* SPDX-License-Identifier: Apache-2.0
 *
 * The load generator's connection with a real broker over mutual TLS: every message is acknowledged, large ones when
 * the broker is slow too; a broker that goes away, lies or is not trusted is told in words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "servers.h"
#include "tests/tracker/wire.h"

#define PATIENCE 20.0

static struct event_base *base;

struct peer {
	struct link link;
	struct wire_hub *hub;
	struct wire *wire;
	int ups, losses, writables, acked, received, expected;
	uint16_t last;
	bool in_order;
	char why[256];
};

static void on_wire(const struct wire_event *event, void *arg)
{
	struct peer *p = arg;

	p->ups += event->type == WIRE_UP;
	p->writables += event->type == WIRE_WRITABLE;
	p->received += event->type == WIRE_RECEIVED;
	if (event->type == WIRE_ACKED) {
		p->in_order = p->in_order && event->id == p->last + 1;
		p->last = event->id;
		p->acked++;
	} else if (event->type == WIRE_LOST) {
		p->losses++;
		snprintf(p->why, sizeof(p->why), "%s", event->why);
	}
}

static struct peer *peer_start(int port, const char *ca, bool clear)
{
	struct peer *p = calloc(1, sizeof(*p));
	struct err e = {0};

	assert_non_null(p);
	p->in_order = true;
	p->link = (struct link){.host = "127.0.0.1",
				.port = port,
				.certs = servers_path(""),
				.ca = ca,
				.clear = clear,
				.keepalive = 60};
	p->hub = wire_hub_new(&p->link, base, &e);
	p->wire = p->hub != NULL ? wire_new(p->hub, "client", on_wire, p, &e) : NULL;
	if (p->wire == NULL)
		fail_msg("%s", e.detail);
	wire_start(p->wire);
	return p;
}

static void peer_end(struct peer *p)
{
	wire_free(&p->wire);
	wire_hub_free(&p->hub);
	free(p);
}

static bool is_up(void *arg)
{
	return wire_writable(((struct peer *)arg)->wire);
}

static bool is_lost(void *arg)
{
	return ((struct peer *)arg)->losses > 0;
}

static bool is_blocked(void *arg)
{
	return !is_up(arg);
}

static bool has_all(void *arg)
{
	const struct peer *p = arg;

	return p->acked >= p->expected && p->received >= p->expected;
}

static void publish(struct peer *p, uint16_t id, size_t len)
{
	static uint8_t payload[WIRE_PAYLOAD_MAX];
	struct packet_head head = {0};

	packet_head(&head, "wire/test", "text/plain", NULL, len);
	packet_head_number(&head, id);
	assert_true(wire_publish(p->wire, &head, payload, len));
}

static void test_all_messages_over_mutual_tls_are_acknowledged_and_heard(void **state)
{
	struct peer *p = peer_start(broker_tls_port(), NULL, false);

	(void)state;
	assert_true(loop_until(base, is_up, p, PATIENCE));
	assert_true(wire_subscribe(p->wire, 1, "wire/test"));
	for (uint16_t id = 1; id <= 500; id++) {
		assert_true(loop_until(base, is_up, p, PATIENCE));
		publish(p, id, id);
	}
	p->expected = 500;
	assert_true(loop_until(base, has_all, p, PATIENCE));
	assert_true(p->in_order);
	assert_int_equal(p->losses, 0);
	peer_end(p);
}

/* Sends until the kernel takes no more: large messages, or held ones, every second of them small. */
static void check_hanging_broker(bool held, int most)
{
	struct peer *p = peer_start(broker_tls_port(), NULL, false);

	assert_true(loop_until(base, is_up, p, PATIENCE));
	broker_pause(true);
	if (held)
		wire_hold(p->wire);
	for (p->expected = 0; !is_blocked(p) && p->expected < most; p->expected++)
		publish(p, (uint16_t)(p->expected + 1), held && p->expected % 2 == 1 ? 60 : 60000);
	wire_release(p->wire);
	assert_true(is_blocked(p));
	assert_int_equal(p->writables, 0);
	broker_pause(false);
	p->received = p->expected;
	assert_true(loop_until(base, has_all, p, PATIENCE));
	assert_true(is_up(p) && p->in_order);
	assert_int_equal(p->writables, 1);
	peer_end(p);
}

static void test_what_a_hanging_broker_does_not_take_goes_later_and_whole(void **state)
{
	(void)state;
	check_hanging_broker(false, 1000);
}

static void test_what_is_held_leaves_when_it_is_released(void **state)
{
	struct peer *p = peer_start(broker_tls_port(), NULL, false);

	(void)state;
	assert_true(loop_until(base, is_up, p, PATIENCE));
	assert_true(wire_subscribe(p->wire, 1, "wire/other"));
	wire_read_at(p->wire, 4);
	for (uint16_t id = 1; id <= 200;) {
		wire_hold(p->wire);
		for (int i = 0; i < 4; i++)
			publish(p, id++, 100);
		wire_release(p->wire);
		assert_true(loop_until(base, is_up, p, PATIENCE));
	}
	wire_read_at(p->wire, 1);
	p->received = p->expected = 200;
	assert_true(loop_until(base, has_all, p, PATIENCE));
	assert_true(p->in_order);
	peer_end(p);
}

static void test_what_is_held_and_not_taken_by_a_hanging_broker_goes_later_and_whole(void **state)
{
	(void)state;
	check_hanging_broker(true, 5000);
}

static void test_fewer_acknowledgements_than_are_read_at_a_time_are_read_all_the_same(void **state)
{
	struct peer *p = peer_start(broker_tls_port(), NULL, false);

	(void)state;
	assert_true(loop_until(base, is_up, p, PATIENCE));
	wire_read_at(p->wire, 4);
	publish(p, 1, 10);
	p->received = p->expected = 1;
	assert_true(loop_until(base, has_all, p, PATIENCE));
	peer_end(p);
}

static void test_broker_that_goes_away_is_told_and_found_again(void **state)
{
	struct peer *p = peer_start(broker_tls_port(), NULL, false);

	(void)state;
	assert_true(loop_until(base, is_up, p, PATIENCE));
	broker_kill();
	publish(p, 1, 10);
	assert_true(loop_until(base, is_lost, p, PATIENCE));
	assert_false(is_up(p));
	broker_start();
	assert_true(loop_until(base, is_up, p, PATIENCE));
	assert_int_equal(p->ups, 2);
	peer_end(p);
}

static void test_broker_of_another_ca_is_not_trusted(void **state)
{
	struct peer *p = peer_start(broker_tls_port(), servers_path("other-ca.crt"), false);

	(void)state;
	assert_true(loop_until(base, is_lost, p, PATIENCE));
	if (strstr(p->why, "TLS: the broker's certificate: ") == NULL)
		fail_msg("%s", p->why);
	peer_end(p);
}

static void test_nobody_who_listens_is_told(void **state)
{
	struct peer *p = peer_start(free_port(), NULL, true);

	(void)state;
	assert_true(loop_until(base, is_lost, p, PATIENCE));
	assert_string_equal(p->why, "Connection refused");
	peer_end(p);
}

/* Takes the connection and says something, once. */
struct liar {
	struct peer *peer;
	int listener, fd;
	const char *words;
	size_t len;
};

static bool lie(void *arg)
{
	struct liar *l = arg;

	if (l->fd < 0 && (l->fd = accept(l->listener, NULL, NULL)) >= 0) {
		assert_int_equal(send(l->fd, l->words, l->len, MSG_NOSIGNAL), l->len);
		shutdown(l->fd, SHUT_WR);
	}
	return is_lost(l->peer);
}

static void told_of(const char *words, size_t len, const char *why)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t at_len = sizeof(at);
	struct liar l = {
		.listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), .fd = -1, .words = words, .len = len};

	assert_int_equal(bind(l.listener, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(l.listener, 1), 0);
	assert_int_equal(getsockname(l.listener, (struct sockaddr *)&at, &at_len), 0);
	l.peer = peer_start(ntohs(at.sin_port), NULL, true);
	assert_true(loop_until(base, lie, &l, PATIENCE));
	if (strstr(l.peer->why, why) == NULL)
		fail_msg("expected '%s' in: %s", why, l.peer->why);
	peer_end(l.peer);
	close(l.fd);
	close(l.listener);
}

#define TOLD_OF(words, why) told_of(words, sizeof(words) - 1, why)

static void test_broker_that_refuses_or_lies_is_told_in_words(void **state)
{
	(void)state;
	TOLD_OF("\x20\x03\x00\x87\x00", "the broker refused the connection: reason 0x87");
	TOLD_OF("\x40\x02\x00\x01", "the broker sent CONNACK twice, or something else first");
	TOLD_OF("\x20\x03\x00\x00\x00\x20\x03\x00\x00\x00", "the broker sent CONNACK twice, or something else first");
	TOLD_OF("\x20\x03\x00\x00\x00\x40\x02\x00\x01\xe0\x01\x8e", "the broker closed the connection: reason 0x8e");
	TOLD_OF("\x20\x03\x00\x00\x00\x40", "the broker closed the connection");
	TOLD_OF("HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nNot for "
		"browsers.\r\n",
		"MQTT 5 or a tracker has no place for");
	TOLD_OF("", "the broker closed the connection");
}

static int set_up(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	broker_start();
	base = event_base_new();
	return base == NULL;
}

static int tear_down(void **state)
{
	(void)state;
	event_base_free(base);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_messages_over_mutual_tls_are_acknowledged_and_heard),
		cmocka_unit_test(test_what_a_hanging_broker_does_not_take_goes_later_and_whole),
		cmocka_unit_test(test_what_is_held_leaves_when_it_is_released),
		cmocka_unit_test(test_what_is_held_and_not_taken_by_a_hanging_broker_goes_later_and_whole),
		cmocka_unit_test(test_fewer_acknowledgements_than_are_read_at_a_time_are_read_all_the_same),
		cmocka_unit_test(test_broker_that_goes_away_is_told_and_found_again),
		cmocka_unit_test(test_broker_of_another_ca_is_not_trusted),
		cmocka_unit_test(test_nobody_who_listens_is_told),
		cmocka_unit_test(test_broker_that_refuses_or_lies_is_told_in_words),
	};
	const char *missing = broker_missing();

	if (missing != NULL) {
		printf("skipped: %s\n", missing);
		return 77;
	}
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
