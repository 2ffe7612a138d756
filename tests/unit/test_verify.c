/* SPDX-License-Identifier: Apache-2.0
 *
 * Every way to tamper with an audit trail that keeps its shape, and some that do not: each is found, and the first
 * entry that is wrong is named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/ec.h>

#include "ops/ctl/verify.h"

#define ENTRIES  20
#define LINE_CAP 1024

static struct err err;
static struct verify_result result;
static struct cose_key *key, *stranger;
static struct cose_keyring ring, nobody;

/* A trail in memory that a test spoils; a line may be an entry or a checkpoint. */
struct trail {
	char line[2 * ENTRIES][LINE_CAP];
	uint8_t hash[ENTRIES + 1][AUDIT_HASH_BYTES];
	size_t lines;
	char checkpoints[ENTRIES * AUDIT_LINE_MAX]; /* kept elsewhere */
};

static struct trail t;

static void to_hex(const uint8_t *bytes, char *text)
{
	for (size_t i = 0; i < AUDIT_HASH_BYTES; i++)
		snprintf(text + 2 * i, 3, "%02x", bytes[i]);
}

/* Writes entry `number` by `actor` behind the one before. */
static void chain(struct trail *to, size_t number, const char *actor)
{
	char canonical[LINE_CAP / 2], previous[65], hash[65];
	snprintf(canonical, sizeof(canonical),
		 "{\"number\":%zu,\"at\":\"2026-11-22T11:01:%02zu.000000Z\",\"role\":\"coldfleet_api\",\"actor\":\"%"
		 "s\"}",
		 number, number, actor);
	audit_link(to->hash[number - 1], canonical, strlen(canonical), to->hash[number]);
	to_hex(to->hash[number - 1], previous);
	to_hex(to->hash[number], hash);
	snprintf(to->line[number - 1], LINE_CAP, "{\"previous\":\"%s\",\"hash\":\"%s\",\"entry\":%s}\n", previous, hash,
		 canonical);
}

static void sign(const struct trail *from, const struct cose_key *by, size_t number, char line[AUDIT_LINE_MAX])
{
	struct audit_checkpoint c = {.number = number, .at = 1790000000 + (int64_t)number};
	uint8_t message[AUDIT_CHECKPOINT_MAX];
	size_t len;
	memcpy(c.hash, from->hash[number], sizeof(c.hash));
	assert_true(audit_checkpoint_sign(by, &c, message, &len, &err));
	assert_true(audit_checkpoint_line(&c, cose_key_kid(by), message, len, line, &err));
}

static int fill(void **state)
{
	char line[AUDIT_LINE_MAX];
	(void)state;
	memset(&t, 0, sizeof(t));
	memset(&err, 0, sizeof(err));
	for (size_t n = 1; n <= ENTRIES; n++)
		chain(&t, n, "anna");
	t.lines = ENTRIES;
	for (size_t n = 5; n <= ENTRIES; n += 5) {
		sign(&t, key, n, line);
		strcat(t.checkpoints, line);
	}
	return 0;
}

static int make_keys(void **state)
{
	EVP_PKEY *pair = EVP_EC_gen("P-256"), *other = EVP_EC_gen("P-256");
	(void)state;
	key = cose_key_from_evp(pair, &err);
	stranger = cose_key_from_evp(other, &err);
	EVP_PKEY_free(pair);
	EVP_PKEY_free(other);
	ring = (struct cose_keyring){.keys = {key}, .count = 1};
	return key != NULL && stranger != NULL ? 0 : -1;
}

static int free_keys(void **state)
{
	(void)state;
	cose_key_free(&key);
	cose_key_free(&stranger);
	return 0;
}

static bool verifies_from(uint64_t after, size_t first_line, const struct cose_keyring *by, bool with_checkpoints)
{
	FILE *file = with_checkpoints ? fmemopen(t.checkpoints, strlen(t.checkpoints), "r") : NULL;
	struct verify *v = verify_new(after, by, file);
	bool ok = true;
	for (size_t i = first_line; ok && i < t.lines; i++)
		ok = verify_line(v, t.line[i], strlen(t.line[i]), &err);
	ok = ok && verify_end(v, &result, &err);
	verify_free(&v);
	if (file != NULL)
		fclose(file);
	return ok;
}

static void check_found(bool with_checkpoints, const char *what)
{
	assert_false(verifies_from(0, 0, with_checkpoints ? &ring : &nobody, with_checkpoints));
	assert_int_equal(err.code, ERR_CONFLICT);
	if (strstr(err.detail, what) == NULL)
		fail_msg("'%s' does not say '%s'", err.detail, what);
}

static void test_whole_trail_verifies_with_its_checkpoints(void **state)
{
	(void)state;
	assert_true(verifies_from(0, 0, &ring, true));
	assert_true(result.first == 1 && result.last == ENTRIES && result.checkpoints == 4 && result.start_known);
	assert_true(result.signed_through == ENTRIES && result.signed_at == 1790000000 + ENTRIES);
	assert_string_equal(result.to, "2026-11-22T11:01:20.000000Z");
	assert_true(verifies_from(0, 0, &nobody, false));
	assert_true(result.checkpoints == 0 && result.signed_through == 0);
}

static void test_any_flipped_bit_is_found(void **state)
{
	(void)state;
	t.lines = 3;
	for (size_t i = 0; i < t.lines; i++)
		for (size_t bit = 0; bit < 8 * (strlen(t.line[i]) - 1); bit++) {
			char *byte = &t.line[i][bit / 8];
			*byte = (char)(*byte ^ 1 << bit % 8);
			if (verifies_from(0, 0, &nobody, false))
				fail_msg("bit %zu of line %zu", bit, i + 1);
			assert_int_equal(err.code, ERR_CONFLICT);
			*byte = (char)(*byte ^ 1 << bit % 8);
		}
	assert_true(verifies_from(0, 0, &nobody, false));
}

static void test_altered_entry_is_named(void **state)
{
	(void)state;
	memcpy(strstr(t.line[6], "anna"), "hans", 4);
	check_found(false, "entry 7: altered");
}

static void test_removed_entry_is_named(void **state)
{
	(void)state;
	memmove(t.line[6], t.line[7], (ENTRIES - 7) * sizeof(t.line[0]));
	t.lines--;
	check_found(false, "line 7: entry 7: missing; entry 8 is in its place");
}

static void test_removed_beginning_is_named(void **state)
{
	(void)state;
	assert_false(verifies_from(0, 3, &nobody, false));
	assert_non_null(strstr(err.detail, "line 1: entry 1: missing; entry 4 is in its place"));
}

static void test_swapped_entries_are_named(void **state)
{
	char other[LINE_CAP];
	(void)state;
	memcpy(other, t.line[6], LINE_CAP);
	memcpy(t.line[6], t.line[7], LINE_CAP);
	memcpy(t.line[7], other, LINE_CAP);
	check_found(false, "line 7: entry 7: missing; entry 8 is in its place");
}

static void test_repeated_entry_is_named(void **state)
{
	(void)state;
	memcpy(t.line[9], t.line[8], LINE_CAP);
	check_found(false, "line 10: entry 9: out of its place, after entry 9");
}

static void test_entry_hashed_anew_alone_breaks_the_link_behind_it(void **state)
{
	uint8_t was[AUDIT_HASH_BYTES];
	(void)state;
	memcpy(was, t.hash[7], sizeof(was));
	chain(&t, 7, "hans");
	memcpy(t.hash[7], was, sizeof(was));
	check_found(false, "entry 8: does not follow entry 7 as it is here");
}

static void test_renumbered_entries_hide_no_removal(void **state)
{
	(void)state;
	memcpy(t.hash[6], t.hash[7], AUDIT_HASH_BYTES); /* 8 becomes 7, behind what was 7 */
	chain(&t, 7, "anna");
	check_found(false, "entry 7: does not follow entry 6");
}

static void test_end_that_was_cut_off_is_found_by_the_checkpoints(void **state)
{
	(void)state;
	t.lines = 18;
	assert_true(verifies_from(0, 0, &nobody, false));
	check_found(true,
		    "entry 19: missing; the trail ends before it, but at 2026-09-21T14:13:40Z it had at least 20");
	t.lines = 0;
	check_found(true, "entry 1: missing; the trail ends before it");
}

static void test_trail_hashed_anew_from_its_middle_is_found_by_the_checkpoints(void **state)
{
	(void)state;
	for (size_t n = 12; n <= ENTRIES; n++)
		chain(&t, n, n == 12 ? "hans" : "anna");
	assert_true(verifies_from(0, 0, &nobody, false));
	check_found(true,
		    "entry 15: not the one that was signed at 2026-09-21T14:13:35Z: entries after 10 were replaced");
}

static void test_checkpoint_of_another_key_is_named(void **state)
{
	char line[AUDIT_LINE_MAX];
	(void)state;
	for (size_t n = 12; n <= ENTRIES; n++)
		chain(&t, n, "hans");
	sign(&t, stranger, 15, line);
	char *third = strchr(strchr(t.checkpoints, '\n') + 1, '\n') + 1;
	snprintf(third, AUDIT_LINE_MAX, "%s", line);
	check_found(true, "checkpoints, line 3: not signed for this purpose by a key that is trusted");
}

static void test_checkpoint_that_was_altered_is_named(void **state)
{
	(void)state;
	char *message = strstr(t.checkpoints, "\"checkpoint\":\"");
	message[60] = message[60] == 'A' ? 'B' : 'A';
	check_found(true, "checkpoints, line 1: ");
}

static void test_checkpoints_that_go_back_are_named(void **state)
{
	char line[AUDIT_LINE_MAX];
	(void)state;
	sign(&t, key, 3, line);
	strcat(t.checkpoints, line);
	check_found(true, "checkpoints, line 5: signs entry 3 after entry 20");
}

static void test_line_that_was_cut_short_is_no_checkpoint_and_hides_none(void **state)
{
	char line[AUDIT_LINE_MAX];
	(void)state;
	sign(&t, key, ENTRIES, line);
	size_t whole = strlen(t.checkpoints);
	snprintf(t.checkpoints + whole, sizeof(t.checkpoints) - whole, "%.100s\n", line);
	strcat(t.checkpoints, line);
	assert_true(verifies_from(0, 0, &ring, true));
	assert_true(result.torn == 1 && result.checkpoints == 5);
	t.lines--;
	check_found(true, "entry 20: missing");
}

static void test_checkpoints_within_the_trail_count_too(void **state)
{
	(void)state;
	char line[AUDIT_LINE_MAX];
	sign(&t, key, ENTRIES, line);
	snprintf(t.line[t.lines++], LINE_CAP, "{%s", strstr(line, "\"checkpoint\""));
	assert_true(verifies_from(0, 0, &ring, false));
	assert_true(result.checkpoints == 1 && result.signed_through == ENTRIES);
	memcpy(t.line[ENTRIES - 1], t.line[ENTRIES], LINE_CAP);
	t.lines--;
	check_found(true, "line 20: the checkpoint of entry 20 stands after entry 19");
}

static void test_continued_trail_is_bound_to_the_one_before_by_a_checkpoint(void **state)
{
	(void)state;
	assert_true(verifies_from(10, 10, &ring, true));
	assert_true(result.first == 11 && result.start_known && result.checkpoints == 3);
	assert_true(verifies_from(7, 7, &ring, true));
	assert_true(result.first == 8 && !result.start_known);
	memset(t.hash[10], 7, AUDIT_HASH_BYTES);
	for (size_t n = 11; n <= ENTRIES; n++)
		chain(&t, n, "anna");
	assert_true(verifies_from(10, 10, &nobody, false));
	assert_false(verifies_from(10, 10, &ring, true));
	assert_non_null(strstr(err.detail, "entry 11: does not follow entry 10"));
}

static void test_line_of_another_shape_is_named(void **state)
{
	static const char *const lines[] = {
		"\n", "{}\n", "[1]\n", "{\"previous\":\"00\"}\n", "{\"entry\":{\"number\":7}}\n",
	};
	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		snprintf(t.line[6], LINE_CAP, "%s", lines[i]);
		check_found(false, "entry 7: line 7 is not an entry");
	}
	t.line[6][0] = '\0';
	check_found(false, "entry 7: line 7 is not an entry");
}

#define TEST(name) cmocka_unit_test_setup(name, fill)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_whole_trail_verifies_with_its_checkpoints),
		TEST(test_any_flipped_bit_is_found),
		TEST(test_altered_entry_is_named),
		TEST(test_removed_entry_is_named),
		TEST(test_removed_beginning_is_named),
		TEST(test_swapped_entries_are_named),
		TEST(test_repeated_entry_is_named),
		TEST(test_entry_hashed_anew_alone_breaks_the_link_behind_it),
		TEST(test_renumbered_entries_hide_no_removal),
		TEST(test_end_that_was_cut_off_is_found_by_the_checkpoints),
		TEST(test_trail_hashed_anew_from_its_middle_is_found_by_the_checkpoints),
		TEST(test_checkpoint_of_another_key_is_named),
		TEST(test_checkpoint_that_was_altered_is_named),
		TEST(test_checkpoints_that_go_back_are_named),
		TEST(test_line_that_was_cut_short_is_no_checkpoint_and_hides_none),
		TEST(test_checkpoints_within_the_trail_count_too),
		TEST(test_continued_trail_is_bound_to_the_one_before_by_a_checkpoint),
		TEST(test_line_of_another_shape_is_named),
	};
	return cmocka_run_group_tests(tests, make_keys, free_keys);
}
