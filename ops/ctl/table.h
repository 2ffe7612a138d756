/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON objects as a table for people: a column is a path into the object, its width comes from what is in it. Rows wait
 * for table_flush(), so memory is that of one page however long the list is. */
#ifndef COLDFLEET_CTL_TABLE_H
#define COLDFLEET_CTL_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <time.h>

#include <jansson.h>

enum cell {
	CELL_TEXT,   /* as it is; lists are joined with commas, objects are JSON */
	CELL_NUMBER, /* to the right */
	CELL_TENTHS, /* to the right, one decimal at least */
	CELL_AGO,    /* a time as how long ago */
};

struct column {
	const char *title;
	const char *path; /* "latest.temperature_c" */
	enum cell cell;
};

struct table;

/* `width` is that of the terminal, 0 for no limit. Columns are borrowed. */
struct table *table_new(const struct column *columns, size_t count, FILE *to, size_t width, bool color, time_t now);
void table_free(struct table **t);
void table_add(struct table *t, const json_t *item);
/* Prints what waits. A column without any value yet is left out; the titles come again when one appears. */
void table_flush(struct table *t);
/* How many have been added in all. */
size_t table_rows(const struct table *t);

/* The value at the path or NULL, also for null. */
json_t *value_at(const json_t *item, const char *path);
/* A value in words, cleaned for a terminal, to be freed; empty for NULL. */
char *value_text(const json_t *value);

/* A whole object, one line a field, nested ones indented. */
void object_print(json_t *object, FILE *to, int indent);

#endif
