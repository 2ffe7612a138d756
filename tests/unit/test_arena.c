/* SPDX-License-Identifier: Apache-2.0
 *
 * The memory of a batch: what is handed out is aligned and apart, and a reset gives it back for the next one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <malloc.h>

#include "core/arena.h"

#define KEEP ((size_t)256 * 1024)

static int fresh(void **state)
{
	*state = arena_new(KEEP);
	return 0;
}

static int drop(void **state)
{
	struct arena *a = *state;
	arena_free(&a);
	assert_null(a);
	return 0;
}

static void test_each_piece_is_aligned_and_none_overlaps_another(void **state)
{
	enum { PIECES = 2000 };
	static unsigned char *pieces[PIECES];
	static const size_t sizes[] = {0, 1, 7, 8, 15, 16, 17, 100, 4096, 70000};
	for (size_t i = 0; i < PIECES; i++) {
		size_t size = sizes[i % 10];
		pieces[i] = arena_alloc(*state, size);
		assert_int_equal((uintptr_t)pieces[i] % _Alignof(max_align_t), 0);
		memset(pieces[i], (int)(i % 251), size);
	}
	for (size_t i = 0; i < PIECES; i++) {
		for (size_t k = 0; k < sizes[i % 10]; k++)
			assert_int_equal(pieces[i][k], i % 251);
	}
}

static void test_a_piece_larger_than_a_block_fits(void **state)
{
	size_t size = 3 * 1024 * 1024;
	char *small = arena_copy(*state, "before", 7);
	unsigned char *large = arena_alloc(*state, size);
	memset(large, 0xa5, size);
	assert_string_equal(small, "before");
	assert_true(arena_used(*state) >= size);
}

static void test_a_reset_hands_the_same_memory_out_again(void **state)
{
	void *first = arena_alloc(*state, 1000);
	arena_alloc(*state, 100000);
	arena_reset(*state);
	assert_int_equal(arena_used(*state), 0);
	assert_ptr_equal(arena_alloc(*state, 1000), first);
}

static void test_a_steady_load_allocates_nothing_after_the_first_batch(void **state)
{
	size_t before = 0;
	for (int batch = 0; batch < 50; batch++) {
		for (int i = 0; i < 200; i++)
			arena_alloc(*state, 1000);
		arena_reset(*state);
		size_t now = mallinfo2().uordblks + mallinfo2().hblkhd;
		if (batch == 0)
			before = now;
		assert_true(now <= before);
	}
}

static void test_a_reset_keeps_no_more_than_it_was_told(void **state)
{
	size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
	for (int i = 0; i < 64; i++)
		arena_alloc(*state, 256 * 1024);
	arena_reset(*state);
	assert_true(mallinfo2().uordblks + mallinfo2().hblkhd <= before + KEEP + 4096);
}

static void test_text_is_terminated_and_format_is_never_cut(void **state)
{
	assert_string_equal(arena_text(*state, "serial-and-more", 6), "serial");
	assert_string_equal(arena_text(*state, "", 0), "");
	char *formatted = arena_format(*state, "%s=%d", "probe", 3), *wide = arena_format(*state, "%*d", 5000, 7);
	assert_string_equal(formatted, "probe=3");
	assert_int_equal(strlen(wide), 5000);
	assert_int_equal(wide[4999], '7');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_each_piece_is_aligned_and_none_overlaps_another, fresh, drop),
		cmocka_unit_test_setup_teardown(test_a_piece_larger_than_a_block_fits, fresh, drop),
		cmocka_unit_test_setup_teardown(test_a_reset_hands_the_same_memory_out_again, fresh, drop),
		cmocka_unit_test_setup_teardown(test_a_steady_load_allocates_nothing_after_the_first_batch, fresh,
						drop),
		cmocka_unit_test_setup_teardown(test_a_reset_keeps_no_more_than_it_was_told, fresh, drop),
		cmocka_unit_test_setup_teardown(test_text_is_terminated_and_format_is_never_cut, fresh, drop),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
