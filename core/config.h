/* SPDX-License-Identifier: Apache-2.0
 *
 * Configuration by table. Each daemon has one struct of values and one table that says for every value: its key, how
 * it is parsed, where it lives, its default, its bounds and what it means. Values come from the default, then the INI
 * file, then `--set section.key=value`; the last one wins and is remembered as the value's origin. */
#ifndef COLDFLEET_CORE_CONFIG_H
#define COLDFLEET_CORE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "core/err.h"

#define CONFIG_FILE_DEFAULT "/etc/coldfleet/coldfleet.ini"
#define CONFIG_ORIGIN_MAX   160
#define CONFIG_TEXT_MAX     512

enum config_type {
	CONFIG_TEXT,     /* char[CONFIG_TEXT_MAX] */
	CONFIG_INT,      /* int64_t */
	CONFIG_BOOL,     /* bool: yes/no, true/false, on/off, 1/0 */
	CONFIG_SECONDS,  /* double: "1.5", "250ms", "30s", "10m", "2h", "400d" */
	CONFIG_BYTES,    /* int64_t: "65536", "64KiB", "2MiB", "1GiB" */
	CONFIG_LOG_LEVEL /* enum log_level */
};

struct config_item {
	const char *key; /* "section.name" */
	enum config_type type;
	size_t offset;        /* of the value within the daemon's struct */
	const char *fallback; /* the default, as one would write it in the file */
	double min, max;      /* bounds of numbers; both 0: none */
	bool reload;          /* SIGHUP may change it */
	bool secret;          /* --check-config shows only whether it is set */
	const char *help;
};

struct config; /* the table, the origins of the values, and the struct they live in */

/* `items` is borrowed and must outlive the config. `values` (of `size` bytes) is where parsed values are written. */
struct config *config_new(const struct config_item *items, size_t count, void *values, size_t size);
void config_free(struct config **c);

/* Sections that other daemons own are ignored, so one file serves all; an unknown key in a section of ours is an
 * error that names file, line and the keys that exist. A missing file is an error only when `required`. */
bool config_load(struct config *c, const char *path, bool required, struct err *e);

/* `assignment` is "section.key=value"; remembered, and applied again after each reload. */
bool config_set(struct config *c, const char *assignment, struct err *e);

/* Reads the file again and takes over the items with `reload`; items without it that differ are logged and left.
 * On error nothing changes. */
bool config_reload(struct config *c, struct err *e);

/* What is in force and where it came from, one line a value. */
void config_print(const struct config *c, FILE *to);
/* The whole table as a commented INI file, for --help-config and the shipped example. */
void config_print_example(const struct config *c, FILE *to);

#endif
