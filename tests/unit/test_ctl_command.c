/* SPDX-License-Identifier: Apache-2.0
 *
 * The command table of coldfleetctl: how command lines are read by it, and that the API's routes, the man page and the
 * completion say the same as it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/routes.h"
#include "ops/ctl/ctl.h"

#define NOW       1789997600
#define WORDS_MAX 16

static struct err err;

/* Parses a command line of words parted by blanks. */
static bool parse(struct invocation *in, const char *line)
{
	static char text[256];
	char *argv[WORDS_MAX];
	int argc = 0;
	snprintf(text, sizeof(text), "%s", line);
	for (char *word = strtok(text, " "); word != NULL; word = strtok(NULL, " "))
		argv[argc++] = word;
	memset(&err, 0, sizeof(err));
	return invocation_parse(in, argc, argv, NOW, &err);
}

static void check_refused(const char *line, const char *because)
{
	struct invocation in;
	assert_false(parse(&in, line));
	assert_int_equal(err.code, ERR_CONFIG);
	if (strstr(err.detail, because) == NULL)
		fail_msg("%s: '%s' does not say '%s'", line, err.detail, because);
	invocation_free(&in);
}

static void test_options_stand_anywhere_and_values_behind_blank_or_equals(void **state)
{
	static const char *const lines[] = {"readings S-1 --limit 5 --from -24h --json",
					    "readings --from=-24h --limit=5 --json S-1",
					    "--json readings --limit 5 --from -24h -- S-1"};
	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct invocation in;
		assert_true(parse(&in, lines[i]));
		assert_string_equal(in.command->name, "readings");
		assert_int_equal(in.arg_count, 1);
		assert_string_equal(in.args[0], "S-1");
		assert_string_equal(invocation_value(&in, "limit"), "5");
		assert_string_equal(invocation_value(&in, "from"), "2026-09-20T13:33:20Z");
		assert_null(invocation_value(&in, "to"));
		assert_true(in.json);
		invocation_free(&in);
	}
}

static void test_common_option_with_its_value_may_come_before_the_command(void **state)
{
	struct invocation in;
	(void)state;
	assert_true(parse(&in, "--api https://a.example devices show --timeout=5s S-1"));
	assert_string_equal(in.command->name, "devices show");
	assert_string_equal(in.given.api, "https://a.example");
	assert_string_equal(in.given.timeout, "5s");
	assert_string_equal(in.args[0], "S-1");
	invocation_free(&in);
}

static void test_mistakes_are_named(void **state)
{
	(void)state;
	check_refused("", "expected a command");
	check_refused("devices", "devices: no such command");
	check_refused("devices lst", "devices lst: no such command");
	check_refused("readings", "expected SERIAL, got 0 arguments");
	check_refused("devices show a b", "expected SERIAL, got 2 arguments");
	check_refused("devices list --limit x", "--limit: expected a whole number, got 'x'");
	check_refused("devices list --limit", "--limit: expected N");
	check_refused("devices list --all=yes", "--all: expected no value");
	check_refused("devices list --chart", "--chart: no such option of devices list");
	check_refused("devices list -l", "two dashes");
	check_refused("readings a --format xml", "--format: expected ");
	check_refused("readings a --from yesterday", "--from: 'yesterday': expected -24h");
}

static void test_help_needs_no_arguments(void **state)
{
	struct invocation in;
	(void)state;
	assert_true(parse(&in, "readings --help") && in.help && in.command != NULL);
	invocation_free(&in);
	assert_true(parse(&in, "--help") && in.help && in.command == NULL);
	invocation_free(&in);
}

static void check_body(const char *line, const char *expected)
{
	struct invocation in;
	assert_true(parse(&in, line));
	json_t *body = ctl_body(&in, &err);
	char *text = json_dumps(body, JSON_COMPACT);
	assert_string_equal(text, expected);
	free(text);
	json_decref(body);
	invocation_free(&in);
}

static void test_body_is_made_of_arguments_and_options(void **state)
{
	(void)state;
	check_body("devices create S-1 model.manufacturer=Acme model.name=a=b --reason new",
		   "{\"serial\":\"S-1\",\"model\":{\"manufacturer\":\"Acme\",\"name\":\"a=b\"},\"reason\":\"new\"}");
	check_body("devices set S-1 sim:=null state=active hardware_revision= x.y.z:=[1,2.5]",
		   "{\"sim\":null,\"state\":\"active\",\"hardware_revision\":null,\"x\":{\"y\":{\"z\":[1,2.5]}}}");
	check_body("tokens create bob viewer --groups 3,14 --expires +1d",
		   "{\"name\":\"bob\",\"role\":\"viewer\",\"groups\":[3,14],\"expires_at\":\"2026-09-22T13:33:20Z\"}");
	check_body("devices tag S-1 b a", "{\"tags\":[\"b\",\"a\"]}");
	check_body("devices tag S-1", "{\"tags\":[]}");
	check_body("groups create weak filter.state=active", "{\"name\":\"weak\",\"filter\":{\"state\":\"active\"}}");
	check_body("devices decommission S-1 --reason broken", "{\"reason\":\"broken\"}");
}

static void test_body_that_cannot_be_made_is_refused(void **state)
{
	static const struct {
		const char *line, *because;
	} rows[] = {
		{"devices set S-1 state", "expected NAME=TEXT or NAME:=JSON"},
		{"devices set S-1 =x", "expected NAME=TEXT"},
		{"devices set S-1 a:={", "expected JSON behind :="},
		{"devices set S-1 a..b=1", "expected a name"},
		{"devices set S-1 a=1 a.b=1", "expected a name"},
		{"devices set S-1 a=\xff", "expected UTF-8"},
		{"tokens create a viewer --groups 1,x", "--groups: expected numbers"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct invocation in;
		assert_true(parse(&in, rows[i].line));
		assert_null(ctl_body(&in, &err));
		assert_int_equal(err.code, ERR_CONFIG);
		if (strstr(err.detail, rows[i].because) == NULL)
			fail_msg("%s: %s", rows[i].line, err.detail);
		invocation_free(&in);
	}
}

/* A file, to be freed. */
static char *content(const char *path)
{
	char *text = NULL;
	size_t len = 0;
	FILE *from = fopen(path, "r"), *to = open_memstream(&text, &len);
	assert_non_null(from);
	for (int c; (c = fgetc(from)) != EOF;)
		fputc(c, to);
	fclose(from);
	fclose(to);
	return text;
}

/* The route of the API that a command asks; none fails the test. */
static const struct route *route_of(const struct command *c)
{
	size_t route_count;
	const struct route *routes = routes_all(&route_count);

	for (size_t i = 0; i < route_count; i++)
		if (strcmp(routes[i].method, c->method) == 0 && strcmp(routes[i].path, c->path) == 0)
			return &routes[i];
	fail_msg("%s: the API has no %s %s", c->name, c->method, c->path);
	return NULL;
}

static bool has_param(const struct route *r, const char *name)
{
	for (size_t i = 0; i < r->param_count; i++)
		if (r->params[i].in == PARAM_QUERY && strcmp(r->params[i].name, name) == 0)
			return true;
	return false;
}

static bool has_field(const struct route *r, const char *name)
{
	size_t len = strcspn(name, "."); /* members of a member are the statement's business */
	for (size_t i = 0; i < r->field_count; i++)
		if (strlen(r->fields[i].name) == len && strncmp(r->fields[i].name, name, len) == 0)
			return true;
	return false;
}

static void test_every_command_asks_what_the_api_has(void **state)
{
	size_t command_count;
	const struct command *commands = commands_all(&command_count);
	(void)state;
	for (size_t i = 0; i < command_count; i++) {
		const struct command *c = &commands[i];
		if (c->path == NULL)
			continue; /* asks nothing */
		const struct route *r = route_of(c);
		for (const char *at = c->fields; at != NULL && *at != '\0'; at += strspn(at, " ")) {
			char field[64];
			size_t len = strcspn(at, " ");
			snprintf(field, sizeof(field), "%.*s", (int)len, at);
			field[strcspn(field, ".")] = '\0';
			if (!has_field(r, field))
				fail_msg("%s: %s has no field %s", c->name, r->path, field);
			at += len;
		}
		if (c->if_match != r->if_match)
			fail_msg("%s: If-Match is not as with %s", c->name, r->path);
		for (size_t k = 0; k < c->option_count; k++) {
			const struct option *o = &c->options[k];
			if (o->to == TO_QUERY && !has_param(r, o->key))
				fail_msg("%s --%s: %s has no parameter %s", c->name, o->name, r->path, o->key);
			if (o->to > TO_QUERY && !has_field(r, o->key))
				fail_msg("%s --%s: %s has no field %s", c->name, o->name, r->path, o->key);
		}
	}
}

/* The page's text without the escapes of hyphens. */
static char *man_page(void)
{
	char *text = content("../../ops/ctl/coldfleetctl.1"), *to = text;
	for (const char *from = text; *from != '\0'; from++)
		if (*from != '\\' || from[1] != '-')
			*to++ = *from;
	*to = '\0';
	return text;
}

/* The page's part about a command: from its name to the next command. */
static char *man_section(const char *page, const char *name)
{
	char begin[80];
	snprintf(begin, sizeof(begin), "\n.TP\n.B %s", name);
	const char *at = strstr(page, begin);
	while (at != NULL && at[strlen(begin)] != '\n' && strncmp(at + strlen(begin), " \\fI", 4) != 0)
		at = strstr(at + 1, begin);
	if (at == NULL)
		fail_msg("the man page has no '.B %s'", name);
	const char *rest = at + strlen(begin), *end = strstr(rest, "\n.TP\n"), *chapter = strstr(rest, "\n.SH");
	end = end == NULL || (chapter != NULL && chapter < end) ? chapter : end;
	return strndup(rest, end != NULL ? (size_t)(end - rest) : strlen(rest));
}

static void test_man_page_has_every_command_with_arguments_and_options(void **state)
{
	size_t command_count;
	const struct command *commands = commands_all(&command_count);
	char *page = man_page();
	(void)state;
	for (size_t i = 0; i < command_count; i++) {
		char *section = man_section(page, commands[i].name);
		for (size_t k = 0; k < commands[i].option_count; k++) {
			char option[80];
			snprintf(option, sizeof(option), "--%s", commands[i].options[k].name);
			if (strstr(section, option) == NULL)
				fail_msg("the man page's %s lacks %s", commands[i].name, option);
		}
		free(section);
	}
	for (size_t i = 0; i < common_option_count; i++) {
		char option[80];
		snprintf(option, sizeof(option), "--%s", common_options[i].name);
		assert_non_null(strstr(page, option));
	}
	free(page);
}

static bool is_option(const char *name, size_t len)
{
	size_t command_count;
	const struct command *commands = commands_all(&command_count);
	for (size_t i = 0; i < common_option_count; i++)
		if (strlen(common_options[i].name) == len && strncmp(common_options[i].name, name, len) == 0)
			return true;
	for (size_t i = 0; i < command_count; i++)
		for (size_t k = 0; k < commands[i].option_count; k++)
			if (strlen(commands[i].options[k].name) == len &&
			    strncmp(commands[i].options[k].name, name, len) == 0)
				return true;
	return false;
}

static void test_man_page_has_no_option_that_does_not_exist(void **state)
{
	char *page = man_page();
	(void)state;
	for (const char *at = page; (at = strstr(at, "--")) != NULL;) {
		at += 2;
		size_t len = strspn(at, "abcdefghijklmnopqrstuvwxyz-");
		if (len > 0 && !is_option(at, len))
			fail_msg("the man page has --%.*s", (int)len, at);
	}
	free(page);
}

/* What completion offers after these words, parted by blanks. */
static char *completed(const char *words, const char *begun)
{
	static char text[4096];
	char line[256], *argv[WORDS_MAX], *out = NULL;
	size_t len = 0;
	int argc = 0;
	snprintf(line, sizeof(line), "%s", words);
	for (char *word = strtok(line, " "); word != NULL; word = strtok(NULL, " "))
		argv[argc++] = word;
	argv[argc++] = strncpy(text + 2048, begun, 100);
	FILE *to = open_memstream(&out, &len);
	command_complete(argc, argv, to);
	fclose(to);
	snprintf(text, 2048, "%s", out);
	free(out);
	return text;
}

static void test_completion_offers_words_options_and_choices(void **state)
{
	(void)state;
	assert_string_equal(completed("", "dev"), "devices\n");
	assert_string_equal(completed("devices", "sh"), "show\n");
	assert_string_equal(completed("--api https://a.example devices", "sh"), "show\n");
	assert_non_null(strstr(completed("readings S-1 --format", ""), "ndjson\n"));
	assert_string_equal(completed("readings S-1 --format", "nd"), "ndjson\n");
	assert_string_equal(completed("readings S-1", "--ch"), "--chart\n");
	assert_string_equal(completed("devices list", "--ch"), "");
	assert_string_equal(completed("readings", "S"), "");
}

static void test_completion_knows_every_command_and_option(void **state)
{
	size_t command_count;
	const struct command *commands = commands_all(&command_count);
	(void)state;
	for (size_t i = 0; i < command_count; i++) {
		char name[80];
		snprintf(name, sizeof(name), "%s", commands[i].name);
		char *blank = strrchr(name, ' '), *last = blank != NULL ? blank + 1 : name;
		char before[80] = "";
		snprintf(before, sizeof(before), "%.*s", (int)(last - name), name);
		assert_non_null(strstr(completed(before, last), last));
		for (size_t k = 0; k < commands[i].option_count; k++)
			assert_non_null(strstr(completed(name, "--"), commands[i].options[k].name));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_options_stand_anywhere_and_values_behind_blank_or_equals),
		cmocka_unit_test(test_common_option_with_its_value_may_come_before_the_command),
		cmocka_unit_test(test_mistakes_are_named),
		cmocka_unit_test(test_help_needs_no_arguments),
		cmocka_unit_test(test_body_is_made_of_arguments_and_options),
		cmocka_unit_test(test_body_that_cannot_be_made_is_refused),
		cmocka_unit_test(test_every_command_asks_what_the_api_has),
		cmocka_unit_test(test_man_page_has_every_command_with_arguments_and_options),
		cmocka_unit_test(test_man_page_has_no_option_that_does_not_exist),
		cmocka_unit_test(test_completion_offers_words_options_and_choices),
		cmocka_unit_test(test_completion_knows_every_command_and_option),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
