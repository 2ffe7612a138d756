/* SPDX-License-Identifier: Apache-2.0
 *
 * Open addressing with linear probing, at most three quarters full; serials stand in chunks of 1 MiB, so growing never
 * copies them. Serials come from the OEM's own table, but a random seed costs nothing. */
#include "ingest/devices.h"

#include <stdlib.h>
#include <string.h>

#include <event2/util.h>

#define CHUNK_BITS 20
#define CHUNK_SIZE ((size_t)1 << CHUNK_BITS)
#define SLOTS_MIN  1024

struct slot {
	uint32_t hash;
	uint32_t offset; /* of the serial: chunk number and position in it */
	int32_t id;      /* 0: the slot is free */
	uint8_t len;
};

struct devices {
	struct slot *slots;
	size_t size; /* a power of two */
	size_t count;
	char **chunks;
	size_t chunk_count;
	size_t chunk_used; /* of the last chunk */
	uint64_t seed;
};

static void *check_memory(void *p)
{
	if (p == NULL)
		abort();
	return p;
}

struct devices *devices_new(void)
{
	struct devices *d = check_memory(calloc(1, sizeof(*d)));
	d->size = SLOTS_MIN;
	d->slots = check_memory(calloc(d->size, sizeof(*d->slots)));
	d->chunk_used = CHUNK_SIZE;
	evutil_secure_rng_get_bytes(&d->seed, sizeof(d->seed));
	return d;
}

void devices_free(struct devices **dp)
{
	struct devices *d = *dp;
	if (d == NULL)
		return;
	for (size_t i = 0; i < d->chunk_count; i++)
		free(d->chunks[i]);
	free(d->chunks);
	free(d->slots);
	free(d);
	*dp = NULL;
}

/* FNV-1a with a seed, folded: short keys, and the low bits are what matters. */
static uint32_t hash_serial(const struct devices *d, const char *serial, size_t len)
{
	uint64_t h = UINT64_C(14695981039346656037) ^ d->seed;
	for (size_t i = 0; i < len; i++) {
		h ^= (unsigned char)serial[i];
		h *= UINT64_C(1099511628211);
	}
	return (uint32_t)(h ^ (h >> 32));
}

static const char *slot_serial(const struct devices *d, const struct slot *s)
{
	return d->chunks[s->offset >> CHUNK_BITS] + (s->offset & (CHUNK_SIZE - 1));
}

static struct slot *find_slot(const struct devices *d, uint32_t hash, const char *serial, size_t len)
{
	for (size_t i = hash & (d->size - 1);; i = (i + 1) & (d->size - 1)) {
		struct slot *s = &d->slots[i];
		if (s->id == 0)
			return s;
		if (s->hash == hash && s->len == len && memcmp(slot_serial(d, s), serial, len) == 0)
			return s;
	}
}

static void grow(struct devices *d)
{
	struct slot *old = d->slots;
	size_t old_size = d->size;
	d->size *= 2;
	d->slots = check_memory(calloc(d->size, sizeof(*d->slots)));
	for (size_t i = 0; i < old_size; i++) {
		if (old[i].id == 0)
			continue;
		size_t at = old[i].hash & (d->size - 1);
		while (d->slots[at].id != 0)
			at = (at + 1) & (d->size - 1);
		d->slots[at] = old[i];
	}
	free(old);
}

static uint32_t keep_serial(struct devices *d, const char *serial, size_t len)
{
	if (CHUNK_SIZE - d->chunk_used < len) {
		d->chunks = check_memory(realloc(d->chunks, (d->chunk_count + 1) * sizeof(*d->chunks)));
		d->chunks[d->chunk_count++] = check_memory(malloc(CHUNK_SIZE));
		d->chunk_used = 0;
	}
	size_t at = d->chunk_used;
	memcpy(d->chunks[d->chunk_count - 1] + at, serial, len);
	d->chunk_used += len;
	return (uint32_t)((d->chunk_count - 1) << CHUNK_BITS | at);
}

void devices_put(struct devices *d, const char *serial, size_t len, int32_t id)
{
	if (len == 0 || len > UINT8_MAX || id <= 0)
		return;
	if ((d->count + 1) * 4 > d->size * 3)
		grow(d);
	uint32_t hash = hash_serial(d, serial, len);
	struct slot *s = find_slot(d, hash, serial, len);
	if (s->id == 0) {
		s->hash = hash;
		s->len = (uint8_t)len;
		s->offset = keep_serial(d, serial, len);
		d->count++;
	}
	s->id = id;
}

int32_t devices_find(const struct devices *d, const char *serial, size_t len)
{
	return find_slot(d, hash_serial(d, serial, len), serial, len)->id;
}

size_t devices_count(const struct devices *d)
{
	return d->count;
}

size_t devices_bytes(const struct devices *d)
{
	return sizeof(*d) + d->size * sizeof(*d->slots) + d->chunk_count * (CHUNK_SIZE + sizeof(*d->chunks));
}
