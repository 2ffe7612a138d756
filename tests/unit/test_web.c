/* SPDX-License-Identifier: Apache-2.0
 *
 * Servers that mean no good, or are merely slow, and names that lead elsewhere. The servers are real ones on two
 * loopback addresses, of which one is allowed; names are resolved by this file in place of the C library, so that a
 * name server can be silent or change its mind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <semaphore.h>
#include <stdatomic.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>

#include "core/clock.h"
#include "core/web.h"
#include "servers.h"

#define ALLOWED   "127.0.0.1"
#define FORBIDDEN "127.0.0.2"
#define ENDLESS   (1 << 20) /* bytes of an answer without end: more than anybody may read */

/* ---- names ---- */

static atomic_int asked;   /* how often changing.test was */
static atomic_int waiting; /* threads that wait for silent.test */
static sem_t silence;      /* its end, once for each */

static struct addrinfo *address(const char *text, const char *service, struct addrinfo *next)
{
	struct addrinfo *a = calloc(1, sizeof(*a));
	struct sockaddr_in *sin = calloc(1, sizeof(*sin));
	if (a == NULL || sin == NULL)
		abort();
	sin->sin_family = AF_INET;
	sin->sin_port = htons((uint16_t)strtoul(service, NULL, 10));
	inet_pton(AF_INET, text, &sin->sin_addr);
	*a = (struct addrinfo){.ai_family = AF_INET,
			       .ai_socktype = SOCK_STREAM,
			       .ai_addrlen = sizeof(*sin),
			       .ai_addr = (struct sockaddr *)sin,
			       .ai_next = next};
	return a;
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
	(void)hints;
	if (strcmp(name, "silent.test") == 0) {
		waiting++;
		while (sem_wait(&silence) != 0)
			continue;
		waiting--;
		return EAI_AGAIN;
	}
	if (strcmp(name, "both.test") == 0)
		*out = address(FORBIDDEN, service, address(ALLOWED, service, NULL));
	else if (strcmp(name, "backwards.test") == 0)
		*out = address(ALLOWED, service, address(FORBIDDEN, service, NULL));
	else if (strcmp(name, "changing.test") == 0)
		*out = address(asked++ == 0 ? ALLOWED : FORBIDDEN, service, NULL);
	else
		return EAI_NONAME;
	return 0;
}

void freeaddrinfo(struct addrinfo *a)
{
	while (a != NULL) {
		struct addrinfo *next = a->ai_next;
		free(a->ai_addr);
		free(a);
		a = next;
	}
}

/* ---- servers ---- */

static const struct {
	const char *path, *answer;
	bool endless, silent;
} pages[] = {
	{"/ten", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789", false, false},
	{"/moved", "HTTP/1.1 302 Found\r\nLocation: /ten\r\nContent-Length: 0\r\n\r\n", false, false},
	{"/busy", "HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", false, false},
	{"/body-without-end", "HTTP/1.1 200 OK\r\n\r\n", true, false},
	{"/head-without-end", "HTTP/1.1 200 OK\r\n", true, false},
	{"/broken", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01", false, false},
	{"/silent", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01", false, true},
};
static struct event_base *base;
static struct evconnlistener *listeners[2];
static uint16_t port;
static int connections, forbidden_connections;

static void hang_up(struct bufferevent *bev)
{
	connections--;
	bufferevent_free(bev);
}

static void on_written(struct bufferevent *bev, void *arg)
{
	(void)arg;
	hang_up(bev);
}

static void on_end(struct bufferevent *bev, short what, void *arg)
{
	(void)what, (void)arg;
	hang_up(bev);
}

static void serve(struct bufferevent *bev, const char *answer, bool endless, bool silent)
{
	static const char field[] = "X-More: of it, and more\r\n";
	struct evbuffer *out = bufferevent_get_output(bev);
	evbuffer_add(out, answer, strlen(answer));
	for (size_t i = 0; endless && i < ENDLESS; i += sizeof(field) - 1)
		evbuffer_add(out, field, sizeof(field) - 1);
	bufferevent_setcb(bev, NULL, silent ? NULL : on_written, on_end, NULL);
}

static void on_request(struct bufferevent *bev, void *arg)
{
	struct evbuffer *in = bufferevent_get_input(bev);
	size_t len = evbuffer_get_length(in);
	const char *text = (const char *)evbuffer_pullup(in, -1);
	(void)arg;
	const char *path = memchr(text, ' ', len);
	for (size_t i = 0; path != NULL && i < sizeof(pages) / sizeof(pages[0]); i++)
		if (strncmp(path + 1, pages[i].path, strlen(pages[i].path)) == 0)
			serve(bev, pages[i].answer, pages[i].endless, pages[i].silent);
	evbuffer_drain(in, len);
}

static void on_connection(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *sa, int len, void *arg)
{
	(void)sa, (void)len, (void)arg;
	connections++;
	forbidden_connections += l == listeners[1];
	struct bufferevent *bev = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
	bufferevent_setcb(bev, on_request, NULL, on_end, NULL);
	bufferevent_enable(bev, EV_READ | EV_WRITE);
}

static struct evconnlistener *listener(const char *text)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(port)};
	inet_pton(AF_INET, text, &sin.sin_addr);
	struct evconnlistener *l =
		evconnlistener_new_bind(base, on_connection, NULL, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE, -1,
					(struct sockaddr *)&sin, sizeof(sin));
	assert_non_null(l);
	socklen_t len = sizeof(sin);
	assert_int_equal(getsockname(evconnlistener_get_fd(l), (struct sockaddr *)&sin, &len), 0);
	port = ntohs(sin.sin_port);
	return l;
}

static int start(void **state)
{
	(void)state;
	sem_init(&silence, 0, 0);
	base = event_base_new();
	listeners[0] = listener(ALLOWED);
	listeners[1] = listener(FORBIDDEN);
	return 0;
}

static bool nobody_is_connected(void *arg)
{
	(void)arg;
	return connections == 0;
}

static int end(void **state)
{
	(void)state;
	assert_true(loop_until(base, nobody_is_connected, NULL, 20));
	evconnlistener_free(listeners[0]);
	evconnlistener_free(listeners[1]);
	event_base_free(base);
	return 0;
}

/* ---- requests ---- */

static struct networks allowed;
static struct web_answer last;
static char body[64];
static int answers;

static void on_answer(const struct web_answer *a, void *arg)
{
	(void)arg;
	last = *a;
	memcpy(body, a->body != NULL ? a->body : "", a->body_len < sizeof(body) ? a->body_len : 0);
	answers++;
}

static struct web *web(bool allow_http)
{
	const struct web_options options = {.ca = "", .allowed = &allowed, .allow_http = allow_http};
	struct err e = {0};
	assert_true(networks_parse(ALLOWED, &allowed, &e));
	return web_new(base, &options, on_answer, NULL);
}

static void send_to(struct web *w, const char *scheme, const char *host, const char *path, double timeout, size_t most)
{
	char url[128];
	snprintf(url, sizeof(url), "%s://%s:%d%s", scheme, host, port, path);
	const struct web_request r = {.number = answers, .url = url, .timeout = timeout, .most = most};
	web_send(w, &r);
}

static bool answered(void *arg)
{
	return answers >= *(const int *)arg;
}

static const struct web_answer *ask(struct web *w, const char *scheme, const char *host, const char *path,
				    double timeout, size_t most)
{
	int until = answers + 1;
	send_to(w, scheme, host, path, timeout, most);
	assert_true(loop_until(base, answered, &until, 20));
	assert_int_equal(web_count(w), 0);
	return &last;
}

static const struct web_answer *get(const char *path, size_t most)
{
	struct web *w = web(true);
	ask(w, "http", ALLOWED, path, 10, most);
	web_free(&w);
	return &last;
}

/* ---- claims ---- */

static void test_a_body_comes_whole_and_one_byte_too_many_is_a_failure(void **state)
{
	(void)state;
	assert_int_equal(get("/ten", 10)->status, 200);
	assert_int_equal(last.body_len, 10);
	assert_memory_equal(body, "0123456789", 10);
	assert_int_equal(get("/ten", 9)->status, 0);
	assert_null(last.body);
	assert_string_equal(last.why, "the answer is longer than 9 bytes");
}

static void test_an_answer_that_breaks_off_is_none(void **state)
{
	(void)state;
	assert_int_equal(get("/broken", 100)->status, 0);
	assert_null(last.body);
	assert_true(last.why[0] != '\0');
}

static void test_an_answer_without_end_is_not_read_to_its_end(void **state)
{
	(void)state;
	assert_int_equal(get("/body-without-end", 0)->status, 200);
	assert_string_equal(last.why, "");
	assert_int_equal(get("/body-without-end", 1000)->status, 0);
	assert_int_equal(get("/head-without-end", 0)->status, 0);
	assert_string_equal(last.why, "the answer is longer than 65536 bytes");
}

static void test_a_redirect_is_an_answer_and_not_followed(void **state)
{
	(void)state;
	assert_int_equal(get("/moved", 100)->status, 302);
	assert_int_equal(last.body_len, 0);
}

static void test_the_wait_that_a_server_asks_for_is_told(void **state)
{
	(void)state;
	assert_int_equal(get("/busy", 0)->status, 503);
	assert_true(last.wait == 7);
}

static void test_a_server_that_is_slow_costs_its_time_and_no_more(void **state)
{
	struct web *w = web(true);
	(void)state;
	assert_int_equal(ask(w, "http", ALLOWED, "/silent", 0.3, 100)->status, 0);
	assert_true(last.took >= 0.2);
	assert_false(last.refused);
	web_free(&w);
}

static void test_what_is_not_https_is_refused_unless_http_is_allowed(void **state)
{
	struct web *w = web(false), *clear = web(true);
	(void)state;
	assert_true(ask(w, "http", ALLOWED, "/ten", 10, 100)->refused);
	assert_true(ask(clear, "file", "", "/etc/passwd", 10, 100)->refused);
	assert_true(ask(clear, "gopher", ALLOWED, "/ten", 10, 100)->refused);
	web_free(&w);
	web_free(&clear);
}

static void test_an_address_that_is_not_allowed_is_never_connected_to(void **state)
{
	static const char *const hosts[] = {FORBIDDEN, "2130706434", "0x7f.0.0.2", "[::ffff:127.0.0.2]", "[::1]", "0"};
	struct web *w = web(true);
	(void)state;
	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
		if (!ask(w, "http", hosts[i], "/ten", 10, 100)->refused)
			fail_msg("%s is not refused: %s", hosts[i], last.why);
		assert_string_equal(last.why, "its address is not allowed");
	}
	assert_int_equal(forbidden_connections, 0);
	web_free(&w);
}

static void test_one_of_a_names_addresses_that_is_allowed_is_enough(void **state)
{
	struct web *w = web(true);
	(void)state;
	assert_int_equal(ask(w, "http", "both.test", "/ten", 10, 100)->status, 200);
	assert_int_equal(forbidden_connections, 0);
	/* Nobody is there now: what goes wrong with it may go well another time. */
	const uint16_t listening = port;
	port = (uint16_t)free_port();
	assert_false(ask(w, "http", "backwards.test", "/ten", 10, 100)->refused);
	assert_int_equal(last.status, 0);
	port = listening;
	web_free(&w);
}

static void test_a_name_that_changes_its_address_is_refused_from_then_on(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct web *w = web(true); /* each with a cache of its own */
		assert_int_equal(ask(w, "http", "changing.test", "/ten", 10, 100)->refused, i == 1);
		web_free(&w);
	}
	assert_int_equal(asked, 2);
	assert_int_equal(forbidden_connections, 0);
}

static bool nobody_waits(void *arg)
{
	(void)arg;
	return waiting == 0;
}

static void test_a_name_server_that_is_silent_holds_up_nobody(void **state)
{
	struct web *w = web(true);
	double began = clock_seconds();
	int until = answers + 4;
	(void)state;
	for (int i = 0; i < 4; i++)
		send_to(w, "http", "silent.test", "/ten", 0.3, 100);
	assert_true(loop_until(base, answered, &until, 20));
	assert_int_equal(last.status, 0);
	assert_false(last.refused);
	assert_int_equal(ask(w, "http", ALLOWED, "/ten", 10, 100)->status, 200);
	web_free(&w);
	assert_int_equal(waiting, 4);
	assert_true(clock_seconds() - began < 15);
	for (int i = 0; i < 4; i++)
		sem_post(&silence);
	assert_true(loop_until(base, nobody_waits, NULL, 20));
}

static void test_what_is_under_way_is_dropped_without_a_callback(void **state)
{
	struct web *w = web(true);
	int before = answers;
	(void)state;
	send_to(w, "http", ALLOWED, "/silent", 10, 100);
	assert_int_equal(web_count(w), 1);
	event_base_loop(base, EVLOOP_NONBLOCK);
	web_free(&w);
	assert_null(w);
	assert_int_equal(answers, before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_body_comes_whole_and_one_byte_too_many_is_a_failure),
		cmocka_unit_test(test_an_answer_that_breaks_off_is_none),
		cmocka_unit_test(test_an_answer_without_end_is_not_read_to_its_end),
		cmocka_unit_test(test_a_redirect_is_an_answer_and_not_followed),
		cmocka_unit_test(test_the_wait_that_a_server_asks_for_is_told),
		cmocka_unit_test(test_a_server_that_is_slow_costs_its_time_and_no_more),
		cmocka_unit_test(test_what_is_not_https_is_refused_unless_http_is_allowed),
		cmocka_unit_test(test_an_address_that_is_not_allowed_is_never_connected_to),
		cmocka_unit_test(test_one_of_a_names_addresses_that_is_allowed_is_enough),
		cmocka_unit_test(test_a_name_that_changes_its_address_is_refused_from_then_on),
		cmocka_unit_test(test_a_name_server_that_is_silent_holds_up_nobody),
		cmocka_unit_test(test_what_is_under_way_is_dropped_without_a_callback),
	};
	return cmocka_run_group_tests(tests, start, end);
}
