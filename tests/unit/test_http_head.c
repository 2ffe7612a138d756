/* SPDX-License-Identifier: Apache-2.0
 *
 * What the head validator takes and refuses. The corpus of request shapes is shared with the fuzz target and with the
 * scenario test: a file's name says the answer it must get. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/http_head.h"

#define CORPUS "../fuzz/corpus/fuzz_http_head"

static const struct http_limits limits = {.target = 8192, .head = 16384, .fields = 64, .body = 1 << 20};

static enum http_verdict parse(struct http_head *h, const char *text)
{
	http_head_init(h, &limits);
	return http_head_parse(h, text, strlen(text));
}

static void check_file(const char *name)
{
	static char bytes[1 << 16];
	char path[512];
	snprintf(path, sizeof(path), "%s/%s", CORPUS, name);
	FILE *f = fopen(path, "rb");
	assert_non_null(f);
	size_t len = fread(bytes, 1, sizeof(bytes), f);
	fclose(f);
	struct http_head h;
	http_head_init(&h, &limits);
	enum http_verdict verdict = http_head_parse(&h, bytes, len);
	int expected = atoi(name); /* 0 for "ok-..." */
	int got = verdict == HTTP_REFUSED ? http_fault_text(h.fault)->status : 0;
	if (got != expected || (expected == 0 && verdict != HTTP_COMPLETE))
		fail_msg("%s: verdict %d, status %d", name, (int)verdict, got);
}

static void test_each_shape_of_the_corpus_gets_the_answer_its_name_says(void **state)
{
	(void)state;
	size_t files = 0;
	DIR *d = opendir(CORPUS);
	assert_non_null(d);
	for (struct dirent *entry = readdir(d); entry != NULL; entry = readdir(d))
		if (entry->d_name[0] != '.') {
			check_file(entry->d_name);
			files++;
		}
	closedir(d);
	assert_true(files >= 100);
}

static void test_head_gives_method_target_and_fields_without_white_space(void **state)
{
	(void)state;
	const char *text = "PATCH /v1/x?y=%41 HTTP/1.1\r\nHOST:  a:1 \t\r\nauthorization:\tBearer z\r\nX-Other: q\r\n"
			   "Content-Length: 12\r\n\r\n";
	struct http_head h;
	assert_int_equal(parse(&h, text), HTTP_COMPLETE);
	assert_int_equal(h.length, strlen(text));
	assert_int_equal(h.body_length, 12);
	assert_memory_equal(text + h.method.at, "PATCH", h.method.len);
	assert_int_equal(h.target.len, strlen("/v1/x?y=%41"));
	assert_int_equal(h.field[HTTP_HOST].len, 3);
	assert_memory_equal(text + h.field[HTTP_AUTHORIZATION].at, "Bearer z", h.field[HTTP_AUTHORIZATION].len);
	assert_false(h.present[HTTP_IF_MATCH]);
	assert_false(h.close);
}

static void test_bytes_after_the_head_are_not_looked_at(void **state)
{
	(void)state;
	struct http_head h;
	assert_int_equal(parse(&h, "GET / HTTP/1.1\r\nHost: a\r\n\r\n\x01\x02garbage\n"), HTTP_COMPLETE);
	assert_int_equal(h.length, strlen("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
}

static void test_every_split_in_two_gives_the_same_framing(void **state)
{
	(void)state;
	const char *text = "POST /a%2Fb HTTP/1.1\r\nHost: a\r\nConnection: x, close\r\nContent-Length: 7\r\n\r\n";
	struct http_head whole;
	assert_int_equal(parse(&whole, text), HTTP_COMPLETE);
	assert_true(whole.close);
	for (size_t cut = 0; cut < strlen(text); cut++) {
		struct http_head h;
		http_head_init(&h, &limits);
		assert_int_equal(http_head_parse(&h, text, cut), HTTP_MORE);
		assert_int_equal(http_head_parse(&h, text, strlen(text)), HTTP_COMPLETE);
		assert_memory_equal(&h, &whole, sizeof(h));
	}
}

static void test_a_byte_of_any_value_in_a_field_name_is_a_token_character_or_refused(void **state)
{
	(void)state;
	const char *others = "!#$%&'*+-.^_`|~";
	for (int c = 1; c < 256; c++) {
		char text[64];
		struct http_head h;
		snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: a\r\nX%cY: b\r\n\r\n", c);
		bool token = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
			     strchr(others, c) != NULL;
		bool colon = c == ':'; /* then the name ends there */
		assert_int_equal(parse(&h, text), token || colon ? HTTP_COMPLETE : HTTP_REFUSED);
	}
}

static void test_limits_are_exact(void **state)
{
	(void)state;
	const char *text = "GET /abc HTTP/1.1\r\nHost: a\r\nA: b\r\n\r\n";
	const struct http_limits fits = {.target = 4, .head = strlen(text), .fields = 2, .body = 0};
	struct {
		struct http_limits l;
		enum http_fault fault;
	} rows[] = {
		{fits, HTTP_FAULT_NONE},
		{fits, HTTP_FAULT_TARGET_LONG},
		{fits, HTTP_FAULT_HEAD_LONG},
		{fits, HTTP_FAULT_FIELDS_MANY},
	};
	rows[1].l.target--;
	rows[2].l.head--;
	rows[3].l.fields--;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct http_head h;
		http_head_init(&h, &rows[i].l);
		http_head_parse(&h, text, strlen(text));
		assert_int_equal(h.fault, rows[i].fault);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_shape_of_the_corpus_gets_the_answer_its_name_says),
		cmocka_unit_test(test_head_gives_method_target_and_fields_without_white_space),
		cmocka_unit_test(test_bytes_after_the_head_are_not_looked_at),
		cmocka_unit_test(test_every_split_in_two_gives_the_same_framing),
		cmocka_unit_test(test_a_byte_of_any_value_in_a_field_name_is_a_token_character_or_refused),
		cmocka_unit_test(test_limits_are_exact),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
