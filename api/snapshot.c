/* SPDX-License-Identifier: Apache-2.0
 *
 * Seen is what is older than xmax and was not in progress; xip lists what was, in rising order. */
#include "api/snapshot.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct snapshot {
	char *text;
	uint64_t xmin, xmax;
	size_t count;
	uint64_t xip[];
};

/* Digits up to `end`. */
static bool number(const char **at, char end, uint64_t *value)
{
	char *stop;
	if (**at < '0' || **at > '9')
		return false;
	*value = strtoull(*at, &stop, 10);
	*at = stop + (*stop == end && end != '\0');
	return *stop == end;
}

struct snapshot *snapshot_new(const char *text)
{
	size_t most = strlen(text) / 2 + 1;
	struct snapshot *s = calloc(1, sizeof(*s) + most * sizeof(s->xip[0]));
	const char *at = text;
	if (s == NULL || (s->text = strdup(text)) == NULL)
		abort();
	bool ok = number(&at, ':', &s->xmin) && number(&at, ':', &s->xmax) && s->xmin <= s->xmax;
	for (bool more = ok && *at != '\0'; ok && more; s->count++) {
		more = strchr(at, ',') != NULL;
		ok = number(&at, more ? ',' : '\0', &s->xip[s->count]);
	}
	if (!ok)
		snapshot_free(&s);
	return s;
}

void snapshot_free(struct snapshot **s)
{
	if (*s == NULL)
		return;
	free((*s)->text);
	free(*s);
	*s = NULL;
}

const char *snapshot_text(const struct snapshot *s)
{
	return s->text;
}

uint64_t snapshot_xmin(const struct snapshot *s)
{
	return s->xmin;
}

bool snapshot_sees(const struct snapshot *s, uint64_t xid)
{
	if (xid < s->xmin || xid >= s->xmax)
		return xid < s->xmin;
	for (size_t i = 0; i < s->count; i++)
		if (s->xip[i] == xid)
			return false;
	return true;
}
