/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines sorted by serial and beginning: a tracker's are next to each other. */
#include "tests/tracker/script.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/tracker/csv.h"

#define LINE_BYTES 512

struct act {
	char serial[65];
	int64_t from, to; /* microseconds since 1970 */
	double celsius;
};

struct script {
	struct act *acts;
	size_t count;
};

static int by_serial(const void *a, const void *b)
{
	const struct act *x = a, *y = b;
	int c = strcmp(x->serial, y->serial);

	return c != 0 ? c : (x->from > y->from) - (x->from < y->from);
}

static bool parse(const char *line, struct act *out)
{
	char from[40], to[40];

	return sscanf(line, "%64s %39s %39s %lf", out->serial, from, to, &out->celsius) == 4 &&
	       time_parse(from, strlen(from), &out->from) && time_parse(to, strlen(to), &out->to) &&
	       out->from < out->to;
}

static bool read_all(struct script *s, FILE *f, const char *path, struct err *e)
{
	char line[LINE_BYTES];

	for (size_t n = 1; fgets(line, sizeof(line), f) != NULL; n++) {
		struct act *more = realloc(s->acts, (s->count + 1) * sizeof(*more));
		if (more == NULL)
			abort();
		s->acts = more;
		if (!parse(line, &s->acts[s->count]))
			return err_set(e, ERR_INVALID, "%s line %zu: expected SERIAL FROM TO CELSIUS", path, n);
		s->count++;
	}
	return true;
}

struct script *script_read(const char *path, struct err *e)
{
	FILE *f = fopen(path, "r");
	struct script *s = NULL;

	if (f == NULL) {
		err_set(e, ERR_INVALID, "%s: %s", path, strerror(errno));
		return NULL;
	}
	if ((s = calloc(1, sizeof(*s))) == NULL)
		abort();
	if (!read_all(s, f, path, e))
		script_free(&s);
	else if (s->count > 0)
		qsort(s->acts, s->count, sizeof(*s->acts), by_serial);
	fclose(f);
	return s;
}

void script_free(struct script **s)
{
	if (*s == NULL)
		return;
	free((*s)->acts);
	free(*s);
	*s = NULL;
}

struct script_part script_of(const struct script *s, const char *serial)
{
	size_t first = 0, end;

	while (first < s->count && strcmp(s->acts[first].serial, serial) < 0)
		first++;
	for (end = first; end < s->count && strcmp(s->acts[end].serial, serial) == 0;)
		end++;
	return (struct script_part){.acts = s->count > 0 ? s->acts + first : NULL, .count = end - first};
}

double script_temperature(struct script_part part, int64_t ts)
{
	for (size_t i = 0; i < part.count; i++)
		if (ts >= part.acts[i].from && ts < part.acts[i].to)
			return part.acts[i].celsius;
	return SCRIPT_ELSE;
}
