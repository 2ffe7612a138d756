/* SPDX-License-Identifier: Apache-2.0
 *
 * Cases of RFC 8428 and our own, as files: senml/NAME.json and NAME.cbor resolve to exactly NAME.resolved.json. Then
 * one row for each way in which a pack can be wrong. */
#include <dirent.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ingest/senml.h"

#define NOW_SECONDS 1498780179 /* the "now" of the resolved examples of RFC 8428's authors */

static void set_text(json_t *o, const char *key, struct senml_text t)
{
	json_object_set_new(o, key, json_stringn(t.at, t.len));
}

static bool collect(const struct senml_resolved *r, void *arg, struct err *e)
{
	(void)e;
	json_t *o = json_object();
	char name[1024];
	int len = snprintf(name, sizeof(name), "%.*s%.*s", (int)r->base.len, r->base.at != NULL ? r->base.at : "",
			   (int)r->name.len, r->name.at != NULL ? r->name.at : "");
	json_object_set_new(o, "n", json_stringn(name, (size_t)len));
	if (r->unit.at != NULL)
		set_text(o, "u", r->unit);
	json_object_set_new(o, "t", json_real((double)r->ts / 1e6));
	if (r->value == SENML_V)
		json_object_set_new(o, "v", json_real(r->v));
	else if (r->value == SENML_VB)
		json_object_set_new(o, "vb", json_boolean(r->vb));
	else if (r->value != SENML_S)
		set_text(o, senml_fields[r->value].label, r->text);
	if (r->has_sum)
		json_object_set_new(o, "s", json_real(r->sum));
	json_array_append_new(arg, o);
	return true;
}

static enum senml_status decode(const void *bytes, size_t len, bool cbor, json_t *records, struct err *e)
{
	struct arena *arena = arena_new(1 << 20);
	/* An exact copy on the heap, so that a sanitizer sees a read past its end. */
	uint8_t *copy = malloc(len > 0 ? len : 1);
	memcpy(copy, bytes, len);
	struct senml_input in = {copy, len, NOW_SECONDS * INT64_C(1000000), 100, arena, collect, records};
	*e = (struct err){0};
	enum senml_status status = cbor ? senml_cbor_decode(&in, e) : senml_json_decode(&in, e);
	free(copy);
	arena_free(&arena);
	return status;
}

static size_t file_read(const char *path, char *out, size_t size)
{
	FILE *f = fopen(path, "rb");
	if (f == NULL)
		fail_msg("cannot open %s", path);
	size_t len = fread(out, 1, size, f);
	fclose(f);
	return len;
}

static void case_check(const char *folder, const char *file)
{
	char path[4096], bytes[8192];
	snprintf(path, sizeof(path), "%s/%s", folder, file);
	size_t len = file_read(path, bytes, sizeof(bytes));
	char *extension = strrchr(path, '.');
	bool cbor = strcmp(extension, ".cbor") == 0;

	struct err e;
	json_t *got = json_array();
	if (decode(bytes, len, cbor, got, &e) != SENML_OK)
		fail_msg("%s: %s", path, e.detail);
	snprintf(extension, sizeof(path) - (size_t)(extension - path), ".resolved.json");
	json_t *expected = json_load_file(path, JSON_DECODE_INT_AS_REAL, NULL);
	if (expected == NULL)
		fail_msg("cannot read %s", path);
	if (!json_equal(expected, got))
		fail_msg("%s/%s: resolved to %s", folder, file, json_dumps(got, JSON_COMPACT));
	json_decref(expected);
	json_decref(got);
}

static size_t folder_check(const char *folder)
{
	DIR *d = opendir(folder);
	if (d == NULL)
		fail_msg("cannot open %s", folder);
	size_t cases = 0;
	for (struct dirent *entry = readdir(d); entry != NULL; entry = readdir(d)) {
		const char *dot = strrchr(entry->d_name, '.');
		if (entry->d_name[0] == '.' || dot == NULL || strstr(entry->d_name, ".resolved.json") != NULL)
			continue;
		case_check(folder, entry->d_name);
		cases++;
	}
	closedir(d);
	return cases;
}

static void test_every_case_resolves_exactly(void **state)
{
	(void)state;
	assert_int_equal(folder_check("senml"), 25);
}

static void test_the_examples_of_the_authors_resolve_exactly(void **state)
{
	(void)state;
	const char *data = getenv("COLDFLEET_DATA");
	char folder[2048];
	snprintf(folder, sizeof(folder), "%s/senml", data != NULL ? data : "");
	DIR *d = data != NULL ? opendir(folder) : NULL;
	if (d == NULL)
		skip();
	closedir(d);
	assert_true(folder_check(folder) >= 6);
}

struct bad {
	const char *input; /* JSON, or CBOR in hexadecimal */
	enum senml_status status;
	const char *words;
};

static const struct bad bad_json[] = {
	{"", SENML_SYNTAX, "record 1 goes on after the last of 0 bytes"},
	{"[", SENML_SYNTAX, "record 1 goes on after the last of 1 bytes"},
	{"[{\"n\":\"a\",\"v\":1}", SENML_SYNTAX, "JSON is cut off: record 1 goes on"},
	{"[{\"n\":\"a\",\"v\":1}]x", SENML_SYNTAX, "byte 18 is 'x': expected nothing after the pack"},
	{"[{\"n\":\"a\",\"v\":1}] []", SENML_SYNTAX, "byte 19 is '[': expected nothing after the pack"},
	{"[{\"n\":\"a\",\"v\":01}]", SENML_SYNTAX, "byte 16 is '1': expected ',' or '}'"},
	{"[{\"n\":\"a\",\"v\":NaN}]", SENML_SYNTAX, "byte 15 is 'N': expected a value"},
	{"[{\"n\":\"a\",\"v\":-Infinity}]", SENML_SYNTAX, "byte 16 is 'I': expected a value"},
	{"[{\"n\":\"a\",\"v\":1e400}]", SENML_INVALID, "record 1: a number before byte 20 is too large"},
	{"[{\"n\":\"a\",\"v\":1,\"v\":1}]", SENML_INVALID, "record 1: field 'v' comes twice"},
	{"[{\"n\":\"a\",\"v\":1,\"q\":1,\"\\u0071\":1}]", SENML_INVALID, "record 1: field 'q' comes twice"},
	{"[{\"n\":\"a\",\"vs\":\"\xff\"}]", SENML_SYNTAX, "is not UTF-8"},
	{"[{\"n\":\"a\",\"vs\":\"\xc0\x80\"}]", SENML_SYNTAX, "is not UTF-8"},
	{"[{\"n\":\"a\",\"vs\":\"\xed\xa0\x80\"}]", SENML_SYNTAX, "is not UTF-8"},
	{"[{\"n\":\"a\",\"vs\":\"\\u0000\"}]", SENML_SYNTAX, "a character other than U+0000"},
	{"[{\"n\":\"a\",\"vs\":\"\\ud800\"}]", SENML_SYNTAX, "half a surrogate pair"},
	{"[]", SENML_INVALID, "at least one record, got an empty one"},
	{"{}", SENML_SYNTAX, "byte 1 is '{': expected '[', an array of records"},
	{"[[]]", SENML_INVALID, "record 1: an array or object within the record, at byte 2"},
	{"[{\"n\":\"a\",\"v\":1},7]", SENML_INVALID, "record 2: expected an object, got a number"},
	{"[{\"n\":\"a\",\"v\":1},{\"v\":{}}]", SENML_INVALID,
	 "record 2: an array or object within the record, at byte 23"},
	{"[{\"n\":\"a\",\"q\":[1]}]", SENML_INVALID, "record 1: an array or object within the record"},
	{"[[[[[[[[", SENML_INVALID, "record 1: an array or object"},
	{"[{\"n\":\"a\",\"v\":\"1\"}]", SENML_INVALID, "record 1: field 'v': expected a number, got a string"},
	{"[{\"n\":\"a\",\"v\":null}]", SENML_INVALID, "record 1: field 'v': expected a number, got null"},
	{"[{\"n\":1,\"v\":1}]", SENML_INVALID, "record 1: field 'n': expected a string, got a number"},
	{"[{\"n\":\"a\",\"vb\":1}]", SENML_INVALID, "record 1: field 'vb': expected a boolean, got a number"},
	{"[{\"n\":\"a\",\"vd\":\"a+b=\"}]", SENML_INVALID, "record 1: field 'vd': expected base64url data"},
	{"[{\"n\":\"a\",\"vd\":\"abcde\"}]", SENML_INVALID, "record 1: field 'vd': expected base64url data"},
	{"[{\"n\":\"a\",\"v\":1,\"must_\":0}]", SENML_INVALID, "record 1: field 'must_' must be understood"},
	{"[{\"n\":\"a\",\"v\":1,\"_\":0}]", SENML_INVALID, "record 1: field '_' must be understood"},
	{"[{\"n\":\"a\"}]", SENML_INVALID, "record 1 has no value"},
	{"[{\"n\":\"a\",\"v\":1,\"vs\":\"\"}]", SENML_INVALID, "record 1 has more than one value"},
	{"[{\"v\":1}]", SENML_INVALID, "record 1 has no name"},
	{"[{\"n\":\"\",\"bn\":\"\",\"v\":1}]", SENML_INVALID, "record 1 has no name"},
	{"[{\"n\":\"-a\",\"v\":1}]", SENML_INVALID, "record 1: its name starts with '-'"},
	{"[{\"bn\":\"_\",\"n\":\"a\",\"v\":1}]", SENML_INVALID, "record 1: its name starts with '_'"},
	{"[{\"n\":\"a b\",\"v\":1}]", SENML_INVALID, "record 1: field 'n' is 'a b': byte 2 is none of"},
	{"[{\"bn\":\"\u00e9\",\"n\":\"a\",\"v\":1}]", SENML_INVALID, "record 1: field 'bn' is '?\?': byte 1"},
	{"[{\"bver\":11,\"n\":\"a\",\"v\":1}]", SENML_INVALID, "record 1: SenML version 11: expected at most 10"},
	{"[{\"bver\":0,\"n\":\"a\",\"v\":1}]", SENML_INVALID,
	 "record 1: field 'bver' is 0: expected a positive integer"},
	{"[{\"bver\":9.5,\"n\":\"a\",\"v\":1}]", SENML_INVALID, "record 1: field 'bver' is 9.5"},
	{"[{\"n\":\"a\",\"v\":1},{\"bver\":9,\"n\":\"a\",\"v\":1}]", SENML_INVALID,
	 "record 2: SenML version 9: expected 10"},
	{"[{\"n\":\"a\",\"t\":1e13,\"v\":1}]", SENML_INVALID, "record 1: time 1e+13 s"},
	{"[{\"n\":\"a\",\"bt\":-1e300,\"v\":1}]", SENML_INVALID, "record 1: time -1e+300 s"},
	{"[{\"n\":\"a\",\"bv\":1e308,\"v\":1e308}]", SENML_INVALID, "record 1: base value plus value is too large"},
	{"[{\"n\":\"a\",\"bs\":-1e308,\"s\":-1e308}]", SENML_INVALID, "record 1: base value plus value is too large"},
	{"[1]", SENML_INVALID, "record 1: expected an object, got a number"},
	{"[{\"n\":\"a\",\"v\":1},]", SENML_SYNTAX, "record 2, byte 18 is ']': expected a value"},
	{"[{\"n\":\"a\",\"v\":1,}]", SENML_SYNTAX, "byte 17 is '}': expected a label in quotes"},
	{"[{\"n\":\"a\",v:1}]", SENML_SYNTAX, "byte 11 is 'v': expected a label in quotes"},
	{"[{\"n\" \"a\"}]", SENML_SYNTAX, "byte 7 is '\"': expected ':'"},
	{"[{\"n\":\"a\",\"v\":1.}]", SENML_SYNTAX, "expected a digit"},
	{"[{\"n\":\"a\",\"v\":.5}]", SENML_SYNTAX, "expected a value"},
	{"[{\"n\":\"a\",\"v\":+5}]", SENML_SYNTAX, "expected a value"},
	{"[{\"n\":\"a\",\"v\":1e+}]", SENML_SYNTAX, "expected a digit"},
	{"[{\"n\":\"a\",\"vb\":truE}]", SENML_SYNTAX, "expected a value"},
	{"[{\"n\":\"a\",\"vs\":\"\\x\"}]", SENML_SYNTAX, "expected an escape"},
	{"[{\"n\":\"a\",\"vs\":\"\\u12g4\"}]", SENML_SYNTAX, "expected four hexadecimal digits"},
	{"[{\"n\":\"a\",\"vs\":\"\\ud800\\u0041\"}]", SENML_SYNTAX, "the second half of a surrogate pair"},
	{"[{\"n\":\"a\",\"vs\":\"\\udc00\"}]", SENML_SYNTAX, "half a surrogate pair"},
	{"[{\"n\":\"a\",\"vs\":\"\n\"}]", SENML_SYNTAX, "expected no control character"},
	{"\xef\xbb\xbf[{\"n\":\"a\",\"v\":1}]", SENML_SYNTAX, "byte 1 is '?': expected '['"},
};

static const struct bad bad_cbor[] = {
	{"80", SENML_INVALID, "got an empty one"},
	{"9fff", SENML_INVALID, "got an empty one"},
	{"a0", SENML_INVALID, "expected an array of records, got a map"},
	{"9f", SENML_SYNTAX, "record 1 goes on after the last of 1 bytes"},
	{"81", SENML_SYNTAX, "record 1 goes on"},
	{"9bffffffffffffffff", SENML_SYNTAX, "record 1 goes on"},
	{"9bffffffffffffffffff", SENML_INVALID, "record 1: expected a map, got a break"},
	{"8161", SENML_SYNTAX, "record 1 goes on"},
	{"81a2006161", SENML_SYNTAX, "record 1 goes on"},
	{"81a200616102", SENML_SYNTAX, "record 1 goes on"},
	{"81a200616102fb40", SENML_SYNTAX, "record 1 goes on"},
	{"81a2007bffffffffffffffff6102", SENML_SYNTAX, "record 1 goes on"},
	{"81a20061610201f6", SENML_SYNTAX, "1 bytes after the end of the pack"},
	{"81a2006161021c", SENML_SYNTAX, "not valid CBOR: record 1, byte 7 is 0x1c"},
	{"81a2006161021f", SENML_SYNTAX, "not valid CBOR: record 1, byte 7 is 0x1f"},
	{"81a200616102df", SENML_SYNTAX, "not valid CBOR: record 1, byte 7 is 0xdf"},
	{"81a200616102e0", SENML_SYNTAX, "not valid CBOR: record 1, byte 7 is 0xe0"},
	{"81a200616102f8", SENML_SYNTAX, "not valid CBOR: record 1, byte 7 is 0xf8"},
	{"81a200616102fe", SENML_SYNTAX, "not valid CBOR: record 1, byte 7 is 0xfe"},
	{"81a200616102f7", SENML_INVALID, "record 1: field 'v': expected a number, got null"},
	{"81a30061610201616dcc01", SENML_OK, ""}, /* a tag that nobody has given a meaning */
	{"81a2006161020182", SENML_SYNTAX, "1 bytes after the end"},
	{"8101", SENML_INVALID, "record 1: expected a map, got a number"},
	{"81a20061610261", SENML_SYNTAX, "record 1 goes on"},
	{"81a2006161026131", SENML_INVALID, "record 1: field 'v': expected a number, got a text string"},
	{"81a200616102f97e00", SENML_INVALID, "record 1: field 'v' is not a number: expected a finite number"},
	{"81a200616102f97c00", SENML_INVALID, "record 1: field 'v' is infinite"},
	{"81a200616102fafF800000", SENML_INVALID, "record 1: field 'v' is infinite"},
	{"81a200616102c482190400"
	 "01",
	 SENML_INVALID, "record 1: field 'v' is infinite"},
	{"81a200616102c48119040001", SENML_INVALID, "after tag 4, got an array"},
	{"81a200616102c482f93c0001", SENML_INVALID, "64-bit integers as exponent and mantissa"},
	{"81a200616102c4823bffffffffffffffff01", SENML_INVALID, "64-bit integers as exponent"},
	{"81a200616102c24101", SENML_INVALID, "record 1: field 'v': expected a number (integer, float or decimal"},
	{"81a300616102010201", SENML_INVALID, "record 1: field '2' comes twice"},
	{"81a30061610201617602", SENML_INVALID, "record 1: field 'v' comes twice"},
	{"81a40061610201617101617102", SENML_INVALID, "record 1: field 'q' comes twice"},
	{"81a300616102011863f5", SENML_OK, ""},
	{"81a400616102011863f51863f5", SENML_INVALID, "record 1: field '99' comes twice"},
	{"81a30061610201616d80", SENML_INVALID, "record 1: field 'm': expected a plain value, got an array"},
	{"81a30061610201616da0", SENML_INVALID, "record 1: field 'm': expected a plain value, got a map"},
	{"81a30061610201626d5f01", SENML_INVALID, "record 1: field 'm_' must be understood"},
	{"81a3006161020142000101", SENML_INVALID, "record 1: a label is a byte string"},
	{"81a2007f6161ff0201", SENML_INVALID, "expected a string, got a string of indefinite length"},
	{"81a200616103"
	 "61ff",
	 SENML_SYNTAX, "record 1: field 'vs': its text is not UTF-8"},
	{"81a200616103"
	 "6100",
	 SENML_SYNTAX, "record 1: field 'vs': its text is not UTF-8, or holds U+0000"},
	{"81a200616103"
	 "63eda080",
	 SENML_SYNTAX, "its text is not UTF-8"},
	{"81a200616103"
	 "62c080",
	 SENML_SYNTAX, "its text is not UTF-8"},
	{"81a200616103"
	 "64f4908080",
	 SENML_SYNTAX, "its text is not UTF-8"},
	{"81a200616103"
	 "63e28261",
	 SENML_SYNTAX, "its text is not UTF-8"},
	{"81a200616103"
	 "62e282",
	 SENML_SYNTAX, "its text is not UTF-8"},
	{"81a200616104"
	 "01",
	 SENML_INVALID, "record 1: field 'vb': expected a boolean, got a number"},
	{"81a200616108"
	 "6161",
	 SENML_INVALID, "record 1: field 'vd': expected a byte string, got a text string"},
	{"81a3006161"
	 "02012005",
	 SENML_OK, ""},
	{"81a3006161"
	 "0201200b",
	 SENML_INVALID, "SenML version 11"},
};

static void bad_check(const struct bad *b, const char *bytes, size_t len, bool cbor)
{
	struct err e;
	json_t *records = json_array();
	enum senml_status status = decode(bytes, len, cbor, records, &e);
	json_decref(records);
	if (status != b->status || strstr(e.detail, b->words) == NULL)
		fail_msg("%s: status %d, \"%s\": expected %d, \"%s\"", b->input, (int)status, e.detail, (int)b->status,
			 b->words);
}

static void test_wrong_json_is_refused_with_the_reason(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bad_json) / sizeof(bad_json[0]); i++)
		bad_check(&bad_json[i], bad_json[i].input, strlen(bad_json[i].input), false);
}

static void test_a_nul_byte_is_not_json(void **state)
{
	(void)state;
	static const char json[] = "[{\"n\":\"a\",\"v\":1\0}]";
	const struct bad nul = {"NUL after a number", SENML_SYNTAX, "byte 16 is '?': expected ',' or '}'"};
	bad_check(&nul, json, sizeof(json) - 1, false);
}

static void test_wrong_cbor_is_refused_with_the_reason(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bad_cbor) / sizeof(bad_cbor[0]); i++) {
		char bytes[128];
		size_t len = strlen(bad_cbor[i].input) / 2;
		for (size_t k = 0; k < len; k++) {
			unsigned byte;
			assert_int_equal(sscanf(bad_cbor[i].input + 2 * k, "%2x", &byte), 1);
			bytes[k] = (char)byte;
		}
		bad_check(&bad_cbor[i], bytes, len, true);
	}
}

static void test_a_cut_off_pack_is_refused_at_every_length(void **state)
{
	(void)state;
	static const char *const files[] = {"senml/rfc8428-5.1.2-since.cbor", "senml/rfc8428-5.1.5-types.json"};
	for (size_t f = 0; f < 2; f++) {
		char bytes[1024];
		size_t len = file_read(files[f], bytes, sizeof(bytes));
		while (f == 1 && bytes[len - 1] != ']')
			len--;
		for (size_t cut = 0; cut < len; cut++) {
			struct err e;
			json_t *records = json_array();
			assert_int_equal(decode(bytes, cut, f == 0, records, &e), SENML_SYNTAX);
			json_decref(records);
		}
	}
}

static void test_more_records_than_allowed_are_refused(void **state)
{
	(void)state;
	char json[4096] = "[{\"n\":\"a\",\"v\":1}";
	for (int i = 0; i < 100; i++)
		strcat(json, ",{\"n\":\"a\",\"v\":1}");
	strcat(json, "]");
	static char cbor[1024];
	cbor[0] = (char)0x9f;
	for (size_t i = 0; i < 101; i++)
		memcpy(cbor + 1 + 6 * i, "\xa2\x00\x61\x61\x02\x01", 6);
	cbor[1 + 6 * 101] = (char)0xff;
	const struct bad too_many = {"101 records", SENML_TOO_MANY, "more than 100 records"};
	bad_check(&too_many, json, strlen(json), false);
	bad_check(&too_many, cbor, 2 + 6 * 101, true);
}

static void test_names_units_and_fields_have_bounds(void **state)
{
	(void)state;
	char json[2048], text[600];
	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	const struct bad name = {"name", SENML_INVALID, "its name has 257 bytes: expected at most 256"};
	snprintf(json, sizeof(json), "[{\"bn\":\"%.244s\",\"n\":\"%.13s\",\"v\":1}]", text, text);
	bad_check(&name, json, strlen(json), false);
	const struct bad unit = {"unit", SENML_INVALID, "its unit has 65 bytes: expected at most 64"};
	snprintf(json, sizeof(json), "[{\"n\":\"a\",\"bu\":\"%.65s\",\"v\":1}]", text);
	bad_check(&unit, json, strlen(json), false);
	const struct bad fields = {"fields", SENML_INVALID, "record 1 has more fields than 32"};
	strcpy(json, "[{\"n\":\"a\",\"v\":1");
	for (int i = 0; i < 31; i++)
		snprintf(json + strlen(json), 32, ",\"f%d\":0", i);
	strcat(json, "}]");
	bad_check(&fields, json, strlen(json), false);
}

static bool refuse(const struct senml_resolved *r, void *arg, struct err *e)
{
	++*(int *)arg;
	return err_set(e, ERR_DECODE, "record %zu is enough", r->number);
}

static void test_a_callback_that_refuses_stops_the_decoder(void **state)
{
	(void)state;
	static const char json[] = "[{\"n\":\"a\",\"v\":1},{\"n\":\"b\",\"v\":1}]";
	int calls = 0;
	struct err e = {0};
	struct senml_input in = {(const uint8_t *)json, sizeof(json) - 1, 0, 9, NULL, refuse, &calls};
	assert_int_equal(senml_json_decode(&in, &e), SENML_STOPPED);
	assert_int_equal(calls, 1);
	assert_string_equal(e.detail, "record 1 is enough");
}

static void test_numbers_are_rounded_once(void **state)
{
	(void)state;
	static const char *const numbers[] = {
		"0",
		"-0",
		"-0.0e5",
		"4.1",
		"0.1",
		"-40.05",
		"1e22",
		"1e23",
		"1e-22",
		"1e-23",
		"123456789012345678",
		"9007199254740993",
		"9007199254740993.00000000000000000001",
		"123456789012345678901234567890",
		"1.7976931348623157e308",
		"1.7976931348623158e+308",
		"2.2250738585072011e-308",
		"4.9e-324",
		"2e-324",
		"1e-99999999999999999999",
		"0e99999999999999999999",
		"0.000000000000000000000000000000000000000001E42",
		"8.5070591730234615e37",
		"1276020076.001",
		"1.276020076001e+09",
		"100000000000000000000000000000000000000000000000000e-50",
	};
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		char json[256];
		int len = snprintf(json, sizeof(json), "[{\"n\":\"a\",\"v\": %s }]", numbers[i]);
		struct err e;
		json_t *records = json_array();
		assert_int_equal(decode(json, (size_t)len, false, records, &e), SENML_OK);
		double v = json_real_value(json_object_get(json_array_get(records, 0), "v")),
		       expected = strtod(numbers[i], NULL);
		if (v != expected)
			fail_msg("%s became %.17g: expected %.17g", numbers[i], v, expected);
		json_decref(records);
	}
}

static void test_escapes_become_characters(void **state)
{
	(void)state;
	static const char json[] = "[{\"\\u006e\":\"\\u0061b\",\"vs\":\"x\\\"\\\\\\/"
				   "\\b\\f\\n\\r\\t\\u00e9\\u20AC\\ud83d\\ude00\xc3\xa9\"}]";
	struct err e;
	json_t *records = json_array();
	assert_int_equal(decode(json, sizeof(json) - 1, false, records, &e), SENML_OK);
	assert_string_equal(json_string_value(json_object_get(json_array_get(records, 0), "vs")),
			    "x\"\\/\b\f\n\r\t\u00e9\u20ac\U0001f600\u00e9");
	assert_string_equal(json_string_value(json_object_get(json_array_get(records, 0), "n")), "ab");
	json_decref(records);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_case_resolves_exactly),
		cmocka_unit_test(test_the_examples_of_the_authors_resolve_exactly),
		cmocka_unit_test(test_wrong_json_is_refused_with_the_reason),
		cmocka_unit_test(test_a_nul_byte_is_not_json),
		cmocka_unit_test(test_wrong_cbor_is_refused_with_the_reason),
		cmocka_unit_test(test_a_cut_off_pack_is_refused_at_every_length),
		cmocka_unit_test(test_more_records_than_allowed_are_refused),
		cmocka_unit_test(test_names_units_and_fields_have_bounds),
		cmocka_unit_test(test_a_callback_that_refuses_stops_the_decoder),
		cmocka_unit_test(test_numbers_are_rounded_once),
		cmocka_unit_test(test_escapes_become_characters),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	return failed;
}
