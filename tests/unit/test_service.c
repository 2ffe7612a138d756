/* SPDX-License-Identifier: Apache-2.0
 *
 * The life of a daemon: its command line, its signals, its readiness, and the window that shows them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <event2/bufferevent.h>
#include <event2/buffer.h>

#include "capture.h"
#include "core/monitor.h"
#include "core/service.h"
#include "servers.h"

struct values {
	struct service_config service;
	int64_t lanes;
};

static const struct config_item items[] = {
	SERVICE_CONFIG_ITEMS("x", ""),
	{"x.lanes", CONFIG_INT, offsetof(struct values, lanes), "2", 1, 64, true, false, "how many lanes"},
};
static const struct metric_def metrics[] = {{"x_seen_total", METRIC_COUNTER, "Seen.", NULL}};
static struct values v;
static const struct service_spec spec = {"coldfleet-x", "tests services", items, sizeof(items) / sizeof(items[0]), &v,
					 sizeof(v),     metrics,          1};
static struct service *s;
static int stops, reloads;

static enum service_start start(const char *const *words)
{
	char *argv[16];
	int argc = 0;
	static char name[] = "coldfleet-x";
	argv[argc++] = name;
	for (; *words != NULL; words++)
		argv[argc++] = strdup(*words);
	argv[argc] = NULL;
	enum service_start outcome = service_new(&spec, argc, argv, &s);
	while (argc > 1)
		free(argv[--argc]);
	return outcome;
}
#define START(...) start((const char *const[]){__VA_ARGS__, NULL})

static const char *said(int fd, enum service_start expected, enum service_start (*run)(void))
{
	capture_start(fd);
	enum service_start outcome = run();
	const char *text = capture_end(fd);
	if (outcome != expected)
		fail_msg("outcome %d: %s", (int)outcome, text);
	assert_null(s);
	return text;
}

static enum service_start run_help(void)
{
	return START("--help");
}
static enum service_start run_version(void)
{
	return START("--version");
}
static enum service_start run_help_config(void)
{
	return START("--help-config");
}
static enum service_start run_check(void)
{
	return START("--set", "x.lanes=7", "--check-config", "--config", servers_path("x.ini"));
}
static enum service_start run_bad_set(void)
{
	return START("--set", "x.lanes=700");
}
static enum service_start run_bad_option(void)
{
	return START("--nonsense");
}
static enum service_start run_argument(void)
{
	return START("stray");
}
static enum service_start run_no_file(void)
{
	return START("--config", "/nonexistent/x.ini");
}
static enum service_start run_bad_monitor(void)
{
	return START("--set", "x.monitor=0.0.0.0:9641");
}

static void write_config(const char *text)
{
	FILE *f = fopen(servers_path("x.ini"), "w");
	fputs(text, f);
	fclose(f);
}

static void test_what_was_asked_for_is_printed_and_nothing_is_started(void **state)
{
	(void)state;
	assert_non_null(strstr(said(1, SERVICE_EXIT_OK, run_help), "--check-config"));
	assert_string_equal(said(1, SERVICE_EXIT_OK, run_version), "coldfleet-x " COLDFLEET_VERSION "\n");
	const char *example = said(1, SERVICE_EXIT_OK, run_help_config);
	assert_non_null(strstr(example, "[x]\n"));
	assert_non_null(strstr(example, "# how many lanes (SIGHUP re-reads it)\n;lanes = 2\n"));
}

static void test_check_config_shows_what_is_in_force_and_where_it_came_from(void **state)
{
	(void)state;
	char line[200];
	write_config("[x]\nlanes = 3\nlog_level = warn\n");
	const char *shown = said(1, SERVICE_EXIT_OK, run_check);
	snprintf(line, sizeof(line), "x.log_level = warn    # %s:3\n", servers_path("x.ini"));
	assert_non_null(strstr(shown, line));
	assert_non_null(strstr(shown, "x.lanes = 7    # --set\n"));
	assert_non_null(strstr(shown, "x.stop_timeout = 20s    # default\n"));
	write_config("[x]\nlanes = many\n");
	assert_non_null(strstr(said(2, SERVICE_EXIT_USAGE, run_check), "x.ini:2: x.lanes: expected a whole number"));
}

static void test_a_wrong_command_line_is_refused_in_words(void **state)
{
	(void)state;
	assert_non_null(strstr(said(2, SERVICE_EXIT_USAGE, run_bad_set), "--set: x.lanes: 700 is out of bounds"));
	assert_non_null(strstr(said(2, SERVICE_EXIT_USAGE, run_bad_option), "nonsense"));
	assert_non_null(strstr(said(2, SERVICE_EXIT_USAGE, run_argument), "unexpected argument 'stray'"));
	assert_non_null(strstr(said(2, SERVICE_EXIT_USAGE, run_no_file), "/nonexistent/x.ini: cannot be read"));
	assert_non_null(strstr(said(2, SERVICE_EXIT_USAGE, run_bad_monitor), "0.0.0.0:9641 is not a loopback address"));
}

/* ---- running ---- */

static void on_stop(void *arg)
{
	stops++;
	if (arg != NULL)
		service_stopped(s);
}

static void on_reload(void *arg)
{
	(void)arg;
	reloads++;
	raise(SIGTERM);
}

static void raise_signal(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	raise(*(int *)arg);
}

static void raise_later(int *sig)
{
	event_base_once(service_base(s), -1, EV_TIMEOUT, raise_signal, sig, NULL);
}

static void run_begin(void)
{
	write_config("[x]\nlanes = 3\n");
	stops = reloads = 0;
	assert_int_equal(START("--config", servers_path("x.ini"), "--set", "x.stop_timeout=300ms"), SERVICE_RUN);
}

static void test_sigterm_asks_once_for_a_stop_and_ends_with_0(void **state)
{
	(void)state;
	int sig = SIGTERM;
	run_begin();
	service_on_stop(s, on_stop, s);
	raise_later(&sig);
	raise_later(&sig);
	capture_start(2);
	int status = service_run(s);
	capture_end(2);
	assert_int_equal(status, 0);
	assert_int_equal(stops, 1);
	service_free(&s);
	assert_null(s);
}

static void test_a_stop_that_hangs_ends_with_1_after_its_timeout(void **state)
{
	(void)state;
	int sig = SIGINT;
	run_begin();
	service_on_stop(s, on_stop, NULL);
	raise_later(&sig);
	capture_start(2);
	int status = service_run(s);
	const char *log = capture_end(2);
	assert_int_equal(status, 1);
	assert_int_equal(stops, 1);
	assert_non_null(strstr(log, "graceful stop did not end"));
	service_free(&s);
}

static void test_sighup_takes_over_what_may_change(void **state)
{
	(void)state;
	int sig = SIGHUP;
	run_begin();
	service_on_reload(s, on_reload, NULL);
	write_config("[x]\nlanes = 9\nlog_level = error\n");
	raise_later(&sig);
	capture_start(2);
	int status = service_run(s);
	capture_end(2);
	assert_int_equal(status, 0);
	assert_int_equal(reloads, 1);
	assert_int_equal(v.lanes, 9);
	assert_int_equal(log_level_get(), LOG_LEVEL_ERROR);
	service_free(&s);
	log_level_set(LOG_LEVEL_INFO);
}

static void test_the_service_is_ready_when_every_part_is_up(void **state)
{
	(void)state;
	char why[100], path[100];
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	snprintf(path, sizeof(path), "%s", servers_path("notify"));
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	setenv("NOTIFY_SOCKET", path, 1);
	run_begin();
	capture_start(2);
	size_t database = service_part(s, "database"), broker = service_part(s, "broker");
	assert_false(service_ready(s, why, sizeof(why)));
	assert_string_equal(why, "database is down");
	service_part_up(s, database, true);
	assert_false(service_ready(s, why, sizeof(why)));
	assert_string_equal(why, "broker is down");
	service_part_up(s, broker, true);
	assert_true(service_ready(s, NULL, 0));
	service_part_up(s, database, false);
	assert_false(service_ready(s, NULL, 0));
	service_part_up(s, database, true);
	capture_end(2);
	int ready = 0;
	char text[512];
	for (ssize_t n; (n = recv(fd, text, sizeof(text) - 1, 0)) > 0;) {
		text[n] = '\0';
		ready += strstr(text, "READY=1") != NULL;
	}
	assert_int_equal(ready, 1);
	service_stop(s);
	assert_false(service_ready(s, why, sizeof(why)));
	assert_string_equal(why, "stopping");
	unsetenv("NOTIFY_SOCKET");
	close(fd);
	service_free(&s);
}

/* ---- the monitor ---- */

static char answer[65536];

static void on_end(struct bufferevent *bev, short what, void *arg)
{
	int n = (int)bufferevent_read(bev, answer, sizeof(answer) - 1);
	answer[n] = '\0';
	*(bool *)arg = (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)) != 0;
}

static bool is_set(void *arg)
{
	return *(bool *)arg;
}

/* Sends the request, waits for the end of the connection, returns all that came. */
static const char *ask(const struct sockaddr *addr, int len, const char *request)
{
	bool ended = false;
	struct bufferevent *bev = bufferevent_socket_new(service_base(s), -1, BEV_OPT_CLOSE_ON_FREE);
	bufferevent_setcb(bev, NULL, NULL, on_end, &ended);
	bufferevent_enable(bev, EV_READ | EV_WRITE);
	evbuffer_add(bufferevent_get_output(bev), request, strlen(request));
	assert_int_equal(bufferevent_socket_connect(bev, addr, len), 0);
	assert_true(loop_until(service_base(s), is_set, &ended, 5));
	bufferevent_free(bev);
	return answer;
}

static struct sockaddr_un socket_address(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", servers_path("m.sock"));
	return addr;
}

static const char *ask_socket(const char *request)
{
	struct sockaddr_un addr = socket_address();
	return ask((struct sockaddr *)&addr, sizeof(addr), request);
}

static enum service_start start_monitor(void)
{
	char assignment[160];
	snprintf(assignment, sizeof(assignment), "x.monitor=unix:%s", servers_path("m.sock"));
	return START("--set", assignment);
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

static void test_the_window_shows_health_readiness_and_metrics_on_a_unix_socket(void **state)
{
	(void)state;
	struct stat st;
	assert_int_equal(start_monitor(), SERVICE_RUN);
	assert_int_equal(stat(servers_path("m.sock"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0660);
	assert_non_null(strstr(ask_socket(GET("/healthz")), "HTTP/1.1 200 OK"));
	size_t part = service_part(s, "database");
	assert_non_null(strstr(ask_socket(GET("/readyz")), "503 Service Unavailable"));
	assert_non_null(strstr(answer, "\r\n\r\ndatabase is down\n"));
	service_part_up(s, part, true);
	assert_non_null(strstr(ask_socket(GET("/readyz")), "HTTP/1.1 200 OK"));
	metric_add(service_metrics(s), 0, 42);
	assert_non_null(strstr(ask_socket(GET("/metrics")), "\nx_seen_total 42\n"));
	assert_non_null(strstr(answer, "Content-Type: text/plain; version=0.0.4"));
	assert_non_null(strstr(ask_socket(GET("/")), "404"));
	assert_null(strstr(
		ask_socket("POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
		"200 OK"));
	service_free(&s);
	assert_int_not_equal(stat(servers_path("m.sock"), &st), 0);
}

static void test_a_stale_socket_is_replaced_and_a_live_one_is_not(void **state)
{
	(void)state;
	struct sockaddr_un addr = socket_address();
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	close(fd);
	assert_int_equal(start_monitor(), SERVICE_RUN);
	char where[160];
	struct err e = {0};
	snprintf(where, sizeof(where), "unix:%s", servers_path("m.sock"));
	assert_null(monitor_new(s, where, &e));
	assert_non_null(strstr(e.detail, "somebody listens there already"));
	assert_non_null(strstr(ask_socket(GET("/healthz")), "200 OK"));
	service_free(&s);
}

static void test_a_file_in_the_way_is_left_alone(void **state)
{
	(void)state;
	FILE *f = fopen(servers_path("m.sock"), "w");
	fputs("precious", f);
	fclose(f);
	assert_non_null(strstr(said(2, SERVICE_EXIT_USAGE, start_monitor), "cannot listen on"));
	assert_int_equal(access(servers_path("m.sock"), F_OK), 0);
	unlink(servers_path("m.sock"));
}

static void test_the_window_takes_loopback_addresses_only(void **state)
{
	(void)state;
	static const char *const bad[] = {"unix:",   "unix:relative.sock", "10.0.0.1:80", "localhost:80",   "127.0.0.1",
					  "[::]:80", "0.0.0.0:80",         "::1",         "127.0.0.1:99999"};
	assert_int_equal(start_monitor(), SERVICE_RUN);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct err e = {0};
		struct monitor *m = monitor_new(s, bad[i], &e);
		if (m != NULL || strstr(e.detail, "monitor: ") == NULL)
			fail_msg("%s was taken", bad[i]);
	}
	char where[32];
	struct err e = {0};
	int port = free_port();
	snprintf(where, sizeof(where), "127.0.0.1:%d", port);
	struct monitor *m = monitor_new(s, where, &e);
	assert_non_null(m);
	struct sockaddr_in sin = {
		.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	assert_non_null(strstr(ask((struct sockaddr *)&sin, sizeof(sin), GET("/healthz")), "200 OK"));
	assert_null(monitor_new(s, where, &e));
	monitor_free(&m);
	service_free(&s);
}

static void test_a_head_without_end_is_refused(void **state)
{
	(void)state;
	static char request[20000];
	memset(request, 'a', sizeof(request) - 1);
	memcpy(request, "GET /healthz HTTP/1.1\r\nX: ", 26);
	assert_int_equal(start_monitor(), SERVICE_RUN);
	assert_null(strstr(ask_socket(request), "200 OK"));
	assert_non_null(strstr(ask_socket(GET("/healthz")), "200 OK"));
	service_free(&s);
}

static void test_a_daemon_out_of_descriptors_sheds_connections_and_stays_calm(void **state)
{
	(void)state;
	struct sockaddr_un addr = socket_address();
	struct rlimit before, tight;
	static bool never;
	int fds[5];
	assert_int_equal(start_monitor(), SERVICE_RUN);
	for (int i = 0; i < 5; i++) {
		fds[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_int_equal(connect(fds[i], (struct sockaddr *)&addr, sizeof(addr)), 0);
	}
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	tight = before;
	tight.rlim_cur = (rlim_t)fds[4] + 1;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
	clock_t cpu = clock();
	loop_until(service_base(s), is_set, &never, 0.5);
	cpu = clock() - cpu;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_true(cpu < CLOCKS_PER_SEC / 10);
	for (int i = 0; i < 5; i++)
		close(fds[i]);
	assert_non_null(strstr(ask_socket(GET("/healthz")), "200 OK"));
	service_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_was_asked_for_is_printed_and_nothing_is_started),
		cmocka_unit_test(test_check_config_shows_what_is_in_force_and_where_it_came_from),
		cmocka_unit_test(test_a_wrong_command_line_is_refused_in_words),
		cmocka_unit_test(test_sigterm_asks_once_for_a_stop_and_ends_with_0),
		cmocka_unit_test(test_a_stop_that_hangs_ends_with_1_after_its_timeout),
		cmocka_unit_test(test_sighup_takes_over_what_may_change),
		cmocka_unit_test(test_the_service_is_ready_when_every_part_is_up),
		cmocka_unit_test(test_the_window_shows_health_readiness_and_metrics_on_a_unix_socket),
		cmocka_unit_test(test_a_stale_socket_is_replaced_and_a_live_one_is_not),
		cmocka_unit_test(test_a_file_in_the_way_is_left_alone),
		cmocka_unit_test(test_the_window_takes_loopback_addresses_only),
		cmocka_unit_test(test_a_head_without_end_is_refused),
		cmocka_unit_test(test_a_daemon_out_of_descriptors_sheds_connections_and_stays_calm),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
