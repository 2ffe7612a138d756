/* SPDX-License-Identifier: Apache-2.0
 *
 * How a method and a target become a route and checked values, and how values are read out of a target. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "api/router.h"
#include "api/url.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct param list_params[] = {
	{"limit", PARAM_QUERY, PARAM_INT, 1, 1000, "100", "", NULL},
	{"cursor", PARAM_QUERY, PARAM_CURSOR, 0, 0, NULL, "", NULL},
};
static const struct param item_params[] = {
	{"serial", PARAM_PATH, PARAM_SERIAL, 0, 0, NULL, "", NULL},
	{"from", PARAM_QUERY, PARAM_TIME, 0, 0, NULL, "", NULL},
};
static const struct param place_params[] = {
	{"serial", PARAM_PATH, PARAM_SERIAL, 0, 0, NULL, "", NULL},
	{"probe", PARAM_PATH, PARAM_INT, -1, 255, NULL, "", NULL},
};
static const struct route table[] = {
	{.method = "GET", .path = "/v1/things", .params = list_params, .param_count = COUNT(list_params)},
	{.method = "POST", .path = "/v1/things", .params = NULL, .param_count = 0},
	{.method = "GET", .path = "/v1/things/{serial}", .params = item_params, .param_count = COUNT(item_params)},
	{.method = "DELETE",
	 .path = "/v1/things/{serial}/probes/{probe}",
	 .params = place_params,
	 .param_count = COUNT(place_params)},
};

static struct route_match match;

static enum err_code find(const char *method, const char *target)
{
	struct err e = {0};
	bool ok = route_find(table, COUNT(table), method, target, &match, &e);
	assert_int_equal(ok, e.code == ERR_NONE);
	return e.code;
}

static void test_path_and_method_pick_the_row(void **state)
{
	(void)state;
	assert_int_equal(find("GET", "/v1/things"), ERR_NONE);
	assert_ptr_equal(match.route, &table[0]);
	assert_int_equal(find("POST", "/v1/things"), ERR_NONE);
	assert_ptr_equal(match.route, &table[1]);
	assert_int_equal(find("DELETE", "/v1/things/a.b/probes/-1"), ERR_NONE);
	assert_ptr_equal(match.route, &table[3]);
	assert_string_equal(match.value[0], "a.b");
	assert_string_equal(match.value[1], "-1");
}

static void test_get_route_answers_head(void **state)
{
	(void)state;
	assert_int_equal(find("HEAD", "/v1/things"), ERR_NONE);
	assert_ptr_equal(match.route, &table[0]);
}

static void test_known_path_with_another_method_lists_what_it_allows(void **state)
{
	(void)state;
	assert_int_equal(find("PUT", "/v1/things"), ERR_METHOD);
	assert_string_equal(match.allow, "GET, HEAD, POST");
	assert_int_equal(find("GET", "/v1/things/a/probes/1"), ERR_METHOD);
	assert_string_equal(match.allow, "DELETE");
}

static void test_literal_end_of_a_segment_is_not_part_of_its_value(void **state)
{
	(void)state;
	static const struct param id[] = {{"id", PARAM_PATH, PARAM_INT, 1, 9, NULL, "", NULL}};
	static const struct route acts[] = {
		{.method = "GET", .path = "/v1/things/{id}", .params = id, .param_count = 1},
		{.method = "POST", .path = "/v1/things/{id}:redo", .params = id, .param_count = 1},
		{.method = "POST", .path = "/v1/things:import"},
	};
	static const struct {
		const char *target;
		enum err_code code;
		size_t row;
	} rows[] = {
		{"/v1/things/5:redo", ERR_NONE, 1},       {"/v1/things:import", ERR_NONE, 2},
		{"/v1/things/:redo", ERR_NOT_FOUND, 0},   {"/v1/things/5:undo", ERR_NOT_FOUND, 0},
		{"/v1/things/5:redo/", ERR_NOT_FOUND, 0}, {"/v1/things/x:redo", ERR_INVALID, 0},
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct err e = {0};
		route_find(acts, COUNT(acts), "POST", rows[i].target, &match, &e);
		if (e.code != rows[i].code || (e.code == ERR_NONE && match.route != &acts[rows[i].row]))
			fail_msg("%s: %d %s", rows[i].target, (int)e.code, e.detail);
	}
	struct err e = {0};
	assert_false(route_find(acts, COUNT(acts), "GET", "/v1/things/5:redo", &match, &e));
	assert_int_equal(e.code, ERR_METHOD);
}

static void test_what_was_expected_is_said_of_a_text(void **state)
{
	(void)state;
	static const struct param params[] = {
		{.name = "id", .in = PARAM_QUERY, .type = PARAM_TEXT, .min = 36, .max = 36},
		{.name = "why", .in = PARAM_QUERY, .type = PARAM_TEXT, .min = 1, .max = 3},
	};
	static const struct route one[] = {{.method = "GET", .path = "/a", .params = params, .param_count = 2}};
	struct err e = {0};
	assert_false(route_find(one, 1, "GET", "/a?id=5", &match, &e));
	assert_string_equal(e.detail, "id: expected 36 characters, got '5'");
	e = (struct err){0};
	assert_false(route_find(one, 1, "GET", "/a?why=12345", &match, &e));
	assert_string_equal(e.detail, "why: expected 1 to 3 characters, not only blanks, got '12345'");
}

static void test_words_and_texts_are_held_against_their_bounds(void **state)
{
	(void)state;
	static const struct param params[] = {
		{.name = "form", .in = PARAM_QUERY, .type = PARAM_WORD, .words = "json,csv"},
		{.name = "why", .in = PARAM_QUERY, .type = PARAM_TEXT, .min = 1, .max = 3},
	};
	static const struct route one[] = {{.method = "GET", .path = "/a", .params = params, .param_count = 2}};
	static const struct {
		const char *target;
		enum err_code code;
	} rows[] = {
		{"/a?form=csv&why=%C3%A4%C3%A4%C3%A4", ERR_NONE},
		{"/a?form=cs", ERR_INVALID},
		{"/a?form=json,csv", ERR_INVALID},
		{"/a?form=", ERR_INVALID},
		{"/a?why=", ERR_INVALID},
		{"/a?why=%20a", ERR_NONE},
		{"/a?why=%20", ERR_INVALID},
		{"/a?why=%C2%A0%E2%80%8A", ERR_INVALID},
		{"/a?why=aaaa", ERR_INVALID},
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct err e = {0};
		route_find(one, 1, "GET", rows[i].target, &match, &e);
		if (e.code != rows[i].code)
			fail_msg("%s: %d %s", rows[i].target, (int)e.code, e.detail);
	}
}

static void test_near_misses_of_a_path_are_not_found(void **state)
{
	(void)state;
	static const char *const paths[] = {"/",
					    "/v1",
					    "/v1/things/",
					    "/v1/thing",
					    "/v1/thingss",
					    "/V1/things",
					    "//v1/things",
					    "/v1//things",
					    "/v1/things/a/",
					    "/v1/things//probes/1",
					    "/v1/x/../things",
					    "/v1/%74hings"};
	for (size_t i = 0; i < COUNT(paths); i++)
		assert_int_equal(find("GET", paths[i]), ERR_NOT_FOUND);
}

static void test_escaped_slash_stays_inside_its_segment(void **state)
{
	(void)state;
	assert_int_equal(find("GET", "/v1/things/a%2Fb"), ERR_INVALID);
	assert_int_equal(find("GET", "/v1/things/a%2eb"), ERR_NONE);
	assert_string_equal(match.value[0], "a.b");
}

static void test_absent_parameters_get_their_fallback_or_null(void **state)
{
	(void)state;
	assert_int_equal(find("GET", "/v1/things?cursor=abc_-9"), ERR_NONE);
	assert_string_equal(match.value[0], "100");
	assert_string_equal(match.value[1], "abc_-9");
	assert_int_equal(find("GET", "/v1/things?"), ERR_NONE);
	assert_null(match.value[1]);
}

static void test_parameters_are_refused_by_what_is_wrong_with_them(void **state)
{
	(void)state;
	static const struct {
		const char *target;
		enum err_code code;
	} rows[] = {
		{"/v1/things?limt=3", ERR_REQUEST},
		{"/v1/things?limit=3&limit=3", ERR_REQUEST},
		{"/v1/things?limit=%3", ERR_REQUEST},
		{"/v1/things?cursor=a+b", ERR_REQUEST},
		{"/v1/things?cursor=", ERR_REQUEST},
		{"/v1/things?limit=3&", ERR_REQUEST},
		{"/v1/things?&limit=3", ERR_REQUEST},
		{"/v1/things?=3", ERR_REQUEST},
		{"/v1/things?limit=%00", ERR_REQUEST},
		{"/v1/things?cursor=%ff", ERR_REQUEST},
		{"/v1/things/a?serial=b", ERR_REQUEST},
		{"/v1/things?limit", ERR_INVALID},
		{"/v1/things?limit=0", ERR_INVALID},
		{"/v1/things?limit=1001", ERR_INVALID},
		{"/v1/things?limit=1e3", ERR_INVALID},
		{"/v1/things?limit=99999999999999999999", ERR_INVALID},
		{"/v1/things?limit=9223372036854775808", ERR_INVALID},
		{"/v1/things?limit=-9223372036854775809", ERR_INVALID},
		{"/v1/things/a?from=yesterday", ERR_INVALID},
		{"/v1/things/%20", ERR_INVALID},
	};
	for (size_t i = 0; i < COUNT(rows); i++)
		if (find("GET", rows[i].target) != rows[i].code)
			fail_msg("%s", rows[i].target);
}

static void test_bounds_error_names_parameter_expectation_and_value(void **state)
{
	(void)state;
	struct err e = {0};
	assert_false(route_find(table, COUNT(table), "GET", "/v1/things?limit=-5", &match, &e));
	assert_string_equal(e.detail, "limit: expected a whole number from 1 to 1000, got '-5'");
}

static void test_times_are_rfc_3339_with_an_offset(void **state)
{
	(void)state;
	static const char *const good[] = {"2026-11-22T08:00:00Z", "2024-02-29T23:59:59.123456+05:30",
					   "1970-01-01T00:00:00-00:00", "2000-02-29T00:00:00.5Z",
					   "2026-11-22T08:00:00-15:59"};
	static const char *const bad[] = {"",
					  "2026-11-22T08:00:00+16:00",
					  "2026-11-22T08:00:00-23:59",
					  "2026-11-22",
					  "2026-11-22T08:00:00",
					  "2026-11-22 08:00:00Z",
					  "2026-11-22t08:00:00z",
					  "2026-02-29T00:00:00Z",
					  "1900-02-29T00:00:00Z",
					  "2026-13-01T00:00:00Z",
					  "2026-04-31T00:00:00Z",
					  "2026-11-22T24:00:00Z",
					  "2026-11-22T08:60:00Z",
					  "2026-11-22T08:00:60Z",
					  "2026-11-22T08:00:00.Z",
					  "2026-11-22T08:00:00.1234567Z",
					  "2026-11-22T08:00:00+25:00",
					  "2026-11-22T08:00:00+0100",
					  "2026-11-22T08:00:00Z ",
					  "12026-11-22T08:00:00Z",
					  "1969-12-31T23:59:59Z"};
	for (size_t i = 0; i < COUNT(good); i++)
		if (!url_time(good[i]))
			fail_msg("refused: %s", good[i]);
	for (size_t i = 0; i < COUNT(bad); i++)
		if (url_time(bad[i]))
			fail_msg("taken: %s", bad[i]);
}

static void test_utf8_is_checked_for_overlong_forms_surrogates_and_range(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		bool valid;
	} rows[] = {
		{"caf\xc3\xa9", true},
		{"\xf0\x9f\x98\x80", true},
		{"\xc0\x80", false},
		{"\xed\xa0\x80", false},
		{"\xf4\x90\x80\x80", false},
		{"\xe9", false},
		{"\xe2\x82", false},
		{"\x80", false},
		{"\xf8\x88\x80\x80\x80", false},
	};
	for (size_t i = 0; i < COUNT(rows); i++)
		assert_int_equal(url_is_utf8(rows[i].text, strlen(rows[i].text)), rows[i].valid);
}

static void test_decoding_never_writes_past_its_buffer(void **state)
{
	(void)state;
	char to[4];
	struct err e = {0};
	assert_true(url_decode("%41bc", 5, to, sizeof(to), &e));
	assert_string_equal(to, "Abc");
	assert_false(url_decode("%41bcd", 6, to, sizeof(to), &e));
	assert_int_equal(e.code, ERR_REQUEST);
	assert_true(url_decode("", 0, to, sizeof(to), &e));
	assert_false(url_decode("a%4", 3, to, sizeof(to), &e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_path_and_method_pick_the_row),
		cmocka_unit_test(test_get_route_answers_head),
		cmocka_unit_test(test_known_path_with_another_method_lists_what_it_allows),
		cmocka_unit_test(test_literal_end_of_a_segment_is_not_part_of_its_value),
		cmocka_unit_test(test_what_was_expected_is_said_of_a_text),
		cmocka_unit_test(test_words_and_texts_are_held_against_their_bounds),
		cmocka_unit_test(test_near_misses_of_a_path_are_not_found),
		cmocka_unit_test(test_escaped_slash_stays_inside_its_segment),
		cmocka_unit_test(test_absent_parameters_get_their_fallback_or_null),
		cmocka_unit_test(test_parameters_are_refused_by_what_is_wrong_with_them),
		cmocka_unit_test(test_bounds_error_names_parameter_expectation_and_value),
		cmocka_unit_test(test_times_are_rfc_3339_with_an_offset),
		cmocka_unit_test(test_utf8_is_checked_for_overlong_forms_surrogates_and_range),
		cmocka_unit_test(test_decoding_never_writes_past_its_buffer),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
