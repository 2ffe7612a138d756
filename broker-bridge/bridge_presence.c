/* SPDX-License-Identifier: Apache-2.0
 *
 * An open hash table with linear probing, half full at most; removal moves up what came to stand behind the gap. */
#include "broker-bridge/bridge_presence.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "broker-bridge/topic.h"

#define SLOTS_FIRST 64

struct slot {
	uint8_t len; /* 0: free */
	char serial[TOPIC_SERIAL_MAX];
};

struct presence {
	struct slot *slots;
	size_t size; /* a power of two */
	size_t count, limit;
};

static struct slot *slots_new(size_t size)
{
	struct slot *slots = calloc(size, sizeof(*slots));
	if (slots == NULL)
		abort();
	return slots;
}

/* FNV-1a. Serials are those of certificates that the OEM issued: nobody chooses them to collide. */
static size_t home(const struct presence *p, const char *serial, size_t len)
{
	uint64_t hash = UINT64_C(14695981039346656037);
	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (uint8_t)serial[i]) * UINT64_C(1099511628211);
	return (size_t)(hash ^ (hash >> 32)) & (p->size - 1);
}

/* Where the serial is, or the free slot where it belongs. */
static size_t find(const struct presence *p, const char *serial, size_t len)
{
	size_t i = home(p, serial, len);
	while (p->slots[i].len != 0 && (p->slots[i].len != len || memcmp(p->slots[i].serial, serial, len) != 0))
		i = (i + 1) & (p->size - 1);
	return i;
}

static void put(struct presence *p, const char *serial, size_t len)
{
	struct slot *slot = &p->slots[find(p, serial, len)];
	if (slot->len == 0)
		p->count++;
	slot->len = (uint8_t)len;
	memcpy(slot->serial, serial, len);
}

static void grow(struct presence *p)
{
	struct slot *old = p->slots;
	size_t old_size = p->size;
	p->size *= 2;
	p->slots = slots_new(p->size);
	p->count = 0;
	for (size_t i = 0; i < old_size; i++) {
		if (old[i].len != 0)
			put(p, old[i].serial, old[i].len);
	}
	free(old);
}

struct presence *presence_new(size_t limit)
{
	struct presence *p = calloc(1, sizeof(*p));
	if (p == NULL)
		abort();
	p->limit = limit;
	p->size = SLOTS_FIRST;
	p->slots = slots_new(p->size);
	return p;
}

void presence_free(struct presence **pp)
{
	if (*pp == NULL)
		return;
	free((*pp)->slots);
	free(*pp);
	*pp = NULL;
}

bool presence_has(const struct presence *p, const char *serial, size_t len)
{
	return p->slots[find(p, serial, len)].len != 0;
}

bool presence_add(struct presence *p, const char *serial, size_t len)
{
	if (presence_has(p, serial, len))
		return true;
	if (p->count == p->limit)
		return false;
	if ((p->count + 1) * 2 > p->size)
		grow(p);
	put(p, serial, len);
	return true;
}

void presence_remove(struct presence *p, const char *serial, size_t len)
{
	size_t mask = p->size - 1, gap = find(p, serial, len);
	if (p->slots[gap].len == 0)
		return;
	p->count--;
	for (size_t i = (gap + 1) & mask; p->slots[i].len != 0; i = (i + 1) & mask) {
		size_t wanted = home(p, p->slots[i].serial, p->slots[i].len);
		if (((i - wanted) & mask) < ((i - gap) & mask))
			continue; /* it stands between its home and the gap: the gap is not in its way */
		p->slots[gap] = p->slots[i];
		gap = i;
	}
	p->slots[gap].len = 0;
}

size_t presence_count(const struct presence *p)
{
	return p->count;
}

void presence_clear(struct presence *p)
{
	for (size_t i = 0; p->count > 0 && i < p->size; i++)
		p->slots[i].len = 0;
	p->count = 0;
}

void presence_move(struct presence *to, struct presence *from)
{
	for (size_t i = 0; i < from->size; i++) {
		if (from->slots[i].len != 0)
			presence_add(to, from->slots[i].serial, from->slots[i].len);
	}
	presence_clear(from);
}

struct pg_array presence_array(const struct presence *p, struct arena *arena)
{
	struct pg_array a = pg_array_new(arena, PG_TEXT, p->count, p->count * TOPIC_SERIAL_MAX);
	for (size_t i = 0; i < p->size; i++) {
		if (p->slots[i].len != 0)
			pg_array_bytes(&a, p->slots[i].serial, p->slots[i].len);
	}
	return a;
}
