/* SPDX-License-Identifier: Apache-2.0
 *
 * A hash table over a fixed array of buckets, and a list of them by when they were last used. The hash is keyed with
 * random bytes, since addresses and tokens are chosen by strangers. */
#include "api/rate.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <event2/util.h>

struct bucket {
	TAILQ_ENTRY(bucket) by_use;
	struct bucket *chained; /* next one of the same slot */
	unsigned char key[RATE_KEY];
	double level, at; /* requests left, as of then */
};

struct rate {
	double per_second, burst;
	size_t keys, used, slot_count; /* a power of two */
	uint64_t seed[2];
	struct bucket *buckets;
	struct bucket **slots;
	TAILQ_HEAD(buckets, bucket) by_use; /* the last used one stands last */
};

struct rate *rate_new(double per_second, double burst, size_t keys)
{
	struct rate *r = calloc(1, sizeof(*r));
	if (r == NULL)
		abort();
	r->per_second = per_second;
	r->burst = burst;
	r->keys = keys;
	r->slot_count = 1;
	while (r->slot_count < keys)
		r->slot_count *= 2;
	r->buckets = calloc(keys, sizeof(*r->buckets));
	r->slots = calloc(r->slot_count, sizeof(struct bucket *));
	if (r->buckets == NULL || r->slots == NULL)
		abort();
	evutil_secure_rng_get_bytes(r->seed, sizeof(r->seed));
	TAILQ_INIT(&r->by_use);
	return r;
}

void rate_free(struct rate **rp)
{
	struct rate *r = *rp;
	if (r == NULL)
		return;
	free(r->buckets);
	free(r->slots);
	free(r);
	*rp = NULL;
}

/* Multiply and fold (as wyhash does), word by word: no key can be made to meet another without the seed. */
static size_t slot_of(const struct rate *r, const unsigned char key[RATE_KEY])
{
	uint64_t h = r->seed[0], word;
	for (size_t i = 0; i < RATE_KEY; i += sizeof(word)) {
		memcpy(&word, key + i, sizeof(word));
		unsigned __int128 product = (unsigned __int128)(h ^ word) * (r->seed[1] | 1);
		h = (uint64_t)product ^ (uint64_t)(product >> 64);
	}
	return (size_t)h & (r->slot_count - 1);
}

static void unchain(struct rate *r, struct bucket *b)
{
	struct bucket **at = &r->slots[slot_of(r, b->key)];
	while (*at != b)
		at = &(*at)->chained;
	*at = b->chained;
}

static struct bucket *bucket_new(struct rate *r, size_t slot, const unsigned char key[RATE_KEY], double now)
{
	struct bucket *b = r->used < r->keys ? &r->buckets[r->used++] : TAILQ_FIRST(&r->by_use);
	if (b == TAILQ_FIRST(&r->by_use)) {
		TAILQ_REMOVE(&r->by_use, b, by_use);
		unchain(r, b);
	}
	memcpy(b->key, key, RATE_KEY);
	b->level = r->burst;
	b->at = now;
	b->chained = r->slots[slot];
	r->slots[slot] = b;
	TAILQ_INSERT_TAIL(&r->by_use, b, by_use);
	return b;
}

static struct bucket *bucket_of(struct rate *r, const unsigned char key[RATE_KEY], double now)
{
	size_t slot = slot_of(r, key);
	struct bucket *b = r->slots[slot];
	while (b != NULL && memcmp(b->key, key, RATE_KEY) != 0)
		b = b->chained;
	if (b == NULL)
		return bucket_new(r, slot, key, now);
	TAILQ_REMOVE(&r->by_use, b, by_use);
	TAILQ_INSERT_TAIL(&r->by_use, b, by_use);
	return b;
}

struct rate_verdict rate_take(struct rate *r, const unsigned char key[RATE_KEY], double now)
{
	struct bucket *b = bucket_of(r, key, now);
	double level = b->level + (now - b->at) * r->per_second;
	b->level = level < r->burst ? level : r->burst;
	b->at = now;
	struct rate_verdict v = {.allowed = b->level >= 1};
	if (v.allowed)
		b->level -= 1;
	v.remaining = (int64_t)b->level;
	v.full_in = (r->burst - b->level) / r->per_second;
	v.next_in = b->level >= 1 ? 0 : (1 - b->level) / r->per_second;
	return v;
}

size_t rate_keys(const struct rate *r)
{
	return r->used;
}
