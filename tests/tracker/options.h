/* SPDX-License-Identifier: Apache-2.0
 *
 * Command-line options by table: each command has one struct of values and one table that says for every option its
 * name, kind, place, default and meaning. Defaults may come from the environment. */
#ifndef COLDFLEET_TRACKER_OPTIONS_H
#define COLDFLEET_TRACKER_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

#define LIST_MAX 4096

enum option_kind {
	OPTION_FLAG,    /* bool, takes no value */
	OPTION_TEXT,    /* const char *, points into argv, the environment or the table */
	OPTION_INT,     /* int64_t */
	OPTION_NUMBER,  /* double */
	OPTION_SECONDS, /* double: "1.5", "90s", "10m", "2h", "3d" */
	OPTION_LIST,    /* struct option_list: the option may come again, and takes every word up to the next option */
};

struct option_list {
	const char *words[LIST_MAX];
	size_t count;
};

struct option_item {
	const char *name; /* without the dashes */
	enum option_kind kind;
	size_t offset;
	const char *fallback; /* NULL: zero, NULL or false */
	const char *env;      /* NULL: none */
	double min, max;      /* both 0: no bounds */
	const char *value;    /* what help calls the value */
	const char *help;
};

/* `values` is zeroed memory of the struct that the offsets belong to. */
bool options_parse(const struct option_item *items, size_t count, void *values, int argc, char **argv, struct err *e);
void options_help(const struct option_item *items, size_t count);

/* "1.5", "90s", "10m", "2h", "3d" */
bool seconds_parse(const char *text, double *out);

#endif
