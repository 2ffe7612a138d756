/* SPDX-License-Identifier: Apache-2.0
 *
 * A list of blocks, filled one after the other. Reset keeps blocks up to the limit, so that batch after batch runs in
 * the same memory. */
#include "core/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_BLOCK ((size_t)64 * 1024)
#define ARENA_ALIGN _Alignof(max_align_t)

struct block {
	struct block *next;
	size_t size; /* of data */
	size_t used;
	max_align_t data[];
};

struct arena {
	struct block *first;
	struct block *current; /* the block being filled; blocks after it are empty */
	size_t keep;
	size_t used;
};

static struct block *block_new(size_t size)
{
	struct block *b = malloc(sizeof(*b) + size);
	if (b == NULL)
		abort();
	b->next = NULL;
	b->size = size;
	b->used = 0;
	return b;
}

struct arena *arena_new(size_t keep)
{
	struct arena *a = calloc(1, sizeof(*a));
	if (a == NULL)
		abort();
	a->keep = keep;
	a->first = a->current = block_new(ARENA_BLOCK);
	return a;
}

void arena_free(struct arena **ap)
{
	if (*ap == NULL)
		return;
	for (struct block *b = (*ap)->first, *next; b != NULL; b = next) {
		next = b->next;
		free(b);
	}
	free(*ap);
	*ap = NULL;
}

static struct block *block_with_room(struct arena *a, size_t size)
{
	struct block *b = a->current;
	while (b->size - b->used < size) {
		if (b->next != NULL && b->next->size < size) {
			/* An empty block that is too small for this one: put a large one in front of it. */
			struct block *large = block_new(size);
			large->next = b->next;
			b->next = large;
		} else if (b->next == NULL) {
			b->next = block_new(size > ARENA_BLOCK ? size : ARENA_BLOCK);
		}
		b = b->next;
	}
	a->current = b;
	return b;
}

void *arena_alloc(struct arena *a, size_t size)
{
	if (size > SIZE_MAX / 2)
		abort();
	size = (size + ARENA_ALIGN - 1) & ~(ARENA_ALIGN - 1);
	struct block *b = block_with_room(a, size);
	void *p = (char *)b->data + b->used;
	b->used += size;
	a->used += size;
	return p;
}

void *arena_copy(struct arena *a, const void *bytes, size_t size)
{
	void *p = arena_alloc(a, size);
	if (size > 0)
		memcpy(p, bytes, size);
	return p;
}

char *arena_text(struct arena *a, const char *text, size_t len)
{
	char *p = arena_alloc(a, len + 1);
	memcpy(p, text, len);
	p[len] = '\0';
	return p;
}

char *arena_format(struct arena *a, const char *fmt, ...)
{
	char line[512];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (n < 0)
		return arena_text(a, "", 0);
	if ((size_t)n < sizeof(line))
		return arena_text(a, line, (size_t)n);
	char *p = arena_alloc(a, (size_t)n + 1);
	va_start(ap, fmt);
	vsnprintf(p, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return p;
}

void arena_reset(struct arena *a)
{
	size_t kept = 0;
	struct block **link = &a->first;
	while (*link != NULL) {
		struct block *b = *link;
		if (kept > 0 && kept + b->size > a->keep) {
			*link = b->next;
			free(b);
			continue;
		}
		kept += b->size;
		b->used = 0;
		link = &b->next;
	}
	a->current = a->first;
	a->used = 0;
}

size_t arena_used(const struct arena *a)
{
	return a->used;
}
