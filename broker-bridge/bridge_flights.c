/* SPDX-License-Identifier: Apache-2.0
 *
 * A slab with a list of free places, and for each packet id the place that it stands at. */
#include "broker-bridge/bridge_flights.h"

#include <stdlib.h>
#include <string.h>

#define MIDS 65536

struct flights {
	struct flight *slab;
	uint16_t *free; /* stack of free places, 1-based */
	size_t window, count;
	uint16_t place[MIDS]; /* of a packet id, 1-based; 0: not in flight */
};

struct flights *flights_new(size_t window)
{
	struct flights *f = calloc(1, sizeof(*f));
	if (f == NULL)
		abort();
	f->window = window;
	f->slab = calloc(window, sizeof(*f->slab));
	f->free = calloc(window, sizeof(*f->free));
	if (f->slab == NULL || f->free == NULL)
		abort();
	flights_clear(f);
	return f;
}

void flights_free(struct flights **fp)
{
	struct flights *f = *fp;
	if (f == NULL)
		return;
	free(f->slab);
	free(f->free);
	free(f);
	*fp = NULL;
}

size_t flights_count(const struct flights *f)
{
	return f->count;
}

bool flights_add(struct flights *f, int mid, const struct flight *flight)
{
	if (mid < 1 || mid >= MIDS || f->place[mid] != 0 || f->count == f->window)
		return false;
	uint16_t place = f->free[f->window - ++f->count];
	f->slab[place - 1] = *flight;
	f->place[mid] = place;
	return true;
}

bool flights_take(struct flights *f, int mid, struct flight *out)
{
	if (mid < 1 || mid >= MIDS || f->place[mid] == 0)
		return false;
	uint16_t place = f->place[mid];
	*out = f->slab[place - 1];
	f->place[mid] = 0;
	f->free[f->window - f->count--] = place;
	return true;
}

void flights_clear(struct flights *f)
{
	memset(f->place, 0, sizeof(f->place));
	for (size_t i = 0; i < f->window; i++)
		f->free[i] = (uint16_t)(i + 1);
	f->count = 0;
}
