/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory for one batch: allocation is a pointer bump, freeing is for all at once. Blocks are kept from one batch to the
 * next up to `keep` bytes, so a steady load allocates nothing. */
#ifndef COLDFLEET_CORE_ARENA_H
#define COLDFLEET_CORE_ARENA_H

#include <stddef.h>

struct arena;

struct arena *arena_new(size_t keep);
void arena_free(struct arena **a);
/* Aligned for any type, not zeroed. Never NULL: the process ends when memory runs out. */
void *arena_alloc(struct arena *a, size_t size);
void *arena_copy(struct arena *a, const void *bytes, size_t size);
/* Adds a terminating NUL. */
char *arena_text(struct arena *a, const char *text, size_t len);
char *arena_format(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void arena_reset(struct arena *a);
size_t arena_used(const struct arena *a); /* bytes handed out since the last reset */

#endif
