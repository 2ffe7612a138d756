/* SPDX-License-Identifier: Apache-2.0
 *
 * Every statement of schema/queries against a schema that was just deployed by sqitch: it prepares, has the number of
 * parameters that C was told, and the daemon that uses it may run it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <libpq-fe.h>
#include <unistd.h>

#include "schema/queries.h"
#include "servers.h"

#define SCHEMA "../../schema"

static PGconn *conn;

static void test_there_are_statements_and_no_two_share_a_name(void **state)
{
	(void)state;
	assert_true(queries_all_count >= 5);
	for (size_t i = 0; i < queries_all_count; i++) {
		assert_true(strlen(queries_all[i]->name) < 64); /* PostgreSQL cuts longer names off */
		for (size_t k = i + 1; k < queries_all_count; k++)
			assert_string_not_equal(queries_all[i]->name, queries_all[k]->name);
	}
}

static void test_every_statement_prepares_with_the_parameters_that_c_was_told(void **state)
{
	(void)state;
	for (size_t i = 0; i < queries_all_count; i++) {
		const struct statement *st = queries_all[i];
		PGresult *res = PQprepare(conn, st->name, st->sql, 0, NULL);
		if (PQresultStatus(res) != PGRES_COMMAND_OK)
			fail_msg("%s: %s", st->name, PQerrorMessage(conn));
		PQclear(res);
		res = PQdescribePrepared(conn, st->name);
		if (PQnparams(res) != st->params)
			fail_msg("%s: PostgreSQL counts %d parameters, C %d", st->name, PQnparams(res), st->params);
		PQclear(res);
	}
}

/* A statement's name begins with the daemon that runs it. Privileges are checked when a statement starts, so each is
 * explained - generic, without values - as that daemon's role. */
static void test_the_role_of_its_daemon_may_run_each_statement(void **state)
{
	(void)state;
	for (size_t i = 0; i < queries_all_count; i++) {
		const struct statement *st = queries_all[i];
		char sql[8192], nulls[512] = "";
		int daemon = (int)strcspn(st->name, "_");
		for (int k = 0; k < st->params; k++)
			strcat(nulls, k > 0 ? ",NULL" : "(NULL");
		snprintf(sql, sizeof(sql), "BEGIN; SET LOCAL ROLE coldfleet_%.*s; EXPLAIN EXECUTE %s%s%s; ROLLBACK",
			 daemon, st->name, st->name, nulls, st->params > 0 ? ")" : "");
		PGresult *res = PQexec(conn, sql);
		if (PQresultStatus(res) == PGRES_FATAL_ERROR)
			fail_msg("%s: %s", st->name, PQerrorMessage(conn));
		PQclear(res);
	}
}

static int deploy(void **state)
{
	(void)state;
	postgres_start();
	const char *const environ_extra[] = {
		"PGHOST",   servers_path("pg"), "PGUSER",    "postgres",     "PGDATABASE",
		"postgres", "SQITCH_FULLNAME",  "coldfleet", "SQITCH_EMAIL", "maintainers@coldfleet.example",
		NULL};
	const char *const argv[] = {"sqitch", "--chdir", SCHEMA, "deploy", "--no-verify", "db:pg:postgres", NULL};
	if (run_program(argv, environ_extra) != 0)
		servers_show_log("sqitch deploy failed");
	conn = PQconnectdb(postgres_conninfo());
	return PQstatus(conn) == CONNECTION_OK ? 0 : -1;
}

static int stop_server(void **state)
{
	(void)state;
	PQfinish(conn);
	postgres_kill();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_are_statements_and_no_two_share_a_name),
		cmocka_unit_test(test_every_statement_prepares_with_the_parameters_that_c_was_told),
		cmocka_unit_test(test_the_role_of_its_daemon_may_run_each_statement),
	};
	const char *missing = postgres_missing();
	if (missing == NULL && access("/usr/bin/sqitch", X_OK) != 0)
		missing = "no sqitch";
	if (missing != NULL) {
		print_message("skipped: %s\n", missing);
		return 77;
	}
	return cmocka_run_group_tests(tests, deploy, stop_server);
}
