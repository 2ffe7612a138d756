/* SPDX-License-Identifier: Apache-2.0
 *
 * Compressed answers come back as they were, however they were cut into pieces, and only who takes them gets them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>

#include "api/gzip.h"

#define SIZE 700000

static char *text_of(size_t size)
{
	char *text = malloc(size + 1);
	assert_non_null(text);
	uint32_t x = 1;
	for (size_t i = 0; i < size; i++) {
		x = x * 1664525u + 1013904223u;
		text[i] = "{\"serial\":12345,null}\n"[x >> 27 & 15];
	}
	text[size] = '\0';
	return text;
}

static void assert_unzips_to(struct evbuffer *zipped, const char *text, size_t size)
{
	size_t len = evbuffer_get_length(zipped);
	unsigned char *out = malloc(size + 1);
	assert_non_null(out);
	z_stream z = {.next_in = evbuffer_pullup(zipped, -1),
		      .avail_in = (uInt)len,
		      .next_out = out,
		      .avail_out = (uInt)size + 1};
	assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
	assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
	assert_int_equal(z.total_out, size);
	assert_int_equal(z.avail_in, 0);
	assert_memory_equal(out, text, size);
	inflateEnd(&z);
	free(out);
}

static void test_whole_answer_unzips_to_what_it_was(void **state)
{
	(void)state;
	static const size_t sizes[] = {0, 1, 1024, 16384, 70000, SIZE};
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		char *text = text_of(sizes[i]);
		struct evbuffer *body = evbuffer_new();
		evbuffer_add(body, text, sizes[i]);
		gzip_whole(body);
		assert_true(sizes[i] < 1024 || evbuffer_get_length(body) < sizes[i]);
		assert_unzips_to(body, text, sizes[i]);
		evbuffer_free(body);
		free(text);
	}
}

static void test_pieces_of_any_size_give_one_stream(void **state)
{
	(void)state;
	char *text = text_of(SIZE);
	struct evbuffer *from = evbuffer_new(), *to = evbuffer_new();
	struct gzip *g = gzip_new();
	for (size_t at = 0, piece = 1; at < SIZE; at += piece, piece = piece * 3 % 40009 + 1) {
		piece = piece < SIZE - at ? piece : SIZE - at;
		evbuffer_add(from, text + at, piece);
		gzip_add(g, from, to, false);
		assert_int_equal(evbuffer_get_length(from), 0);
	}
	gzip_add(g, from, to, true);
	assert_unzips_to(to, text, SIZE);
	gzip_free(&g);
	evbuffer_free(from);
	evbuffer_free(to);
	free(text);
}

static void test_gzip_is_taken_when_named_or_meant_and_not_weighted_zero(void **state)
{
	(void)state;
	static const struct {
		const char *field;
		bool taken;
	} rows[] = {
		{NULL, false},
		{"", false},
		{"identity", false},
		{"br", false},
		{"gzipped", false},
		{"gzip", true},
		{"GZIP", true},
		{"x-gzip", true},
		{"deflate, gzip, br", true},
		{"*", true},
		{"br;q=1.0, gzip;q=0.8, *;q=0.1", true},
		{"gzip;q=0", false},
		{"gzip; q=0.000", false},
		{"gzip;q=0.001", true},
		{"*, gzip;q=0", false},
		{"*;q=0, gzip", true},
		{"*;q=0", false},
		{",,gzip,,", true},
		{"gzip;", true},
		{";q=0", false},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (gzip_accepted(rows[i].field) != rows[i].taken)
			fail_msg("'%s'", rows[i].field);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole_answer_unzips_to_what_it_was),
		cmocka_unit_test(test_pieces_of_any_size_give_one_stream),
		cmocka_unit_test(test_gzip_is_taken_when_named_or_meant_and_not_weighted_zero),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
