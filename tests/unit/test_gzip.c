/* SPDX-License-Identifier: Apache-2.0
 *
 * Compressed answers come back as they were, however they were cut into pieces, and only who takes them gets them;
 * compressed requests are inflated so far and no further. */
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

static struct evbuffer *zipped(size_t size)
{
	char *text = text_of(size);
	struct evbuffer *body = evbuffer_new();
	evbuffer_add(body, text, size);
	gzip_whole(body);
	free(text);
	return body;
}

static void test_a_request_is_inflated_to_what_it_was(void **state)
{
	(void)state;
	char *text = text_of(SIZE);
	struct evbuffer *body = zipped(SIZE);
	struct err e = {0};
	assert_true(gzip_inflate(body, SIZE, &e));
	assert_int_equal(evbuffer_get_length(body), SIZE);
	assert_memory_equal(evbuffer_pullup(body, -1), text, SIZE);
	evbuffer_free(body);
	free(text);
}

static void assert_not_inflated(struct evbuffer *body, uint64_t most, enum err_code code, const char *why)
{
	struct err e = {0};
	assert_false(gzip_inflate(body, most, &e));
	assert_int_equal(e.code, code);
	assert_non_null(strstr(e.detail, why));
	evbuffer_free(body);
}

static void test_a_request_that_inflates_to_a_byte_too_many_is_refused(void **state)
{
	(void)state;
	assert_not_inflated(zipped(SIZE), SIZE - 1, ERR_TOO_LARGE, "expected at most 699999 bytes when inflated");
	struct evbuffer *bomb = evbuffer_new();
	static const char zeros[1 << 20];
	for (int i = 0; i < 100; i++)
		evbuffer_add_reference(bomb, zeros, sizeof(zeros), NULL, NULL);
	gzip_whole(bomb);
	assert_true(evbuffer_get_length(bomb) < 1 << 20);
	assert_not_inflated(bomb, 1 << 20, ERR_TOO_LARGE, "expected at most 1048576 bytes");
}

static void test_what_is_no_whole_gzip_is_refused(void **state)
{
	(void)state;
	struct evbuffer *cut = zipped(SIZE), *more = zipped(10), *text = evbuffer_new(), *nothing = evbuffer_new();
	struct evbuffer *wrong = zipped(10);
	struct evbuffer *whole = evbuffer_new();
	evbuffer_remove_buffer(cut, whole, evbuffer_get_length(cut) - 1);
	evbuffer_free(cut);
	assert_not_inflated(whole, SIZE, ERR_REQUEST, "a part of it");
	evbuffer_add(more, "x", 1);
	assert_not_inflated(more, SIZE, ERR_REQUEST, "expected nothing after the gzip member, got 1 bytes");
	evbuffer_add(text, "{}", 2);
	assert_not_inflated(text, SIZE, ERR_REQUEST, "expected gzip");
	assert_not_inflated(nothing, SIZE, ERR_REQUEST, "expected gzip");
	evbuffer_pullup(wrong, -1)[evbuffer_get_length(wrong) - 8] ^= 1; /* its checksum */
	assert_not_inflated(wrong, SIZE, ERR_REQUEST, "expected gzip");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole_answer_unzips_to_what_it_was),
		cmocka_unit_test(test_pieces_of_any_size_give_one_stream),
		cmocka_unit_test(test_gzip_is_taken_when_named_or_meant_and_not_weighted_zero),
		cmocka_unit_test(test_a_request_is_inflated_to_what_it_was),
		cmocka_unit_test(test_a_request_that_inflates_to_a_byte_too_many_is_refused),
		cmocka_unit_test(test_what_is_no_whole_gzip_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
