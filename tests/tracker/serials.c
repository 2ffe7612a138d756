/* SPDX-License-Identifier: Apache-2.0
 *
 * Three sources of serials, one list. */
#include "tests/tracker/serials.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/tracker/commands.h"

#define SERIALS_MAX 100000

static bool add(struct serials *s, const char *name, size_t len, struct err *e)
{
	if (!topic_serial_valid(name, len))
		return err_set(e, ERR_INVALID, "serial '%.*s': expected 1 to 64 of A-Z a-z 0-9 . _ -", (int)len, name);
	if (s->count == SERIALS_MAX)
		return err_set(e, ERR_TOO_LARGE, "expected at most %d serials", SERIALS_MAX);
	if ((s->count & (s->count - 1)) == 0)
		s->names = realloc(s->names, (s->count > 0 ? s->count * 2 : 1) * sizeof(*s->names));
	if (s->names == NULL || (s->names[s->count] = strndup(name, len)) == NULL)
		abort();
	s->count++;
	return true;
}

bool serial_numbered(char out[SERIAL_TEXT], const char *prefix, int64_t n, struct err *e)
{
	int len = snprintf(out, SERIAL_TEXT, "%s%05" PRId64, prefix, n);

	if (len > 0 && len < SERIAL_TEXT && topic_serial_valid(out, (size_t)len))
		return true;
	return err_set(e, ERR_INVALID, "prefix '%s': expected up to 59 of A-Z a-z 0-9 . _ -", prefix);
}

static bool from_file(struct serials *s, FILE *file, struct err *e)
{
	char line[256];
	size_t number = 0;

	while (fgets(line, sizeof(line), file) != NULL) {
		size_t len = strcspn(line, " \t\r\n");
		number++;
		if (len > 0 && line[0] != '#' && !add(s, line, len, e))
			return err_prefix(e, "line %zu: ", number);
	}
	return true;
}

static bool from_prefix(struct serials *s, const char *from, const char *colon, struct err *e)
{
	char prefix[SERIAL_TEXT], serial[SERIAL_TEXT], *end;
	int64_t count = strtoll(colon + 1, &end, 10);

	if (colon[1] == '\0' || *end != '\0' || count < 1 || count > SERIALS_MAX)
		return err_set(e, ERR_INVALID, "--serials %s: expected PREFIX:N with N from 1 to %d", from,
			       SERIALS_MAX);
	snprintf(prefix, sizeof(prefix), "%.*s", (int)(colon - from), from);
	for (int64_t n = 1; n <= count; n++)
		if (!serial_numbered(serial, prefix, n, e) || !add(s, serial, strlen(serial), e))
			return false;
	return true;
}

static bool from_certs(struct serials *s, const char *certs, const char *prefix, struct err *e)
{
	struct dirent **entries = NULL;
	int n = certs != NULL ? scandir(certs, &entries, NULL, alphasort) : -1;
	bool ok = true;

	if (n < 0)
		return certs != NULL ? err_set(e, ERR_NOT_FOUND, "--certs %s: %s", certs, strerror(errno))
				     : err_set(e, ERR_INVALID, "--certs: expected the folder of certificates");
	for (int i = 0; i < n; i++) {
		const char *name = entries[i]->d_name;
		size_t len = strlen(name);
		if (ok && strncmp(name, prefix, strlen(prefix)) == 0 && len > 4 && strcmp(name + len - 4, ".crt") == 0)
			ok = add(s, name, len - 4, e);
		free(entries[i]);
	}
	free(entries);
	if (ok && s->count == 0)
		return err_set(e, ERR_NOT_FOUND,
			       "%s: no certificate %s*.crt: name the trackers with --serials, or enrol some: ops/demo "
			       "enrol SERIAL",
			       certs, prefix);
	return ok;
}

static void cut(struct serials *s, size_t limit)
{
	while (s->count > limit)
		free(s->names[--s->count]);
}

bool serials_choose(struct serials *s, const char *from, const char *certs, const char *prefix, int64_t limit,
		    struct err *e)
{
	FILE *file = from != NULL ? fopen(from, "r") : NULL;
	const char *colon = from != NULL ? strrchr(from, ':') : NULL;
	bool ok;

	*s = (struct serials){0};
	if (file != NULL)
		ok = from_file(s, file, e) || err_prefix(e, "%s ", from);
	else if (colon != NULL)
		ok = from_prefix(s, from, colon, e);
	else if (from != NULL)
		ok = err_set(e, ERR_NOT_FOUND, "--serials %s: %s; expected a file or PREFIX:N", from, strerror(errno));
	else
		ok = from_certs(s, certs, prefix, e);
	if (file != NULL)
		fclose(file);
	if (ok && limit > 0 && (size_t)limit > s->count)
		ok = err_set(e, ERR_NOT_FOUND, "%" PRId64 " trackers asked for, %zu found", limit, s->count);
	if (ok && limit > 0)
		cut(s, (size_t)limit);
	if (!ok)
		serials_free(s);
	return ok;
}

void serials_free(struct serials *s)
{
	cut(s, 0);
	free(s->names);
	*s = (struct serials){0};
}
