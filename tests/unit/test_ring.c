/* SPDX-License-Identifier: Apache-2.0
 *
 * The ring between broker and ingest: what is put comes out, in order and whole, also when either side is killed at any
 * moment; what was not released comes again; damage is given out, not followed; a sleeper is woken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker-bridge/ring.h"

#define ROOM (UINT64_C(1) << 16)

static char folder[64], path[96];
static struct arena *arena;

static int set_up(void **state)
{
	struct err e = {0};
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/ring-XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/telemetry", folder);
	arena = arena_new(1 << 20);
	assert_true(ring_create(path, ROOM, 0600, &e));
	return 0;
}

static int tear_down(void **state)
{
	char command[128];
	(void)state;
	arena_free(&arena);
	snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	return system(command);
}

static struct ring *must_open(enum ring_side side)
{
	struct err e = {0};
	struct ring *r = ring_open(path, side, &e);
	if (r == NULL)
		fail_msg("%s", e.detail);
	return r;
}

static void assert_not_opened(enum ring_side side, enum err_code code, const char *words)
{
	struct err e = {0};
	assert_null(ring_open(path, side, &e));
	assert_int_equal(e.code, code);
	if (strstr(e.detail, words) == NULL)
		fail_msg("said \"%s\", expected \"%s\"", e.detail, words);
}

/* A message that says its number, and whose length and every byte follow from it. */
static enum ring_put put_number(struct ring *r, uint32_t number)
{
	static uint8_t payload[4096];
	char topic[64];
	size_t len = 4 + number * 7919 % 2000;
	memcpy(payload, &number, sizeof(number));
	memset(payload + 4, (int)(number & 0xff), len - 4);
	int topic_len = snprintf(topic, sizeof(topic), "cf/v1/device-%u/telemetry", number % 1000);
	struct ring_message m = {.received_us = number,
				 .topic = topic,
				 .topic_len = (size_t)topic_len,
				 .content_type = number % 2 == 0 ? "application/senml+json" : NULL,
				 .content_type_len = number % 2 == 0 ? 22 : 0,
				 .asks_receipt = number % 10 == 0,
				 .payload = payload,
				 .payload_len = len};
	return ring_put(r, &m);
}

static uint32_t number_of(const struct ring_message *m)
{
	uint32_t number;
	char topic[64];
	assert_true(m->payload_len >= sizeof(number));
	memcpy(&number, m->payload, sizeof(number));
	snprintf(topic, sizeof(topic), "cf/v1/device-%u/telemetry", number % 1000);
	assert_int_equal(m->payload_len, 4 + number * 7919 % 2000);
	assert_string_equal(m->topic, topic);
	assert_int_equal(m->topic_len, strlen(topic));
	assert_int_equal(m->received_us, number);
	assert_int_equal(m->asks_receipt, number % 10 == 0);
	if (number % 2 == 0)
		assert_string_equal(m->content_type, "application/senml+json");
	else
		assert_null(m->content_type);
	const uint8_t *bytes = m->payload;
	for (size_t i = 4; i < m->payload_len; i++)
		assert_int_equal(bytes[i], number & 0xff);
	return number;
}

static void assert_next(struct ring *r, uint32_t number)
{
	struct ring_message m;
	assert_int_equal(ring_get(r, arena, &m), RING_GOT);
	assert_int_equal(number_of(&m), number);
}

static void test_what_is_put_comes_out_in_order_over_many_turns(void **state)
{
	struct ring *w = must_open(RING_WRITER), *r = must_open(RING_READER);
	struct ring_message m;
	uint32_t in = 0, out = 0;
	(void)state;
	while (in < 5000) {
		while (put_number(w, in) == RING_PUT)
			in++;
		while (ring_get(r, arena, &m) == RING_GOT)
			assert_int_equal(number_of(&m), out++);
		ring_release(r, ring_position(r));
		arena_reset(arena);
	}
	assert_int_equal(in, out);
	struct ring_state s;
	ring_state(w, &s);
	assert_int_equal(s.written, in);
	assert_int_equal(s.used, 0);
	assert_true(s.refused > 0);
	assert_true(s.highest > ROOM / 2 && s.highest <= ROOM);
	ring_close(&w);
	ring_close(&r);
}

static void test_what_was_not_released_comes_again(void **state)
{
	struct ring *w = must_open(RING_WRITER), *r = must_open(RING_READER);
	(void)state;
	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(put_number(w, i), RING_PUT);
	assert_next(r, 0);
	uint64_t first = ring_position(r);
	assert_next(r, 1);
	assert_next(r, 2);
	ring_release(r, first);
	ring_rewind(r);
	assert_next(r, 1);
	ring_close(&r);
	r = must_open(RING_READER);
	for (uint32_t i = 1; i < 4; i++)
		assert_next(r, i);
	ring_close(&w);
	ring_close(&r);
}

static void test_a_full_ring_refuses_and_overwrites_nothing(void **state)
{
	struct ring *w = must_open(RING_WRITER), *r = must_open(RING_READER);
	uint32_t in = 0;
	(void)state;
	while (put_number(w, in) == RING_PUT)
		in++;
	assert_int_equal(put_number(w, in), RING_FULL);
	for (uint32_t i = 0; i < in; i++)
		assert_next(r, i);
	assert_int_equal(put_number(w, in), RING_FULL); /* got, but not released */
	ring_release(r, ring_position(r));
	assert_int_equal(put_number(w, in), RING_PUT);
	assert_next(r, in);
	ring_close(&w);
	ring_close(&r);
}

static void test_what_cannot_fit_is_refused_for_good(void **state)
{
	static char big[ROOM];
	struct ring *w = must_open(RING_WRITER);
	(void)state;
	struct ring_message m = {.topic = big, .topic_len = 10, .payload = big, .payload_len = ROOM / 2};
	assert_int_equal(ring_put(w, &m), RING_TOO_LARGE);
	m = (struct ring_message){.topic = big, .topic_len = RING_TOPIC_MAX + 1};
	assert_int_equal(ring_put(w, &m), RING_TOO_LARGE);
	m = (struct ring_message){.topic = big, .content_type = big, .content_type_len = RING_CONTENT_MAX + 1};
	assert_int_equal(ring_put(w, &m), RING_TOO_LARGE);
	ring_close(&w);
}

static void test_each_side_belongs_to_one_process(void **state)
{
	struct ring *w = must_open(RING_WRITER), *r = must_open(RING_READER);
	(void)state;
	assert_not_opened(RING_WRITER, ERR_CONFLICT, "another process is its writer");
	assert_not_opened(RING_READER, ERR_CONFLICT, "another process is its reader");
	ring_close(&w);
	w = must_open(RING_WRITER);
	ring_close(&w);
	ring_close(&r);
}

static void change_file(off_t at, uint8_t value)
{
	int fd = open(path, O_WRONLY);
	assert_int_equal(pwrite(fd, &value, 1, at), 1);
	close(fd);
}

static void test_no_ring_a_newer_one_and_a_damaged_one_are_refused_in_words(void **state)
{
	(void)state;
	change_file(7, 2);
	assert_not_opened(RING_WRITER, ERR_CONFIG, "version 2, expected 1");
	change_file(7, 1);
	change_file(9, 7);
	assert_not_opened(RING_READER, ERR_CONFIG, "header is damaged");
	change_file(9, 0);
	change_file(0, 'x');
	assert_not_opened(RING_READER, ERR_CONFIG, "not a ring");
	change_file(0, 'c');
	assert_int_equal(truncate(path, 4096 + 1000), 0);
	assert_not_opened(RING_READER, ERR_CONFIG, "cut off");
	unlink(path);
	assert_not_opened(RING_WRITER, ERR_CONFIG, "No such file");
}

static void test_a_ring_is_never_made_over_another(void **state)
{
	struct err e = {0};
	(void)state;
	struct ring *w = must_open(RING_WRITER);
	put_number(w, 7);
	ring_close(&w);
	assert_false(ring_create(path, ROOM, 0600, &e));
	assert_int_equal(e.code, ERR_CONFLICT);
	assert_false(ring_create(path, ROOM + 1, 0600, &e));
	assert_int_equal(e.code, ERR_INVALID);
	struct ring *r = must_open(RING_READER);
	assert_next(r, 7);
	ring_close(&r);
}

/* Every byte of the middle one of three records, changed one at a time: the neighbours come, the damage is given out.
 */
static void test_a_damaged_record_is_given_out_and_its_neighbours_come(void **state)
{
	(void)state;
	for (off_t offset = 0;; offset++) {
		struct err e = {0};
		unlink(path);
		assert_true(ring_create(path, ROOM, 0600, &e));
		struct ring *w = must_open(RING_WRITER);
		uint64_t from, to;
		struct ring_state s;
		put_number(w, 10);
		ring_state(w, &s);
		from = s.used;
		put_number(w, 18);
		ring_state(w, &s);
		to = s.used;
		put_number(w, 19);
		ring_close(&w);
		if (from + (uint64_t)offset == to)
			break;
		int fd = open(path, O_RDWR);
		uint8_t byte;
		assert_int_equal(pread(fd, &byte, 1, 4096 + (off_t)from + offset), 1);
		byte ^= 0x41;
		assert_int_equal(pwrite(fd, &byte, 1, 4096 + (off_t)from + offset), 1);
		close(fd);
		struct ring *r = must_open(RING_READER);
		struct ring_message m;
		assert_next(r, 10);
		assert_int_equal(ring_get(r, arena, &m), RING_DAMAGED);
		assert_int_equal(m.payload_len, to - from);
		assert_next(r, 19);
		assert_int_equal(ring_get(r, arena, &m), RING_EMPTY);
		ring_close(&r);
		arena_reset(arena);
	}
}

static void set_word(off_t at, uint64_t value)
{
	int fd = open(path, O_WRONLY);
	assert_int_equal(pwrite(fd, &value, sizeof(value), at), (ssize_t)sizeof(value));
	close(fd);
}

#define HEAD_AT 64
#define TAIL_AT 128

static void test_a_head_that_cannot_be_is_not_followed(void **state)
{
	static const uint64_t heads[] = {ROOM + 8, 3, UINT64_MAX - 7, UINT64_C(1) << 63};
	struct ring_message m;
	(void)state;
	struct ring *r = must_open(RING_READER);
	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		set_word(HEAD_AT, heads[i]);
		assert_int_equal(ring_get(r, arena, &m), RING_BROKEN);
	}
	set_word(HEAD_AT, 0);
	ring_close(&r);
	set_word(HEAD_AT, ROOM + 8);
	assert_not_opened(RING_READER, ERR_CONFIG, "do not fit");
	set_word(HEAD_AT, 0);
	set_word(TAIL_AT, 64);
	assert_not_opened(RING_WRITER, ERR_CONFIG, "do not fit");
}

static void test_a_tail_that_cannot_be_lets_nothing_be_overwritten(void **state)
{
	(void)state;
	struct ring *w = must_open(RING_WRITER);
	uint32_t in = 0;
	while (put_number(w, in) == RING_PUT)
		in++;
	set_word(TAIL_AT, UINT64_C(1) << 40);
	assert_int_equal(put_number(w, in), RING_FULL);
	set_word(TAIL_AT, 0);
	ring_close(&w);
	struct ring *r = must_open(RING_READER);
	for (uint32_t i = 0; i < in; i++)
		assert_next(r, i);
	ring_close(&r);
}

static bool readable(int fd, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	return poll(&p, 1, ms) == 1;
}

static void test_only_a_sleeping_reader_is_woken(void **state)
{
	struct ring *w = must_open(RING_WRITER), *r = must_open(RING_READER);
	char byte;
	(void)state;
	assert_int_equal(read(ring_wake_fd(r), &byte, 1), 1); /* a new writer wakes, whoever sleeps */
	put_number(w, 0);
	assert_false(readable(ring_wake_fd(r), 0));
	assert_false(ring_sleep(r)); /* there is something to get */
	assert_next(r, 0);
	assert_true(ring_sleep(r));
	assert_false(readable(ring_wake_fd(r), 0));
	put_number(w, 1);
	put_number(w, 2);
	assert_true(readable(ring_wake_fd(r), 1000));
	assert_next(r, 1);
	assert_next(r, 2);
	assert_true(ring_sleep(r));
	assert_false(readable(ring_wake_fd(r), 0)); /* one byte, taken by ring_sleep */
	ring_close(&w);
	ring_close(&r);
}

static void test_a_new_writer_wakes_for_one_that_was_killed_before_it_could(void **state)
{
	struct ring *r = must_open(RING_READER), *w = must_open(RING_WRITER);
	(void)state;
	put_number(w, 5);
	assert_next(r, 5);
	assert_true(ring_sleep(r));
	ring_close(&w);
	w = must_open(RING_WRITER);
	assert_true(readable(ring_wake_fd(r), 1000));
	ring_close(&w);
	ring_close(&r);
}

/* ---- two at once ---- */

#define THREAD_MESSAGES 40000

static void *writer_thread(void *arg)
{
	struct ring *w = arg;
	for (uint32_t i = 0; i < THREAD_MESSAGES;) {
		if (put_number(w, i) == RING_PUT)
			i++;
		else
			sched_yield();
	}
	return NULL;
}

static void test_reader_and_writer_at_once_lose_nothing_and_always_wake(void **state)
{
	struct ring *w = must_open(RING_WRITER), *r = ring_other_side(w);
	struct ring_message m;
	pthread_t thread;
	uint32_t out = 0;
	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, writer_thread, w), 0);
	while (out < THREAD_MESSAGES) {
		enum ring_get got = ring_get(r, arena, &m);
		if (got == RING_GOT) {
			assert_int_equal(number_of(&m), out++);
			if (out % 16 == 0)
				ring_release(r, ring_position(r));
			arena_reset(arena);
			continue;
		}
		assert_int_equal(got, RING_EMPTY);
		ring_release(r, ring_position(r));
		/* The writer goes on putting: a wake-up that is lost shows as this poll's end. */
		if (ring_sleep(r))
			assert_true(readable(ring_wake_fd(r), 10000));
	}
	pthread_join(thread, NULL);
	ring_close(&r);
	ring_close(&w);
}

/* A writer process is killed at some moment, again and again, most often within ring_put(): what the reader then gets
 * is whole and without a hole, and the next writer goes on behind it. */
static void test_a_killed_writer_leaves_no_torn_record(void **state)
{
	struct ring *r = must_open(RING_READER);
	struct ring_message m;
	uint32_t out = 0;
	unsigned seed = 4711;
	(void)state;
	for (int round = 0; round < 60; round++) {
		pid_t pid = fork();
		if (pid == 0) {
			struct err e = {0};
			struct ring *w = ring_open(path, RING_WRITER, &e);
			for (uint32_t i = out;;) {
				if (put_number(w, i) == RING_PUT)
					i++;
			}
		}
		uint32_t until = out + (uint32_t)(rand_r(&seed) % 400);
		while (out < until) {
			if (ring_get(r, arena, &m) == RING_GOT)
				assert_int_equal(number_of(&m), out++);
			ring_release(r, ring_position(r));
			arena_reset(arena);
		}
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		enum ring_get got;
		while ((got = ring_get(r, arena, &m)) == RING_GOT) {
			assert_int_equal(number_of(&m), out++);
			arena_reset(arena);
		}
		assert_int_equal(got, RING_EMPTY);
		ring_release(r, ring_position(r));
	}
	assert_true(out > 1000);
	ring_close(&r);
}

/* A reader process counts what it released in memory that it shares with us; killed at some moment, the next one gets
 * everything from there on, in order. */
static void test_a_killed_reader_loses_nothing(void **state)
{
	struct ring *w = must_open(RING_WRITER);
	uint32_t in = 0;
	unsigned seed = 4712;
	/* cppcheck-suppress invalidFunctionArg ; -1 is what MAP_ANONYMOUS wants */
	uint32_t *next = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	(void)state;
	for (int round = 0; round < 60; round++) {
		pid_t pid = fork();
		if (pid == 0) {
			struct err e = {0};
			struct ring_message m;
			struct ring *r = ring_open(path, RING_READER, &e);
			for (;;) {
				if (ring_get(r, arena, &m) != RING_GOT)
					continue;
				/* Not released by the last one, or the very next: never a hole. */
				uint32_t number = (uint32_t)m.received_us;
				if (number > *next || number + 1 < *next)
					_exit(3);
				*next = number + 1;
				ring_release(r, ring_position(r));
				arena_reset(arena);
			}
		}
		uint32_t until = in + (uint32_t)(rand_r(&seed) % 400);
		int status;
		while (in < until && waitpid(pid, &status, WNOHANG) == 0)
			in += put_number(w, in) == RING_PUT;
		assert_int_equal(in, until);
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		assert_true(WIFSIGNALED(status));
	}
	munmap(next, 4096);
	ring_close(&w);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_what_is_put_comes_out_in_order_over_many_turns),
		TEST(test_what_was_not_released_comes_again),
		TEST(test_a_full_ring_refuses_and_overwrites_nothing),
		TEST(test_what_cannot_fit_is_refused_for_good),
		TEST(test_each_side_belongs_to_one_process),
		TEST(test_no_ring_a_newer_one_and_a_damaged_one_are_refused_in_words),
		TEST(test_a_ring_is_never_made_over_another),
		TEST(test_a_damaged_record_is_given_out_and_its_neighbours_come),
		TEST(test_a_head_that_cannot_be_is_not_followed),
		TEST(test_a_tail_that_cannot_be_lets_nothing_be_overwritten),
		TEST(test_only_a_sleeping_reader_is_woken),
		TEST(test_a_new_writer_wakes_for_one_that_was_killed_before_it_could),
		TEST(test_reader_and_writer_at_once_lose_nothing_and_always_wake),
		TEST(test_a_killed_writer_leaves_no_torn_record),
		TEST(test_a_killed_reader_loses_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
