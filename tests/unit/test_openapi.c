/* SPDX-License-Identifier: Apache-2.0 */
#include "api/openapi.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define FILE_OF(text)                                                                                                  \
	{                                                                                                              \
		"said.json", (const unsigned char *)(text), sizeof(text) - 1                                           \
	}

static const struct statement stmt_thing = {"api_thing_patch", "", 3};
static const struct statement stmt_lines = {"api_things_export_csv", "", 3};

static const struct param thing_params[] = {
	{.name = "serial", .in = PARAM_PATH, .type = PARAM_SERIAL, .help = "which"},
	{.name = "limit",
	 .in = PARAM_QUERY,
	 .type = PARAM_INT,
	 .min = 1,
	 .max = 9,
	 .fallback = "3",
	 .help = "how many"},
	{.name = "kind", .in = PARAM_QUERY, .type = PARAM_WORD, .words = "big,small", .help = "what kind"},
};

static const struct field part_fields[] = {{.name = "size", .type = FIELD_INT, .min = 0, .max = 7, .required = true}};
static const struct field thing_fields[] = {
	{.name = "colour", .type = FIELD_WORD, .words = "red,blue", .nullable = true},
	{.name = "part",
	 .type = FIELD_OBJECT,
	 .nullable = true,
	 .fields = part_fields,
	 .field_count = COUNT(part_fields)},
};

static const struct route_stream streams[] = {{"csv", "text/csv", &stmt_lines}};

static const struct route table[] = {
	{.method = "GET", .path = "/alive", .summary = "Lives"},
	{.method = "PATCH",
	 .path = "/v1/things/{serial}",
	 .summary = "Edit",
	 .role = "operator",
	 .params = thing_params,
	 .param_count = COUNT(thing_params),
	 .fields = thing_fields,
	 .field_count = COUNT(thing_fields),
	 .if_match = true,
	 .statement = &stmt_thing},
	{.method = "GET",
	 .path = "/v1/things:export",
	 .summary = "All",
	 .role = "viewer",
	 .streams = streams,
	 .stream_count = COUNT(streams)},
};

static json_t *document(const char *answers, struct err *e)
{
	const struct answers_file file = {"said.json", (const unsigned char *)answers, strlen(answers)};
	return openapi_document(table, COUNT(table), &file, 1, e);
}

/* What stands at the path, whose steps are parted by '|'; NULL: nothing. */
static const json_t *at(const json_t *from, const char *path)
{
	char step[64];
	for (; from != NULL && *path != '\0'; path += strspn(path, "|")) {
		size_t len = strcspn(path, "|");
		assert_true(len < sizeof(step));
		memcpy(step, path, len);
		step[len] = '\0';
		from = json_object_get(from, step);
		path += len;
	}
	return from;
}

static void assert_json(const json_t *document, const char *path, const char *expected)
{
	json_t *want = json_loads(expected, JSON_DECODE_ANY, NULL);
	assert_non_null(want);
	if (!json_equal(at(document, path), want))
		fail_msg("%s is not %s", path, expected);
	json_decref(want);
}

static void test_body_follows_the_table_of_fields(void **state)
{
	(void)state;
	json_t *d = document("{}", NULL);
	assert_json(
		d, "paths|/v1/things/{serial}|patch|requestBody|content|application/merge-patch+json|schema|properties",
		"{\"colour\":{\"type\":[\"string\",\"null\"],\"enum\":[\"red\",\"blue\",null]},"
		"\"part\":{\"type\":[\"object\",\"null\"],\"additionalProperties\":false,\"required\":[\"size\"],"
		"\"properties\":{\"size\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":7}}}}");
	json_decref(d);
}

static void test_parameters_have_bounds_and_defaults(void **state)
{
	(void)state;
	json_t *d = document("{}", NULL);
	const json_t *params = at(d, "paths|/v1/things/{serial}|patch|parameters");
	assert_int_equal(json_array_size(params), 4);
	assert_json(json_array_get(params, 1), "schema",
		    "{\"type\":\"integer\",\"minimum\":1,\"maximum\":9,\"default\":3}");
	assert_json(json_array_get(params, 2), "schema", "{\"type\":\"string\",\"enum\":[\"big\",\"small\"]}");
	assert_json(json_array_get(params, 3), "$ref", "\"#/components/parameters/If-Match\"");
	json_decref(d);
}

static void test_refusals_follow_from_the_row_and_from_what_is_said(void **state)
{
	(void)state;
	static const char *const those[] = {"200", "400", "401", "403", "404", "412",
					    "415", "422", "428", "429", "500", "503"};
	json_t *d = document("{\"operations\":{\"thing_patch\":{\"refuses\":{\"404\":\"no such thing\"}}}}", NULL);
	const json_t *responses = at(d, "paths|/v1/things/{serial}|patch|responses");
	for (size_t i = 0; i < COUNT(those); i++)
		assert_non_null(json_object_get(responses, those[i]));
	assert_int_equal(json_object_size(responses), COUNT(those));
	assert_json(responses, "404|description", "\"no such thing\"");
	assert_int_equal(json_object_size(at(d, "paths|/alive|get|responses")), 2);
	assert_null(at(d, "paths|/alive|get|x-role"));
	json_decref(d);
}

static void test_entity_tag_of_a_get_makes_304_possible(void **state)
{
	(void)state;
	json_t *d = document("{\"operations\":{\"alive\":{\"answers\":{\"200\":{\"description\":\"x\",\"headers\":"
			     "[\"ETag\"]}}}}}",
			     NULL);
	assert_non_null(at(d, "paths|/alive|get|responses|304"));
	assert_non_null(at(d, "paths|/alive|get|responses|200|headers|ETag"));
	json_decref(d);
}

static void test_route_of_streams_alone_has_the_name_without_the_form(void **state)
{
	(void)state;
	char name[64];
	openapi_operation(&table[2], name, sizeof(name));
	assert_string_equal(name, "things_export");
	json_t *d = document("{}", NULL);
	assert_non_null(at(d, "paths|/v1/things:export|get|responses|200|content|text/csv"));
	json_decref(d);
}

static void test_answers_that_are_said_twice_or_are_no_json_are_named(void **state)
{
	(void)state;
	struct err e = {0};
	const struct answers_file twice[] = {FILE_OF("{\"schemas\":{\"A\":{}}}"), FILE_OF("{\"schemas\":{\"A\":{}}}")};
	assert_null(openapi_document(table, COUNT(table), twice, 2, &e));
	assert_string_equal(e.detail, "said.json: A is said in another file too");
	assert_null(document("{", &e));
	assert_non_null(strstr(e.detail, "said.json line 1"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_body_follows_the_table_of_fields),
		cmocka_unit_test(test_parameters_have_bounds_and_defaults),
		cmocka_unit_test(test_refusals_follow_from_the_row_and_from_what_is_said),
		cmocka_unit_test(test_entity_tag_of_a_get_makes_304_possible),
		cmocka_unit_test(test_route_of_streams_alone_has_the_name_without_the_form),
		cmocka_unit_test(test_answers_that_are_said_twice_or_are_no_json_are_named),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
