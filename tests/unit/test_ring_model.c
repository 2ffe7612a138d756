/* SPDX-License-Identifier: Apache-2.0
 *
 * The ring's protocol (broker-bridge/ring.c) as a small machine, of which every state that can be reached is looked at:
 * two processors with store buffers (a store is seen by the other side some time later, in order), each instruction of
 * writer and reader a step, and each of them killed and started again at any step. Nothing unfinished is ever read,
 * nothing unreleased overwritten, and the reader never sleeps over a message. Two machines with one fence less each
 * show that the search would find it. */
#include <setjmp.h>
#include <stdbool.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SLOTS    2 /* room of the ring, in messages */
#define MESSAGES 4
#define TORN     99
#define BUFFER   3 /* stores on their way */

enum cell { HEAD, TAIL, SLEEPING, SLOT, CELLS = SLOT + SLOTS };

enum writer_step { W_ROOM, W_HALF, W_WHOLE, W_HEAD, W_LOOK, W_CLAIM, W_WAKE, W_DONE };
enum reader_step { R_LOOK, R_READ, R_RELEASE, R_EMPTY_FIFO, R_SLEEP, R_LOOK_AGAIN, R_ASLEEP, R_UP };

struct side {
	uint8_t step, at, cached; /* cached: the writer's idea of tail */
	uint8_t pending;
	struct {
		uint8_t cell, value;
	} buffer[BUFFER];
};

struct machine {
	struct side writer, reader;
	uint8_t memory[CELLS];
	uint8_t fifo, kills;
};

/* Which of the two stores that must be seen before the load behind them are not. */
struct faults {
	bool head_lags, sleeping_lags;
};

/* ---- memory ---- */

static uint8_t load(const struct machine *m, const struct side *s, uint8_t cell)
{
	for (int i = s->pending - 1; i >= 0; i--) {
		if (s->buffer[i].cell == cell)
			return s->buffer[i].value;
	}
	return m->memory[cell];
}

static bool store(struct side *s, uint8_t cell, uint8_t value)
{
	if (s->pending == BUFFER)
		return false; /* it waits until one has left */
	s->buffer[s->pending].cell = cell;
	s->buffer[s->pending++].value = value;
	return true;
}

static void flush_one(struct machine *m, struct side *s)
{
	m->memory[s->buffer[0].cell] = s->buffer[0].value;
	memmove(&s->buffer[0], &s->buffer[1], sizeof(s->buffer[0]) * (BUFFER - 1));
	memset(&s->buffer[--s->pending], 0, sizeof(s->buffer[0]));
}

static void drain(struct machine *m, struct side *s)
{
	while (s->pending > 0)
		flush_one(m, s);
}

/* ---- the two programs: false when the step cannot be made now; *wrong says what must never be ---- */

static bool step_writer(struct machine *m, const struct faults *f, const char **wrong)
{
	struct side *w = &m->writer;
	uint8_t slot = (uint8_t)(SLOT + w->at % SLOTS);
	switch ((enum writer_step)w->step) {
	case W_ROOM:
		if (w->at == MESSAGES)
			return false;
		if (w->at - w->cached >= SLOTS) {
			w->cached = load(m, w, TAIL);
			if (w->at - w->cached >= SLOTS)
				return false; /* full: refused, and tried again */
		}
		w->step = W_HALF;
		return true;
	case W_HALF:
		if (w->at >= SLOTS && m->reader.at <= w->at - SLOTS && m->memory[TAIL] <= w->at - SLOTS)
			*wrong = "something unreleased is overwritten";
		if (!store(w, slot, TORN))
			return false;
		w->step = W_WHOLE;
		return true;
	case W_WHOLE:
		if (!store(w, slot, w->at))
			return false;
		w->step = W_HEAD;
		return true;
	case W_HEAD:
		if (!store(w, HEAD, (uint8_t)(w->at + 1)))
			return false;
		w->at++;
		if (!f->head_lags)
			drain(m, w);
		w->step = W_LOOK;
		return true;
	case W_LOOK:
		w->step = load(m, w, SLEEPING) != 0 ? W_CLAIM : W_DONE;
		return true;
	case W_CLAIM:
		drain(m, w);
		w->step = m->memory[SLEEPING] != 0 ? W_WAKE : W_DONE;
		m->memory[SLEEPING] = 0;
		return true;
	case W_WAKE:
		m->fifo = 1;
		w->step = W_DONE;
		return true;
	case W_DONE:
		w->step = W_ROOM;
		return true;
	}
	return false;
}

static bool step_reader(struct machine *m, const struct faults *f, const char **wrong)
{
	struct side *r = &m->reader;
	switch ((enum reader_step)r->step) {
	case R_LOOK:
		r->step = load(m, r, HEAD) != r->at ? R_READ : R_EMPTY_FIFO;
		return true;
	case R_READ:
		if (load(m, r, (uint8_t)(SLOT + r->at % SLOTS)) != r->at)
			*wrong = "something unfinished is read";
		r->at++;
		r->step = R_RELEASE;
		return true;
	case R_RELEASE:
		if (!store(r, TAIL, r->at))
			return false;
		r->step = R_LOOK;
		return true;
	case R_EMPTY_FIFO:
		m->fifo = 0;
		r->step = R_SLEEP;
		return true;
	case R_SLEEP:
		if (!store(r, SLEEPING, 1))
			return false;
		if (!f->sleeping_lags)
			drain(m, r);
		r->step = R_LOOK_AGAIN;
		return true;
	case R_LOOK_AGAIN:
		r->step = load(m, r, HEAD) == r->at ? R_ASLEEP : R_UP;
		return true;
	case R_ASLEEP:
		if (m->fifo == 0)
			return false;
		r->step = R_LOOK;
		return true;
	case R_UP:
		if (!store(r, SLEEPING, 0))
			return false;
		drain(m, r);
		r->step = R_LOOK;
		return true;
	}
	return false;
}

/* What a process has stored is seen, however it ended; its successor goes on from what the file says. */
static void kill_writer(struct machine *m)
{
	drain(m, &m->writer);
	m->writer = (struct side){.step = W_WAKE, .at = m->memory[HEAD], .cached = m->memory[TAIL]};
	m->kills++;
}

static void kill_reader(struct machine *m)
{
	drain(m, &m->reader);
	m->reader = (struct side){.step = R_LOOK, .at = m->memory[TAIL]};
	m->kills++;
}

/* ---- the search ---- */

#define TABLE (1u << 22)

struct search {
	struct machine *todo;
	size_t count, limit;
	struct machine *seen; /* open hash table */
	uint8_t *used;
	size_t states;
	const char *wrong;
};

static void visit(struct search *s, const struct machine *m)
{
	uint64_t hash = UINT64_C(1469598103934665603);
	const uint8_t *bytes = (const uint8_t *)m;
	for (size_t i = 0; i < sizeof(*m); i++)
		hash = (hash ^ bytes[i]) * UINT64_C(1099511628211);
	size_t at = (size_t)(hash ^ hash >> 29) % TABLE;
	while (s->used[at]) {
		if (memcmp(&s->seen[at], m, sizeof(*m)) == 0)
			return;
		at = (at + 1) % TABLE;
	}
	s->used[at] = 1;
	s->seen[at] = *m;
	if (++s->states > TABLE / 2)
		fail_msg("more states than the table has room for");
	if (s->count == s->limit) {
		s->limit = s->limit == 0 ? 1024 : s->limit * 2;
		s->todo = realloc(s->todo, s->limit * sizeof(*s->todo));
		assert_non_null(s->todo);
	}
	s->todo[s->count++] = *m;
}

/* Nobody can do anything any more but be killed: then everything must have been read. */
static void check_end(struct search *s, const struct machine *m)
{
	if (m->reader.at != m->memory[HEAD])
		s->wrong = "the reader sleeps over a message";
}

static void expand(struct search *s, struct machine m, const struct faults *f, uint8_t kills)
{
	bool moved = false;
	for (int choice = 0; choice < 6; choice++) {
		struct machine next = m;
		struct side *side = choice % 2 == 0 ? &next.writer : &next.reader;
		bool made = true;
		if (choice == 0)
			made = step_writer(&next, f, &s->wrong);
		else if (choice == 1)
			made = step_reader(&next, f, &s->wrong);
		else if (choice < 4 && side->pending > 0)
			flush_one(&next, side);
		else if (choice == 4 && m.kills < kills)
			kill_writer(&next);
		else if (choice == 5 && m.kills < kills)
			kill_reader(&next);
		else
			made = false;
		if (!made)
			continue;
		moved = moved || choice < 4;
		visit(s, &next);
	}
	if (!moved)
		check_end(s, &m);
}

static const char *explore(struct faults f, uint8_t kills, size_t *states)
{
	struct search s = {.seen = malloc(TABLE * sizeof(*s.seen)), .used = calloc(TABLE, 1)};
	struct machine start;
	assert_non_null(s.seen);
	assert_non_null(s.used);
	memset(&start, 0, sizeof(start));
	memset(&start.memory[SLOT], TORN, SLOTS);
	visit(&s, &start);
	while (s.count > 0 && s.wrong == NULL)
		expand(&s, s.todo[--s.count], &f, kills);
	free(s.todo);
	free(s.seen);
	free(s.used);
	*states = s.states;
	return s.wrong;
}

static void test_no_order_of_steps_and_kills_tears_overwrites_or_sleeps_over_a_message(void **state)
{
	size_t states;
	(void)state;
	const char *wrong = explore((struct faults){0}, 3, &states);
	if (wrong != NULL)
		fail_msg("%s", wrong);
	print_message("%zu states\n", states);
	assert_true(states > 10000);
}

static void test_with_one_fence_less_the_search_finds_a_reader_that_sleeps_for_ever(void **state)
{
	size_t states;
	(void)state;
	assert_string_equal(explore((struct faults){.head_lags = true}, 0, &states),
			    "the reader sleeps over a message");
	assert_string_equal(explore((struct faults){.sleeping_lags = true}, 0, &states),
			    "the reader sleeps over a message");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_order_of_steps_and_kills_tears_overwrites_or_sleeps_over_a_message),
		cmocka_unit_test(test_with_one_fence_less_the_search_finds_a_reader_that_sleeps_for_ever),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
