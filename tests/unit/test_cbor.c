/* SPDX-License-Identifier: Apache-2.0
 *
 * Deterministic CBOR: the examples of RFC 8949 appendix A, and everything that has a second form is refused. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base64url.h"
#include "core/cbor_json.h"

static size_t bytes_of(const char *hex, uint8_t *out)
{
	unsigned byte;
	size_t n = 0;
	for (; sscanf(hex, "%2x", &byte) == 1; hex += 2)
		out[n++] = (uint8_t)byte;
	return n;
}

static void assert_bytes(const uint8_t *bytes, size_t len, const char *hex)
{
	char text[512] = "";
	for (size_t i = 0; i < len; i++)
		snprintf(text + 2 * i, 3, "%02x", bytes[i]);
	assert_string_equal(text, hex);
}

static void test_json_has_the_bytes_of_rfc_8949_appendix_a_and_comes_back(void **state)
{
	static const char *const rows[][2] = {
		{"0", "00"},
		{"1", "01"},
		{"10", "0a"},
		{"23", "17"},
		{"24", "1818"},
		{"100", "1864"},
		{"1000", "1903e8"},
		{"1000000", "1a000f4240"},
		{"1000000000000", "1b000000e8d4a51000"},
		{"-1", "20"},
		{"-10", "29"},
		{"-100", "3863"},
		{"-1000", "3903e7"},
		{"0.0", "f90000"},
		{"-0.0", "f98000"},
		{"1.0", "f93c00"},
		{"1.1", "fb3ff199999999999a"},
		{"1.5", "f93e00"},
		{"65504.0", "f97bff"},
		{"100000.0", "fa47c35000"},
		{"3.4028234663852886e+38", "fa7f7fffff"},
		{"1.0e+300", "fb7e37e43c8800759c"},
		{"5.960464477539063e-8", "f90001"},
		{"0.00006103515625", "f90400"},
		{"-4.0", "f9c400"},
		{"-4.1", "fbc010666666666666"},
		{"false", "f4"},
		{"true", "f5"},
		{"null", "f6"},
		{"\"\"", "60"},
		{"\"IETF\"", "6449455446"},
		{"\"\\\"\\\\\"", "62225c"},
		{"\"\\u00fc\"", "62c3bc"},
		{"\"\\u6c34\"", "63e6b0b4"},
		{"\"\\ud800\\udd51\"", "64f0908591"},
		{"[]", "80"},
		{"[1, 2, 3]", "83010203"},
		{"[1, [2, 3], [4, 5]]", "8301820203820405"},
		{"{}", "a0"},
		{"{\"b\": [2, 3], \"a\": 1}", "a26161016162820203"},
		{"[\"a\", {\"b\": \"c\"}]", "826161a161626163"},
		{"{\"e\": \"E\", \"a\": \"A\", \"b\": \"B\", \"c\": \"C\", \"d\": \"D\"}",
		 "a56161614161626142616361436164614461656145"},
		{"{\"aa\": 1, \"b\": 2}", "a261620262616101"}, /* shorter keys first */
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t bytes[256];
		struct cbor_writer w;
		struct cbor_reader r;
		struct err e = {0};
		json_t *value = json_loads(rows[i][0], JSON_DECODE_ANY, NULL), *back;
		assert_non_null(value);
		cbor_writer_init(&w, bytes, sizeof(bytes));
		assert_true(cbor_from_json(&w, value, &e));
		assert_true(cbor_written(&w, &e));
		assert_bytes(bytes, w.len, rows[i][1]);
		assert_true(cbor_open(&r, bytes, w.len, &e));
		back = cbor_to_json(&r, &e);
		assert_non_null(back);
		assert_true(json_equal(value, back));
		assert_int_equal(cbor_peek(&r), CBOR_END);
		json_decref(value);
		json_decref(back);
	}
}

static void test_what_has_another_form_or_none_is_refused(void **state)
{
	static const char *const rows[][2] = {
		{"", "cut off"},
		{"1817", "shortest"},
		{"190018", "shortest"},
		{"1900ff", "shortest"},
		{"1a0000ffff", "shortest"},
		{"1b00000000ffffffff", "shortest"},
		{"3817", "shortest"},
		{"5800", "shortest"},
		{"580161", "shortest"},
		{"780161", "shortest"},
		{"9800", "shortest"},
		{"b800", "shortest"},
		{"5f42010243030405ff", "indefinite"},
		{"7f61616162ff", "indefinite"},
		{"9fff", "indefinite"},
		{"bfff", "indefinite"},
		{"ff", "indefinite"},
		{"c0", "tag"},
		{"d28440a04040", "tag"},
		{"f7", "expected false"},
		{"e0", "expected false"},
		{"f3", "expected false"},
		{"f8ff", "expected false"},
		{"f818", "expected false"},
		{"f814", "expected false"},
		{"fa3f800000", "shortest"},
		{"fb3ff0000000000000", "shortest"},
		{"fb47c3500000000000", "shortest"},
		{"fa7fc00000", "shortest"},
		{"f97e01", "shortest"},
		{"f9fe00", "shortest"},
		{"fa7f800000", "shortest"},
		{"fb7ff0000000000000", "shortest"},
		{"0000", "behind the end"},
		{"a0f6", "behind the end"},
		{"1c", "length"},
		{"1d", "length"},
		{"1e", "length"},
		{"19ff", "cut off"},
		{"41", "cut off"},
		{"6261", "cut off"},
		{"8101ff", "behind the end"},
		{"8201", "cut off"},
		{"9bffffffffffffffff01", "cut off"},
		{"bbffffffffffffffff", "cut off"},
		{"5bffffffffffffffff", "cut off"},
		{"a101", "cut off"},
		{"a201020103", "twice"},
		{"a202010102", "out of order"},
		{"a2626161016162 02", "out of order"},
		{"a220010102", "out of order"},
		{"a161ff00", "UTF-8"},
		{"62c328", "UTF-8"},
		{"63eda080", "UTF-8"},
		{"62c080", "UTF-8"},
		{"818181818181818180", "too deeply"},
		{"a101a101a101a101a101a101a101a101a0", "too deeply"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t bytes[64];
		char hex[128] = "";
		struct cbor_reader r;
		struct err e = {0};
		for (const char *p = rows[i][0]; *p != '\0'; p++)
			if (*p != ' ')
				strncat(hex, p, 1);
		size_t len = bytes_of(hex, bytes);
		if (cbor_open(&r, bytes, len, &e))
			fail_msg("%s was taken", rows[i][0]);
		assert_int_equal(e.code, ERR_DECODE);
		if (strstr(e.detail, rows[i][1]) == NULL)
			fail_msg("%s: said \"%s\", expected \"%s\"", rows[i][0], e.detail, rows[i][1]);
	}
}

static void test_eight_levels_are_taken(void **state)
{
	uint8_t bytes[16];
	struct cbor_reader r;
	(void)state;
	size_t len = bytes_of("8181818181818180", bytes);
	assert_int_equal(len, CBOR_DEPTH_MAX);
	assert_true(cbor_open(&r, bytes, len, NULL));
}

/* Each of the 65,536 halves is its own shortest form, but for the other NaNs; floats next to them are not halves. */
static void test_every_half_float_is_its_own_shortest_form(void **state)
{
	size_t taken = 0;
	(void)state;
	for (unsigned half = 0; half <= UINT16_MAX; half++) {
		uint8_t bytes[3] = {0xf9, (uint8_t)(half >> 8), (uint8_t)half}, again[16];
		struct cbor_reader r;
		struct cbor_writer w;
		double value;
		bool nan = (half & 0x7c00) == 0x7c00 && (half & 0x3ff) != 0;
		bool ok = cbor_open(&r, bytes, 3, NULL);
		assert_int_equal(ok, !nan || half == 0x7e00);
		if (!ok)
			continue;
		taken++;
		assert_true(cbor_take_double(&r, &value, NULL));
		cbor_writer_init(&w, again, sizeof(again));
		cbor_put_double(&w, value);
		assert_int_equal(w.len, 3);
		assert_memory_equal(again, bytes, 3);
		if (!isfinite(value))
			continue;
		cbor_writer_init(&w, again, sizeof(again));
		cbor_put_double(&w, nextafter(value, 1e308));
		assert_int_equal(w.len, 9);
		cbor_writer_init(&w, again, sizeof(again));
		cbor_put_double(&w, (double)nextafterf((float)value, 1e38f));
		assert_int_equal(w.len, 5);
	}
	assert_int_equal(taken, 63488 + 2 + 1);
}

static void test_cursor_says_what_it_found_and_what_was_expected(void **state)
{
	uint8_t bytes[16];
	struct cbor_reader r;
	struct cbor_view view;
	struct err e = {0};
	uint64_t n;
	(void)state;
	assert_true(cbor_open(&r, bytes, bytes_of("826161f6", bytes), &e));
	assert_false(cbor_take_uint(&r, &n, &e));
	assert_string_equal(e.detail, "CBOR byte 0: an array, expected a number");
	assert_true(cbor_take_array(&r, &(size_t){0}, &e));
	assert_true(cbor_take_text(&r, &view, &e));
	assert_true(cbor_text_is(view, "a"));
	assert_false(cbor_take_text(&r, &view, &e));
	assert_string_equal(e.detail, "CBOR byte 3: null, expected text");
	assert_true(cbor_take_null(&r, &e));
	assert_false(cbor_take_null(&r, &e));
	assert_string_equal(e.detail, "CBOR byte 4: the end, expected null");
}

static void test_numbers_beyond_64_bits_with_sign_are_refused_as_such(void **state)
{
	uint8_t bytes[16];
	struct cbor_reader r;
	int64_t value;
	(void)state;
	assert_true(cbor_open(&r, bytes, bytes_of("1b7fffffffffffffff", bytes), NULL));
	assert_true(cbor_take_int(&r, &value, NULL));
	assert_true(value == INT64_MAX);
	assert_true(cbor_open(&r, bytes, bytes_of("3b7fffffffffffffff", bytes), NULL));
	assert_true(cbor_take_int(&r, &value, NULL));
	assert_true(value == INT64_MIN);
	for (unsigned major = 0; major < 2; major++) {
		bytes_of(major == 0 ? "1b8000000000000000" : "3b8000000000000000", bytes);
		assert_true(cbor_open(&r, bytes, 9, NULL));
		assert_false(cbor_take_int(&r, &value, NULL));
		r.at = 0;
		assert_null(cbor_to_json(&r, NULL));
	}
}

static void test_what_json_does_not_have_is_refused(void **state)
{
	static const char *const rows[] = {"f97e00", "f97c00", "f9fc00", "a10102", "a14000", "6100", "8181f97e00"};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t bytes[16];
		struct cbor_reader r;
		struct err e = {0};
		assert_true(cbor_open(&r, bytes, bytes_of(rows[i], bytes), &e));
		assert_null(cbor_to_json(&r, &e));
		assert_int_equal(e.code, ERR_DECODE);
	}
}

static void test_byte_strings_become_base64url(void **state)
{
	static const char *const rows[][2] = {
		{"40", ""}, {"41ff", "_w"}, {"42fffe", "__4"}, {"43fffefb", "__77"}, {"4401020304", "AQIDBA"}};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t bytes[16];
		struct cbor_reader r;
		assert_true(cbor_open(&r, bytes, bytes_of(rows[i][0], bytes), NULL));
		json_t *value = cbor_to_json(&r, NULL);
		assert_string_equal(json_string_value(value), rows[i][1]);
		json_decref(value);
	}
}

static void test_base64url_has_one_form_and_no_other_is_read(void **state)
{
	static const char *const bad[] = {"A", "_x", "AAB", "AA==", "A A", "AA\n", "+A", "/A", "AAAAA"};
	uint8_t out[8];
	size_t len;
	(void)state;
	assert_true(base64url_decode("__77", 4, out, sizeof(out), &len));
	assert_int_equal(len, 3);
	assert_memory_equal(out, "\xff\xfe\xfb", 3);
	assert_true(base64url_decode("_w", 2, out, sizeof(out), &len));
	assert_int_equal(len, 1);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (base64url_decode(bad[i], strlen(bad[i]), out, sizeof(out), &len))
			fail_msg("%s was taken", bad[i]);
	assert_false(base64url_decode("__77", 4, out, 2, &len));
	assert_false(base64url_decode("AA\0A", 4, out, sizeof(out), &len));
}

static void test_what_does_not_fit_is_counted_and_not_written(void **state)
{
	uint8_t bytes[8];
	struct cbor_writer w;
	struct err e = {0};
	(void)state;
	memset(bytes, 0xee, sizeof(bytes));
	cbor_writer_init(&w, bytes, 4);
	cbor_put_text(&w, "abc");
	assert_true(cbor_written(&w, &e));
	cbor_put_uint(&w, 1);
	cbor_put_uint(&w, 2);
	assert_false(cbor_written(&w, &e));
	assert_int_equal(e.code, ERR_TOO_LARGE);
	assert_int_equal(w.len, 6);
	assert_int_equal(bytes[4], 0xee);
}

static void test_json_of_nine_levels_is_refused(void **state)
{
	uint8_t bytes[64];
	struct cbor_writer w;
	struct err e = {0};
	json_t *deep = json_loads("[[[[[[[[[]]]]]]]]]", 0, NULL);
	(void)state;
	cbor_writer_init(&w, bytes, sizeof(bytes));
	assert_false(cbor_from_json(&w, deep, &e));
	assert_int_equal(e.code, ERR_INVALID);
	json_decref(deep);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json_has_the_bytes_of_rfc_8949_appendix_a_and_comes_back),
		cmocka_unit_test(test_what_has_another_form_or_none_is_refused),
		cmocka_unit_test(test_eight_levels_are_taken),
		cmocka_unit_test(test_every_half_float_is_its_own_shortest_form),
		cmocka_unit_test(test_cursor_says_what_it_found_and_what_was_expected),
		cmocka_unit_test(test_numbers_beyond_64_bits_with_sign_are_refused_as_such),
		cmocka_unit_test(test_what_json_does_not_have_is_refused),
		cmocka_unit_test(test_byte_strings_become_base64url),
		cmocka_unit_test(test_base64url_has_one_form_and_no_other_is_read),
		cmocka_unit_test(test_what_does_not_fit_is_counted_and_not_written),
		cmocka_unit_test(test_json_of_nine_levels_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
