/* SPDX-License-Identifier: Apache-2.0
 *
 * The connection to PostgreSQL against a real server: segments are transactions, every callback comes exactly once, and
 * whatever the server does - hang, refuse, die - ends in words and a reconnect. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "capture.h"
#include "core/db.h"
#include "servers.h"

static const struct statement st_put = {"put", "INSERT INTO thing VALUES ($1::int)", 1};
static const struct statement st_count = {"count", "SELECT count(*) FROM thing WHERE n = $1::int", 1};
static const struct statement st_divide = {"divide", "SELECT 100 / $1::int", 1};
static const struct statement st_later = {"later", "INSERT INTO later VALUES ($1::int)", 1};
static const struct statement st_pid = {"pid", "SELECT pg_backend_pid()", 0};
static const struct statement st_sleep = {"sleep", "SELECT pg_sleep($1::float8)", 1};
static const struct statement st_echo = {"echo", "SELECT $1::text", 1};
static const struct statement *const statements[] = {&st_put, &st_count, &st_divide, &st_later,
						     &st_pid, &st_sleep, &st_echo};
static const struct statement st_missing = {"missing", "SELECT * FROM not_there_yet", 0};
static const struct statement *const only_missing[] = {&st_missing};

static struct event_base *base;

struct client {
	struct db *db;
	int ups, losses, notices;
	char text[256]; /* of the last event that had one */
};

/* What became of one segment. */
struct segment {
	struct client *client;
	int results, nulls, fatal, aborted, ends;
	long value; /* first field of the last row */
	bool ok;
	enum err_code code;
	char sqlstate[6], detail[256];
};

static void on_event(struct db *db, enum db_event event, const char *text, void *arg)
{
	struct client *c = arg;
	(void)db;
	c->ups += event == DB_UP;
	c->losses += event == DB_LOST;
	c->notices += event == DB_NOTIFY;
	if (text != NULL)
		snprintf(c->text, sizeof(c->text), "%s", text);
}

static void on_result(struct db *db, const PGresult *res, void *arg)
{
	struct segment *s = arg;
	(void)db;
	s->results++;
	s->nulls += res == NULL;
	s->fatal += res != NULL && PQresultStatus(res) == PGRES_FATAL_ERROR;
	s->aborted += res != NULL && PQresultStatus(res) == PGRES_PIPELINE_ABORTED;
	if (res != NULL && PQntuples(res) == 1)
		s->value = strtol(PQgetvalue(res, 0, 0), NULL, 10);
}

static void on_end(struct db *db, bool ok, const char *sqlstate, const struct err *e, void *arg)
{
	struct segment *s = arg;
	(void)db;
	s->ends++;
	s->ok = ok;
	s->code = e->code;
	snprintf(s->sqlstate, sizeof(s->sqlstate), "%s", sqlstate);
	snprintf(s->detail, sizeof(s->detail), "%s", e->detail);
}

static bool is_up(void *arg)
{
	const struct client *c = arg;
	return db_up(c->db);
}

static bool is_lost(void *arg)
{
	const struct client *c = arg;
	return c->losses > 0;
}

static bool has_notice(void *arg)
{
	const struct client *c = arg;
	return c->notices > 0;
}

static bool has_ended(void *arg)
{
	const struct segment *s = arg;
	return s->ends > 0;
}

static struct client *client_new(struct db_options options)
{
	struct client *c = calloc(1, sizeof(*c));
	if (options.conninfo == NULL)
		options.conninfo = postgres_conninfo();
	if (options.statements == NULL) {
		options.statements = statements;
		options.statement_count = sizeof(statements) / sizeof(statements[0]);
	}
	options.name = "test-db";
	c->db = db_new(base, &options, on_event, c);
	return c;
}

static struct client *client_up(struct db_options options)
{
	struct client *c = client_new(options);
	db_start(c->db);
	assert_true(loop_until(base, is_up, c, 10));
	return c;
}

static void client_free(struct client *c)
{
	db_free(&c->db);
	assert_null(c->db);
	free(c);
}

static void ask_for(struct segment *s, const struct statement *st, const char *value)
{
	const struct db_params params = {.count = st->params, .values = &value};
	assert_true(db_query(s->client->db, st, &params, on_result, s));
}

static void commit(struct segment *s)
{
	assert_true(db_commit(s->client->db, on_end, s));
}

static void finish(struct segment *s)
{
	assert_true(loop_until(base, has_ended, s, 20));
	assert_int_equal(s->ends, 1);
}

static long ask(struct client *c, const struct statement *st, const char *value)
{
	struct segment s = {.client = c};
	ask_for(&s, st, value);
	commit(&s);
	finish(&s);
	assert_true(s.ok);
	return s.value;
}

static void test_a_segment_takes_effect_whole_or_not_at_all(void **state)
{
	(void)state;
	struct client *c = client_up((struct db_options){0});
	struct segment bad = {.client = c}, good = {.client = c};
	ask_for(&bad, &st_put, "1");
	ask_for(&bad, &st_divide, "0");
	ask_for(&bad, &st_put, "1");
	commit(&bad);
	ask_for(&good, &st_put, "2");
	ask_for(&good, &st_put, "2");
	commit(&good);
	finish(&bad);
	finish(&good);
	assert_false(bad.ok);
	assert_int_equal(bad.code, ERR_DB_REFUSED);
	assert_string_equal(bad.sqlstate, "22012");
	assert_non_null(strstr(bad.detail, "division by zero"));
	assert_int_equal(bad.results, 3);
	assert_int_equal(bad.fatal, 1);
	assert_int_equal(bad.aborted, 1);
	assert_true(good.ok);
	assert_int_equal(ask(c, &st_count, "1"), 0);
	assert_int_equal(ask(c, &st_count, "2"), 2);
	assert_int_equal(db_in_flight(c->db), 0);
	client_free(c);
}

static void test_a_constraint_that_fails_at_the_commit_is_a_refusal_and_no_loss(void **state)
{
	(void)state;
	struct client *c = client_up((struct db_options){.reply_timeout = 5});
	long pid = ask(c, &st_pid, NULL);
	struct segment bad = {.client = c}, good = {.client = c};
	ask_for(&bad, &st_put, "30");
	ask_for(&bad, &st_later, "7");
	ask_for(&bad, &st_later, "7");
	commit(&bad);
	ask_for(&good, &st_put, "31");
	commit(&good);
	finish(&bad);
	finish(&good);
	assert_false(bad.ok);
	assert_int_equal(bad.code, ERR_DB_REFUSED);
	assert_string_equal(bad.sqlstate, "23505");
	assert_true(good.ok);
	assert_int_equal(ask(c, &st_count, "30"), 0);
	assert_int_equal(ask(c, &st_count, "31"), 1);
	assert_int_equal(ask(c, &st_pid, NULL), pid);
	assert_int_equal(c->losses, 0);
	client_free(c);
}

static void test_a_lone_segment_that_fails_at_the_commit_ends_at_once(void **state)
{
	(void)state;
	struct client *c = client_up((struct db_options){.reply_timeout = 30});
	struct segment s = {.client = c};
	ask_for(&s, &st_later, "8");
	ask_for(&s, &st_later, "8");
	commit(&s);
	assert_true(loop_until(base, has_ended, &s, 5));
	assert_string_equal(s.sqlstate, "23505");
	client_free(c);
}

static void test_a_lost_server_fails_what_is_in_flight_and_is_found_again(void **state)
{
	(void)state;
	struct client *c = client_up((struct db_options){0});
	struct segment first = {.client = c}, second = {.client = c};
	ask_for(&first, &st_sleep, "30");
	ask_for(&first, &st_put, "40");
	commit(&first);
	ask_for(&second, &st_put, "41");
	commit(&second);
	postgres_kill();
	finish(&first);
	assert_int_equal(second.ends, 1);
	assert_int_equal(first.results, 2);
	assert_true(first.nulls >= 1);
	assert_int_equal(second.nulls, 1);
	assert_false(first.ok || second.ok);
	assert_int_equal(second.code, ERR_DB_LOST);
	assert_string_equal(second.sqlstate, "");
	assert_true(loop_until(base, is_lost, c, 5));
	assert_false(db_up(c->db));
	assert_int_equal(db_in_flight(c->db), 0);
	assert_false(db_query(c->db, &st_pid, NULL, on_result, &first));
	assert_false(db_commit(c->db, on_end, &first));
	postgres_start();
	assert_true(loop_until(base, is_up, c, 15));
	assert_int_equal(c->ups, 2);
	assert_int_equal(c->losses, 1);
	assert_int_equal(ask(c, &st_divide, "5"), 20);
	client_free(c);
}

static void test_a_notification_arrives_while_nothing_is_in_flight(void **state)
{
	(void)state;
	struct client *c = client_up((struct db_options){.setup = "LISTEN fleet_device"});
	postgres_sql("NOTIFY fleet_device");
	assert_true(loop_until(base, has_notice, c, 5));
	assert_string_equal(c->text, "fleet_device");
	client_free(c);
}

static void test_a_table_that_is_missing_at_first_is_reported_and_tried_again(void **state)
{
	(void)state;
	struct client *c = client_new((struct db_options){.statements = only_missing, .statement_count = 1});
	capture_start(2);
	db_start(c->db);
	loop_until(base, is_up, c, 0.7);
	const char *log = capture_end(2);
	assert_non_null(strstr(log, "schema does not fit"));
	assert_non_null(strstr(log, "not_there_yet"));
	assert_int_equal(c->ups, 0);
	postgres_sql("CREATE TABLE not_there_yet (n int)");
	assert_true(loop_until(base, is_up, c, 10));
	assert_int_equal(c->losses, 0);
	client_free(c);
}

static void test_a_drop_calls_nobody_back_inside_the_call(void **state)
{
	(void)state;
	struct client *c = client_up((struct db_options){0});
	struct segment s = {.client = c};
	ask_for(&s, &st_sleep, "5");
	commit(&s);
	db_drop(c->db, "the test says so");
	assert_int_equal(s.results + s.ends + c->losses, 0);
	assert_false(db_up(c->db));
	assert_true(loop_until(base, is_lost, c, 1));
	assert_string_equal(c->text, "the test says so");
	assert_int_equal(s.nulls, 1);
	assert_int_equal(s.code, ERR_DB_LOST);
	assert_true(loop_until(base, is_up, c, 5));
	client_free(c);
}

static void drop_in_result(struct db *db, const PGresult *res, void *arg)
{
	on_result(db, res, arg);
	db_drop(db, "dropped in a result");
}

static void test_a_drop_inside_a_result_fails_the_rest_of_the_segment(void **state)
{
	(void)state;
	struct client *c = client_up((struct db_options){0});
	struct segment s = {.client = c};
	assert_true(db_query(c->db, &st_pid, NULL, drop_in_result, &s));
	ask_for(&s, &st_pid, NULL);
	commit(&s);
	finish(&s);
	assert_int_equal(s.results, 2);
	assert_int_equal(s.nulls, 1);
	assert_int_equal(s.code, ERR_DB_LOST);
	assert_true(loop_until(base, is_up, c, 5));
	client_free(c);
}

static void test_a_server_that_hangs_is_dropped_after_reply_timeout(void **state)
{
	(void)state;
	struct client *c = client_up((struct db_options){.reply_timeout = 0.3});
	assert_int_equal(ask(c, &st_divide, "5"), 20);
	struct segment s = {.client = c};
	ask_for(&s, &st_sleep, "30");
	commit(&s);
	assert_true(loop_until(base, has_ended, &s, 2));
	assert_int_equal(s.code, ERR_DB_LOST);
	assert_non_null(strstr(s.detail, "reply_timeout"));
	assert_true(loop_until(base, is_up, c, 5));
	/* An idle connection owes no reply. */
	assert_false(loop_until(base, is_lost, &(struct client){0}, 0.6));
	assert_int_equal(c->losses, 1);
	client_free(c);
}

static void test_two_thousand_queries_in_flight_do_not_fill_both_sockets_for_ever(void **state)
{
	(void)state;
	enum { QUERIES = 2000, SIZE = 8000 };
	struct client *c = client_up((struct db_options){0});
	struct segment s = {.client = c};
	char *text = malloc(SIZE + 1);
	memset(text, '7', SIZE);
	text[SIZE] = '\0';
	for (int i = 0; i < QUERIES; i++)
		ask_for(&s, &st_echo, text);
	assert_int_equal(db_in_flight(c->db), QUERIES);
	commit(&s);
	finish(&s);
	assert_true(s.ok);
	assert_int_equal(s.results, QUERIES);
	assert_int_equal(s.nulls + s.fatal + s.aborted, 0);
	free(text);
	client_free(c);
}

static void test_many_segments_in_flight_end_in_order(void **state)
{
	(void)state;
	enum { SEGMENTS = 500 };
	static struct segment s[SEGMENTS];
	struct client *c = client_up((struct db_options){0});
	for (int i = 0; i < SEGMENTS; i++) {
		s[i] = (struct segment){.client = c};
		ask_for(&s[i], &st_divide, i % 7 == 3 ? "0" : "4");
		commit(&s[i]);
	}
	for (int i = 0; i < SEGMENTS; i++) {
		finish(&s[i]);
		assert_int_equal(s[i].ok, i % 7 != 3);
		assert_int_equal(s[i].results, 1);
	}
	client_free(c);
}

static bool process_gone(long pid)
{
	static const struct timespec nap = {.tv_nsec = 5000000};
	for (int i = 0; i < 1000 && kill((pid_t)pid, 0) == 0; i++)
		nanosleep(&nap, NULL);
	return kill((pid_t)pid, 0) != 0;
}

static void note_readable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	*(bool *)arg = true;
}

static bool flag_set(void *arg)
{
	return *(bool *)arg;
}

/* libpq closes the socket itself when a write finds the server gone. Whoever opens the next descriptor gets the same
 * number, and libevent must not take it for the old one. */
static void test_a_descriptor_that_libpq_closed_can_be_used_by_others_at_once(void **state)
{
	(void)state;
	struct client *c = client_up((struct db_options){0});
	long pid = ask(c, &st_pid, NULL);
	int ends[20][2];
	bool readable[20] = {false};
	struct event *events[20];
	assert_int_equal(kill((pid_t)pid, SIGKILL), 0);
	assert_true(process_gone(pid));
	struct segment s = {.client = c};
	for (int i = 0; i < 3; i++) { /* the first write fails, the next finds the end of the stream and closes */
		db_query(c->db, &st_pid, NULL, on_result, &s);
		db_commit(c->db, on_end, &s);
	}
	for (int i = 0; i < 20; i++) {
		assert_int_equal(pipe(ends[i]), 0);
		events[i] = event_new(base, ends[i][0], EV_READ, note_readable, &readable[i]);
		event_add(events[i], NULL);
	}
	assert_true(loop_until(base, is_lost, c, 5));
	for (int i = 0; i < 20; i++) {
		assert_int_equal(write(ends[i][1], "x", 1), 1);
		if (!loop_until(base, flag_set, &readable[i], 2))
			fail_msg("descriptor %d is deaf", ends[i][0]);
		event_free(events[i]);
		close(ends[i][0]);
		close(ends[i][1]);
	}
	client_free(c);
}

static void test_a_server_that_is_not_there_is_tried_with_back_off(void **state)
{
	(void)state;
	struct client *c = client_new((struct db_options){.conninfo = "host=/nonexistent dbname=x"});
	capture_start(2);
	clock_t before = clock();
	for (int i = 0; i < 20; i++)
		db_start(c->db);
	assert_false(loop_until(base, is_up, c, 2));
	clock_t cpu = clock() - before;
	int tries = 0;
	for (const char *p = capture_end(2); (p = strstr(p, "retry_in=")) != NULL; p++)
		tries++;
	assert_in_range(tries, 2, 6);
	assert_true(cpu < CLOCKS_PER_SEC / 5);
	assert_int_equal(c->losses, 0);
	client_free(c);
}

static void test_a_success_ends_the_back_off(void **state)
{
	(void)state;
	struct client *c = client_up((struct db_options){0});
	for (int i = 1; i <= 8; i++) { /* without the end, the eighth wait would be 10 s */
		db_drop(c->db, "again");
		assert_true(loop_until(base, is_lost, c, 1));
		assert_true(loop_until(base, is_up, c, 2));
		assert_int_equal(c->losses, i);
	}
	client_free(c);
}

static void test_a_free_with_queries_in_flight_calls_nobody(void **state)
{
	(void)state;
	struct client *c = client_up((struct db_options){0});
	struct segment s = {.client = c};
	ask_for(&s, &st_sleep, "1");
	commit(&s);
	client_free(c);
	assert_int_equal(s.results + s.ends, 0);
	c = client_new((struct db_options){0});
	db_start(c->db);
	client_free(c);
}

static void test_only_errors_that_may_pass_are_retryable(void **state)
{
	(void)state;
	static const char *const yes[] = {"40001", "40P01", "57P01", "53100", "08006", "25006", "58030", "XX000"};
	static const char *const no[] = {"", "23505", "22012", "42P01", "40002", "22P02", "23503"};
	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
		assert_true(db_retryable(yes[i]));
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		assert_false(db_retryable(no[i]));
}

static int start_servers(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	base = event_base_new();
	postgres_start();
	postgres_sql("CREATE TABLE thing (n int); CREATE TABLE later (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)");
	return 0;
}

static int stop_servers(void **state)
{
	(void)state;
	event_base_free(base);
	postgres_kill();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_segment_takes_effect_whole_or_not_at_all),
		cmocka_unit_test(test_a_constraint_that_fails_at_the_commit_is_a_refusal_and_no_loss),
		cmocka_unit_test(test_a_lone_segment_that_fails_at_the_commit_ends_at_once),
		cmocka_unit_test(test_a_lost_server_fails_what_is_in_flight_and_is_found_again),
		cmocka_unit_test(test_a_notification_arrives_while_nothing_is_in_flight),
		cmocka_unit_test(test_a_table_that_is_missing_at_first_is_reported_and_tried_again),
		cmocka_unit_test(test_a_drop_calls_nobody_back_inside_the_call),
		cmocka_unit_test(test_a_drop_inside_a_result_fails_the_rest_of_the_segment),
		cmocka_unit_test(test_a_server_that_hangs_is_dropped_after_reply_timeout),
		cmocka_unit_test(test_two_thousand_queries_in_flight_do_not_fill_both_sockets_for_ever),
		cmocka_unit_test(test_many_segments_in_flight_end_in_order),
		cmocka_unit_test(test_a_descriptor_that_libpq_closed_can_be_used_by_others_at_once),
		cmocka_unit_test(test_a_server_that_is_not_there_is_tried_with_back_off),
		cmocka_unit_test(test_a_success_ends_the_back_off),
		cmocka_unit_test(test_a_free_with_queries_in_flight_calls_nobody),
		cmocka_unit_test(test_only_errors_that_may_pass_are_retryable),
	};
	const char *missing = postgres_missing();
	if (missing != NULL) {
		print_message("skipped: %s\n", missing);
		return 77;
	}
	return cmocka_run_group_tests(tests, start_servers, stop_servers);
}
