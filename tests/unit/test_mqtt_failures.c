/* SPDX-License-Identifier: Apache-2.0
 *
 * The MQTT connection when things go wrong: every failure to connect ends in a line of words and a wait, never in a
 * busy loop; every stop ends; bad options are refused before anything is tried. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "capture.h"
#include "mqtt_peer.h"
#include "servers.h"

static struct event_base *base;

static int count(const char *text, const char *words)
{
	int n = 0;
	for (const char *p = text; (p = strstr(p, words)) != NULL; p++)
		n++;
	return n;
}

static double cpu_seconds(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Waits of 0.05 to 0.1, 0.1 to 0.2, 0.2 to 0.4 s, then 0.2 to 0.4 for ever: 4 to 7 attempts in 1 s. */
static void fails_with_back_off(struct mqtt_options options, bool tls, const char *words)
{
	options.reconnect_first = 0.1;
	options.reconnect_limit = 0.4;
	struct peer *p = peer_new(base, options, tls);
	double before = cpu_seconds();
	capture_start(2);
	mqtt_start(p->m);
	peer_run(base, 1);
	const char *log = capture_end(2);
	double spent = cpu_seconds() - before;
	int told = p->connects + p->losses;
	mqtt_stop(p->m);
	bool stopped = peer_wait(base, &p->losses, 1, 1);
	peer_free(p);
	int attempts = count(log, "connect failed why=");
	if (attempts < 3 || attempts > 7 || strstr(log, words) == NULL || spent > 0.2)
		fail_msg("%d attempts, %.3f s of CPU, expected '%s' in: %s", attempts, spent, words, log);
	assert_null(strstr(log, "Success"));
	assert_int_equal(told, 0);
	assert_true(stopped);
}

static void test_a_refused_port_is_tried_with_back_off(void **state)
{
	(void)state;
	const struct mqtt_options o = {.host = "127.0.0.1", .port = free_port()};
	fails_with_back_off(o, false, "Connection refused");
	fails_with_back_off(o, true, "Connection refused or reset");
}

static void test_a_socket_that_is_not_there_is_tried_with_back_off(void **state)
{
	(void)state;
	fails_with_back_off((struct mqtt_options){.host = "/nonexistent/mqtt.sock"}, false, "No such file");
}

static void test_a_broker_of_another_authority_is_not_trusted(void **state)
{
	(void)state;
	const struct mqtt_options o = {.ca_file = servers_path("other-ca.crt"),
				       .cert_file = servers_path("client.crt"),
				       .key_file = servers_path("client.key")};
	fails_with_back_off(o, true, "TLS");
}

static void test_a_client_without_certificate_is_told_so_with_back_off(void **state)
{
	(void)state;
	fails_with_back_off((struct mqtt_options){.ca_file = servers_path("ca.crt")}, true, "why=");
}

static int listen_on_loopback(int *port, int backlog)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(sin);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sin, len), 0);
	assert_int_equal(listen(fd, backlog), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
	*port = ntohs(sin.sin_port);
	return fd;
}

static void answer_garbage(evutil_socket_t fd, short what, void *arg)
{
	(void)what;
	int peer = accept(fd, NULL, NULL);
	if (peer < 0)
		return;
	if (write(peer, "HTTP/1.1 400 Bad Request\r\n\r\n", 28) < 0)
		++*(int *)arg;
	close(peer);
}

static void test_a_server_that_speaks_something_else_is_tried_with_back_off(void **state)
{
	(void)state;
	int port, unwritten = 0, fd = listen_on_loopback(&port, 16);
	struct event *ev = event_new(base, fd, EV_READ | EV_PERSIST, answer_garbage, &unwritten);
	event_add(ev, NULL);
	const struct mqtt_options o = {.host = "127.0.0.1", .port = port};
	fails_with_back_off(o, false, "why=");
	fails_with_back_off(o, true, "why=");
	event_free(ev);
	close(fd);
}

static void reset_peer(evutil_socket_t fd, short what, void *arg)
{
	static const struct linger at_once = {.l_onoff = 1};
	(void)what, (void)arg;
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(fd);
}

static void hear_and_reset(evutil_socket_t fd, short what, void *arg)
{
	(void)what, (void)arg;
	int peer = accept(fd, NULL, NULL);
	if (peer >= 0)
		event_base_once(base, peer, EV_READ, reset_peer, NULL, NULL);
}

/* libmosquitto takes a reset during the handshake for "not yet", and what comes next for a TLS error. */
static void test_a_server_that_resets_the_handshake_is_tried_with_back_off(void **state)
{
	(void)state;
	int port, fd = listen_on_loopback(&port, 16);
	struct event *ev = event_new(base, fd, EV_READ | EV_PERSIST, hear_and_reset, NULL);
	event_add(ev, NULL);
	const struct mqtt_options o = {.host = "127.0.0.1", .port = port};
	fails_with_back_off(o, false, "Connection reset by peer");
	fails_with_back_off(o, true, "Connection reset by peer");
	event_free(ev);
	close(fd);
}

static int connect_to(int port)
{
	struct sockaddr_in sin = {
		.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	connect(fd, (struct sockaddr *)&sin, sizeof(sin));
	return fd;
}

/* A listener with a full queue drops the SYN, so the handshake begins before the connection stands; then it stands, and
 * the other side says nothing. */
static void test_a_silent_tls_server_costs_no_cpu(void **state)
{
	(void)state;
	int port, fillers[4], fd = listen_on_loopback(&port, 0);
	for (int i = 0; i < 4; i++)
		fillers[i] = connect_to(port);
	struct peer *p = peer_new(base, (struct mqtt_options){.host = "127.0.0.1", .port = port}, true);
	mqtt_start(p->m);
	peer_run(base, 0.2);
	for (int i = 0; i < 4; i++)
		close(accept(fd, NULL, NULL));
	double before = cpu_seconds();
	peer_run(base, 3);
	double spent = cpu_seconds() - before;
	if (spent > 0.3)
		fail_msg("%.2f s of CPU in 3 s of waiting", spent);
	mqtt_stop(p->m);
	assert_true(peer_wait(base, &p->losses, 1, 1));
	for (int i = 0; i < 4; i++)
		close(fillers[i]);
	close(fd);
	peer_free(p);
}

static void take_silently(evutil_socket_t fd, short what, void *arg)
{
	int *accepted = arg;
	(void)what;
	*accepted += accept(fd, NULL, NULL) >= 0;
}

static void test_a_server_that_never_answers_is_given_up_in_time_and_tried_again(void **state)
{
	(void)state;
	int port, accepted = 0, fd = listen_on_loopback(&port, 16);
	struct event *event = event_new(base, fd, EV_READ | EV_PERSIST, take_silently, &accepted);
	event_add(event, NULL);
	const struct mqtt_options o = {.host = "127.0.0.1", .port = port, .connect_timeout = 0.5};
	struct peer *clear = peer_new(base, o, false), *tls = peer_new(base, o, true);
	mqtt_start(clear->m);
	mqtt_start(tls->m);
	peer_run(base, 0.4);
	assert_int_equal(accepted, 2);
	assert_true(peer_wait(base, &accepted, 4, 5));
	peer_free(clear);
	peer_free(tls);
	event_free(event);
	close(fd);
}

static void stops(struct peer *p, double seconds)
{
	mqtt_stop(p->m);
	assert_int_equal(p->losses, 0);
	if (!peer_wait(base, &p->losses, 1, seconds))
		fail_msg("no MQTT_LOST within %.1f s of the stop", seconds);
	assert_true(mqtt_stopped(p->m));
	int connects = p->connects;
	peer_run(base, 0.15);
	assert_int_equal(p->losses, 1);
	assert_int_equal(p->connects, connects);
}

static void test_a_stop_ends_in_one_lost_in_every_state(void **state)
{
	(void)state;
	const struct mqtt_options hold = {.hold_acks = true, .session_expiry = 600};
	const struct mqtt_options nowhere = {
		.host = "127.0.0.1", .port = free_port(), .reconnect_first = 5, .reconnect_limit = 5};
	int port, fd = listen_on_loopback(&port, 16);
	for (int tls = 0; tls < 2; tls++) {
		struct peer *up = peer_up(base, hold, tls, NULL);
		stops(up, 1);
		mqtt_start(up->m);
		assert_true(peer_wait(base, &up->connects, 2, 5));
		peer_free(up);

		struct peer *held = peer_up(base, hold, tls, "stop");
		peer_publish(base, held, "stop", 0, 1);
		assert_true(peer_wait(base, &held->messages, 1, 5));
		stops(held, 1);
		peer_free(held);

		struct peer *paused = peer_up(base, hold, tls, "stop");
		mqtt_pause(paused->m);
		stops(paused, 1);
		peer_free(paused);

		struct peer *dropped = peer_up(base, hold, tls, NULL);
		mqtt_drop(dropped->m, "and at once");
		stops(dropped, 1);
		peer_free(dropped);

		struct peer *down = peer_new(base, nowhere, tls);
		mqtt_start(down->m);
		peer_run(base, 0.1);
		stops(down, 1);
		peer_free(down);

		struct peer *connecting = peer_new(base, (struct mqtt_options){.host = "127.0.0.1", .port = port}, tls);
		mqtt_start(connecting->m);
		peer_run(base, 0.1);
		stops(connecting, 1);
		peer_free(connecting);

		struct peer *started = peer_new(base, hold, tls);
		mqtt_start(started->m);
		stops(started, 1);
		peer_free(started);
	}
	close(fd);
}

static void test_a_stop_of_what_was_never_started_says_nothing(void **state)
{
	(void)state;
	struct peer *p = peer_new(base, (struct mqtt_options){0}, false);
	assert_true(mqtt_stopped(p->m));
	mqtt_stop(p->m);
	mqtt_drop(p->m, "nothing there");
	mqtt_release(p->m);
	mqtt_resume(p->m);
	mqtt_pause(p->m);
	peer_run(base, 0.05);
	assert_int_equal(p->losses + p->connects + p->released, 0);
	peer_free(p);
}

static void test_a_broker_that_hangs_while_stopping_is_left_after_two_seconds(void **state)
{
	(void)state;
	struct peer *p = peer_up(base, (struct mqtt_options){0}, false, NULL);
	static char bytes[1 << 20];
	broker_pause(true);
	for (int i = 0; i < 8; i++)
		mqtt_publish(p->m, &(struct mqtt_publish){.topic = "x", .payload = bytes, .payload_len = sizeof(bytes)},
			     NULL, NULL);
	stops(p, 3);
	broker_pause(false);
	peer_free(p);
}

static void never(struct mqtt *m, const struct mqtt_event *event, void *arg)
{
	(void)m, (void)event, (void)arg;
	abort();
}

static void write_text(const char *name, const char *text)
{
	FILE *f = fopen(servers_path(name), "w");
	fputs(text, f);
	fclose(f);
}

static void test_bad_options_are_refused_before_anything_is_tried(void **state)
{
	(void)state;
	static const struct {
		const char *host, *client_id, *ca, *cert, *key, *words;
	} bad[] = {
		{"h", "x", "none.crt", "client.crt", "client.key", "none.crt"},
		{"h", "x", "garbage.pem", "client.crt", "client.key", "garbage.pem"},
		{"h", "x", "empty.pem", "client.crt", "client.key", "empty.pem"},
		{"h", "x", "ca.crt", "none.crt", "client.key", "none.crt"},
		{"h", "x", "ca.crt", "garbage.pem", "client.key", "garbage.pem"},
		{"h", "x", "ca.crt", "client.crt", "none.key", "none.key"},
		{"h", "x", "ca.crt", "client.crt", "garbage.pem", "garbage.pem"},
		{"h", "x", "ca.crt", "client.crt", "ca.key", "ca.key"},
		{"h", "x", "ca.crt", "client.crt", NULL, "key"},
		{"h", "x", "ca.crt", NULL, "client.key", "key"},
		{"h", "", "ca.crt", "client.crt", "client.key", "client id"},
		{"h", "\xff\xfe", "ca.crt", "client.crt", "client.key", "client id"},
		{"", "x", "ca.crt", "client.crt", "client.key", "host"},
	};
	write_text("garbage.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
	write_text("empty.pem", "");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const struct mqtt_options o = {.name = "test-mqtt",
					       .host = bad[i].host,
					       .client_id = bad[i].client_id,
					       .ca_file = servers_path(bad[i].ca),
					       .cert_file = bad[i].cert ? servers_path(bad[i].cert) : NULL,
					       .key_file = bad[i].key ? servers_path(bad[i].key) : NULL};
		struct err e = {0};
		struct mqtt *m = mqtt_new(base, &o, never, NULL, &e);
		if (m != NULL || e.code != ERR_CONFIG || strstr(e.detail, bad[i].words) == NULL)
			fail_msg("row %zu: expected '%s', got '%s'", i, bad[i].words, e.detail);
	}
}

static int start_servers(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	mqtt_library_init();
	base = event_base_new();
	broker_start();
	return 0;
}

static int stop_servers(void **state)
{
	(void)state;
	event_base_free(base);
	mqtt_library_cleanup();
	broker_kill();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_refused_port_is_tried_with_back_off),
		cmocka_unit_test(test_a_socket_that_is_not_there_is_tried_with_back_off),
		cmocka_unit_test(test_a_broker_of_another_authority_is_not_trusted),
		cmocka_unit_test(test_a_client_without_certificate_is_told_so_with_back_off),
		cmocka_unit_test(test_a_server_that_speaks_something_else_is_tried_with_back_off),
		cmocka_unit_test(test_a_server_that_resets_the_handshake_is_tried_with_back_off),
		cmocka_unit_test(test_a_silent_tls_server_costs_no_cpu),
		cmocka_unit_test(test_a_stop_ends_in_one_lost_in_every_state),
		cmocka_unit_test(test_a_stop_of_what_was_never_started_says_nothing),
		cmocka_unit_test(test_a_broker_that_hangs_while_stopping_is_left_after_two_seconds),
		cmocka_unit_test(test_bad_options_are_refused_before_anything_is_tried),
		cmocka_unit_test(test_a_server_that_never_answers_is_given_up_in_time_and_tried_again),
	};
	const char *missing = broker_missing();
	if (missing != NULL) {
		print_message("skipped: %s\n", missing);
		return 77;
	}
	return cmocka_run_group_tests(tests, start_servers, stop_servers);
}
