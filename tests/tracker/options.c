/* SPDX-License-Identifier: Apache-2.0
 *
 * One parser for the tables of all commands. */
#include "tests/tracker/options.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	char unit;
	double seconds;
} unit_table[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};

bool seconds_parse(const char *text, double *out)
{
	char *end;
	double n = strtod(text, &end);

	if (end == text || !isfinite(n) || n < 0)
		return false;
	*out = n;
	if (*end == '\0')
		return true;
	for (size_t i = 0; i < sizeof(unit_table) / sizeof(unit_table[0]); i++) {
		if (end[0] == unit_table[i].unit && end[1] == '\0') {
			*out = n * unit_table[i].seconds;
			return true;
		}
	}
	return false;
}

static bool refuse(const struct option_item *item, const char *expected, const char *got, struct err *e)
{
	return err_set(e, ERR_INVALID, "--%s: expected %s, got '%s'", item->name, expected, got);
}

static bool within(const struct option_item *item, double n, const char *text, struct err *e)
{
	char expected[80];

	if ((item->min == 0 && item->max == 0) || (n >= item->min && n <= item->max))
		return true;
	snprintf(expected, sizeof(expected), "%.15g to %.15g", item->min, item->max);
	return refuse(item, expected, text, e);
}

static bool set_int(const struct option_item *item, int64_t *to, const char *text, struct err *e)
{
	char *end;

	errno = 0;
	*to = strtoll(text, &end, 10);
	if (end == text || *end != '\0' || errno != 0)
		return refuse(item, "a whole number", text, e);
	return within(item, (double)*to, text, e);
}

static bool set_number(const struct option_item *item, double *to, const char *text, struct err *e)
{
	char *end;

	if (item->kind == OPTION_SECONDS)
		return seconds_parse(text, to) ? within(item, *to, text, e)
					       : refuse(item, "a time such as 30s, 10m, 2h or 3d", text, e);
	*to = strtod(text, &end);
	if (end == text || *end != '\0' || !isfinite(*to))
		return refuse(item, "a number", text, e);
	return within(item, *to, text, e);
}

static bool set(const struct option_item *item, void *values, const char *text, struct err *e)
{
	void *to = (char *)values + item->offset;
	struct option_list *list;

	switch (item->kind) {
	case OPTION_FLAG:
		*(bool *)to = strcmp(text, "0") != 0;
		return true;
	case OPTION_TEXT:
		*(const char **)to = text;
		return true;
	case OPTION_INT:
		return set_int(item, to, text, e);
	case OPTION_NUMBER:
	case OPTION_SECONDS:
		return set_number(item, to, text, e);
	case OPTION_LIST:
		list = to;
		if (list->count == LIST_MAX)
			return err_set(e, ERR_TOO_LARGE, "--%s: expected at most %d", item->name, LIST_MAX);
		list->words[list->count++] = text;
		return true;
	}
	return false;
}

static bool set_defaults(const struct option_item *items, size_t count, void *values, struct err *e)
{
	for (size_t i = 0; i < count; i++) {
		const char *env = items[i].env != NULL ? getenv(items[i].env) : NULL;
		const char *text = env != NULL && *env != '\0' ? env : items[i].fallback;
		if (text != NULL && !set(&items[i], values, text, e))
			return env != NULL ? err_prefix(e, "%s: ", items[i].env) : false;
	}
	return true;
}

static const struct option_item *find(const struct option_item *items, size_t count, const char *name, size_t len)
{
	for (size_t i = 0; i < count; i++)
		if (strlen(items[i].name) == len && strncmp(items[i].name, name, len) == 0)
			return &items[i];
	return NULL;
}

bool options_parse(const struct option_item *items, size_t count, void *values, int argc, char **argv, struct err *e)
{
	if (!set_defaults(items, count, values, e))
		return false;
	for (int i = 0; i < argc; i++) {
		const char *name = argv[i] + 2;
		if (strncmp(argv[i], "--", 2) != 0)
			return err_set(e, ERR_INVALID, "'%s': expected an option such as --%s", argv[i], items[0].name);
		size_t len = strcspn(name, "=");
		const char *value = name[len] == '=' ? name + len + 1 : NULL;
		const struct option_item *item = find(items, count, name, len);
		if (item == NULL)
			return err_set(e, ERR_INVALID, "--%.*s: no such option; --help lists them", (int)len, name);
		if (item->kind == OPTION_FLAG && value == NULL)
			value = "1";
		if (value == NULL && i + 1 == argc)
			return err_set(e, ERR_INVALID, "--%s: expected a value (%s)", item->name, item->value);
		if (value == NULL)
			value = argv[++i];
		if (!set(item, values, value, e))
			return false;
		while (item->kind == OPTION_LIST && i + 1 < argc && strncmp(argv[i + 1], "--", 2) != 0)
			if (!set(item, values, argv[++i], e))
				return false;
	}
	return true;
}

void options_help(const struct option_item *items, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		char left[64];
		snprintf(left, sizeof(left), "--%s%s%s", items[i].name, items[i].value != NULL ? " " : "",
			 items[i].value != NULL ? items[i].value : "");
		printf("  %-26s %s", left, items[i].help);
		if (items[i].env != NULL)
			printf(" [%s]", items[i].env);
		if (items[i].fallback != NULL)
			printf(" (default %s)", items[i].fallback);
		printf("\n");
	}
}
