/* SPDX-License-Identifier: Apache-2.0
 *
 * The tracker's flash lets go by receipt alone, remembers what it had to overwrite, and comes back from a file that
 * was cut off at any byte without ever giving a number twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/tracker/encode.h"
#include "tests/tracker/flash.h"
#include "tests/tracker/journal.h"

static char dir[] = "/tmp/test_tracker_flash.XXXXXX";
static char path[128], other[128];

static int make_dir(void **state)
{
	(void)state;
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/a.flash", dir);
	snprintf(other, sizeof(other), "%s/b.flash", dir);
	return 0;
}

static int drop_dir(void **state)
{
	(void)state;
	unlink(path);
	unlink(other);
	return rmdir(dir);
}

static void append(struct flash *f, int32_t n)
{
	for (int32_t i = 0; i < n; i++) {
		struct measure m[2] = {{.value = flash_next(f) / 10.0, .quantity = Q_TEMP},
				       {.value = 80, .quantity = Q_BATT}};
		flash_append(f, INT64_C(1790000000000000) + flash_next(f), m, 1 + (size_t)i % 2);
	}
}

static struct receipt receipt(int32_t through, size_t missing, const struct range *ranges)
{
	struct receipt r = {.through = through, .missing_count = missing};

	if (missing > 0)
		memcpy(r.missing, ranges, missing * sizeof(*ranges));
	return r;
}

static struct flash *open_flash(const char *name, size_t capacity)
{
	struct err e = {0};
	struct flash *f = flash_open(name, capacity, &e);

	if (f == NULL)
		fail_msg("%s", e.detail);
	return f;
}

static void test_receipt_frees_what_it_covers_and_nothing_else(void **state)
{
	struct flash *f = flash_new(100, false);
	struct receipt r = receipt(7, 2, (struct range[]){{2, 3}, {6, 6}});

	(void)state;
	append(f, 10);
	assert_int_equal(flash_cover(f, &r), 5);
	assert_int_equal(flash_used(f), 5);
	assert_int_equal(flash_first(f), 2);
	for (int32_t seq = 0; seq < 10; seq++)
		assert_true((flash_get(f, seq) != NULL) == (seq == 2 || seq == 3 || seq == 6 || seq > 7));
	r = receipt(9, 0, NULL);
	assert_int_equal(flash_cover(f, &r), 5);
	assert_int_equal(flash_cover(f, &r), 0);
	assert_int_equal(flash_first(f), 10);
	flash_free(&f);
}

static void test_full_flash_overwrites_the_oldest_and_reports_it_when_missed(void **state)
{
	struct flash *f = flash_new(20, false);
	struct receipt stored = receipt(4, 0, NULL), r = receipt(40, 1, (struct range[]){{0, 30}});
	struct range lost[LOST_MAX];

	(void)state;
	append(f, 10);
	flash_cover(f, &stored);
	append(f, 31);
	assert_int_equal(flash_used(f), 20);
	assert_int_equal(flash_overwritten(f), 16);
	assert_int_equal(flash_first(f), 21);
	assert_int_equal(flash_lost(f, &r, lost), 1);
	assert_int_equal(lost[0].first, 5); /* 0 to 4 were stored: that receipt was overtaken */
	assert_int_equal(lost[0].last, 20);
	flash_free(&f);
}

static void test_numbers_before_the_first_one_are_lost_when_missed(void **state)
{
	struct flash *f = flash_new(20, false);
	struct receipt r = receipt(104, 1, (struct range[]){{0, 99}});
	struct range lost[LOST_MAX];

	(void)state;
	flash_start_at(f, 100);
	append(f, 5);
	assert_int_equal(flash_lost(f, &r, lost), 1);
	assert_int_equal(lost[0].last, 99);
	flash_free(&f);
}

static void test_kept_samples_stay_readable_after_their_receipt(void **state)
{
	struct flash *f = flash_new(10, true);
	struct receipt r = receipt(9, 0, NULL);

	(void)state;
	append(f, 10);
	assert_int_equal(flash_cover(f, &r), 10);
	assert_int_equal(flash_used(f), 0);
	for (int32_t seq = 0; seq < 10; seq++)
		assert_int_equal(flash_get(f, seq)->delivery, DELIVERY_STORED);
	flash_free(&f);
}

static void test_reopened_flash_goes_on_where_it_was(void **state)
{
	struct flash *f = open_flash(path, 1000);
	struct receipt r = receipt(59, 1, (struct range[]){{30, 31}});

	(void)state;
	assert_int_equal(flash_epoch(f), EPOCH_UNKNOWN);
	flash_set_epoch(f, 7);
	append(f, 100);
	flash_cover(f, &r);
	flash_free(&f);
	f = open_flash(path, 1000);
	assert_int_equal(flash_epoch(f), 7);
	assert_int_equal(flash_next(f), 100);
	assert_int_equal(flash_first(f), 30);
	assert_int_equal(flash_last_ts(f), INT64_C(1790000000000099));
	for (int32_t seq = 60; seq < 100; seq++) {
		assert_int_equal(flash_get(f, seq)->ts, INT64_C(1790000000000000) + seq);
		assert_true(flash_get(f, seq)->measures[0].value == seq / 10.0);
	}
	flash_free(&f);
	unlink(path);
}

static void test_file_stays_small_while_receipts_come(void **state)
{
	struct flash *f = open_flash(path, 1000);
	struct stat st;

	(void)state;
	flash_set_epoch(f, 0);
	for (int32_t i = 0; i < 20000; i += 10) {
		struct receipt r = receipt(i + 9, 0, NULL);
		append(f, 10);
		flash_cover(f, &r);
	}
	assert_null(flash_fault(f));
	flash_free(&f);
	assert_int_equal(stat(path, &st), 0);
	assert_in_range(st.st_size, JOURNAL_HEADERS_SIZE, 80000);
	f = open_flash(path, 1000);
	assert_int_equal(flash_next(f), 20000);
	assert_int_equal(flash_used(f), 0);
	flash_free(&f);
	unlink(path);
}

static size_t copy_file(const char *from, const char *to, size_t limit, size_t flip)
{
	static char bytes[65536];
	unlink(to);
	FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");

	assert_non_null(in);
	assert_non_null(out);
	size_t len = fread(bytes, 1, sizeof(bytes), in);
	if (flip < len)
		bytes[flip] = (char)(bytes[flip] ^ 0x10);
	assert_int_equal(fwrite(bytes, 1, len < limit ? len : limit, out), len < limit ? len : limit);
	fclose(in);
	fclose(out);
	return len;
}

/* Whatever is left of a flash of 30 samples: no number below 30 is given again, and what is there is right. */
/* How many numbers below 100 it says are lost, none of which it has. */
static size_t gone_from(const struct flash *f)
{
	struct receipt r = receipt(100, 1, (struct range[]){{0, 99}});
	struct range lost[LOST_MAX];
	size_t gone = 0, n = flash_lost(f, &r, lost);

	for (size_t i = 0; i < n; i++) {
		gone += (size_t)(lost[i].last - lost[i].first) + 1;
		for (int32_t seq = lost[i].first; seq <= lost[i].last; seq++)
			assert_null(flash_get(f, seq));
	}
	return gone;
}

static void check_damaged(size_t at, struct flash *f)
{
	bool known = flash_epoch(f) != EPOCH_UNKNOWN;
	size_t gone = gone_from(f);

	if (known && (flash_epoch(f) != 3 || flash_next(f) != 30))
		fail_msg("damage at byte %zu: epoch %d, next %d", at, flash_epoch(f), flash_next(f));
	if (!known && (flash_next(f) != 0 || flash_used(f) != 0))
		fail_msg("damage at byte %zu: no epoch, but next %d", at, flash_next(f));
	for (int32_t seq = 0; known && seq < 30; seq++)
		if (flash_get(f, seq) != NULL)
			assert_true(flash_get(f, seq)->measures[0].value == seq / 10.0);
	if (known && flash_used(f) + gone != 30)
		fail_msg("damage at byte %zu: %zu samples and %zu known as lost, of 30", at, flash_used(f), gone);
	append(f, 1);
	assert_null(flash_fault(f));
}

static void write_thirty(void)
{
	struct flash *f = open_flash(path, 1000);

	flash_set_epoch(f, 3);
	append(f, 30);
	flash_free(&f);
}

static void test_flash_cut_off_at_any_byte_gives_no_number_twice(void **state)
{
	(void)state;
	write_thirty();
	size_t len = copy_file(path, other, SIZE_MAX, SIZE_MAX);
	for (size_t cut = 0; cut <= len; cut++) {
		copy_file(path, other, cut, SIZE_MAX);
		struct flash *f = open_flash(other, 1000);
		assert_true((flash_epoch(f) == EPOCH_UNKNOWN) == (cut < JOURNAL_HEADERS_SIZE));
		check_damaged(cut, f);
		flash_free(&f);
	}
	unlink(path);
}

static void test_flash_with_any_byte_damaged_gives_no_number_twice(void **state)
{
	(void)state;
	write_thirty();
	size_t len = copy_file(path, other, SIZE_MAX, SIZE_MAX);
	for (size_t at = 0; at < len; at++) {
		copy_file(path, other, SIZE_MAX, at);
		struct flash *f = open_flash(other, 1000);
		check_damaged(at, f);
		flash_free(&f);
		for (int start = 2; start <= 3; start++) {
			f = open_flash(other, 1000); /* the repair holds, and what it cost is known still */
			assert_int_equal(flash_next(f), 30 + start - 1);
			if (flash_epoch(f) != EPOCH_UNKNOWN)
				assert_int_equal(flash_used(f) + gone_from(f), 30 + start - 1);
			append(f, 1);
			flash_free(&f);
		}
	}
	unlink(path);
}

static void test_unwritable_file_is_an_error_that_names_it(void **state)
{
	struct err e = {0};

	(void)state;
	assert_null(flash_open("/nonexistent/x.flash", 10, &e));
	assert_non_null(strstr(e.detail, "/nonexistent/x.flash"));
}

static void test_crc_is_the_common_one(void **state)
{
	(void)state;
	assert_int_equal(journal_crc("123456789", 9), 0xcbf43926u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_receipt_frees_what_it_covers_and_nothing_else),
		cmocka_unit_test(test_full_flash_overwrites_the_oldest_and_reports_it_when_missed),
		cmocka_unit_test(test_numbers_before_the_first_one_are_lost_when_missed),
		cmocka_unit_test(test_kept_samples_stay_readable_after_their_receipt),
		cmocka_unit_test(test_reopened_flash_goes_on_where_it_was),
		cmocka_unit_test(test_file_stays_small_while_receipts_come),
		cmocka_unit_test(test_flash_cut_off_at_any_byte_gives_no_number_twice),
		cmocka_unit_test(test_flash_with_any_byte_damaged_gives_no_number_twice),
		cmocka_unit_test(test_unwritable_file_is_an_error_that_names_it),
		cmocka_unit_test(test_crc_is_the_common_one),
	};

	return cmocka_run_group_tests(tests, make_dir, drop_dir);
}
