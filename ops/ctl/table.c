/* SPDX-License-Identifier: Apache-2.0
 *
 * Layout: each column is as wide as its widest cell so far; on a terminal that is too narrow the widest ones give way.
 */
#include "ops/ctl/table.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ops/ctl/text.h"
#include "ops/ctl/when.h"

#define COLUMNS_MAX 24
#define GAP         2
#define NARROWEST   6

struct table {
	const struct column *columns;
	size_t count;
	FILE *to;
	size_t width;
	bool color;
	time_t now;
	size_t widths[COLUMNS_MAX];
	bool shown[COLUMNS_MAX], titled;
	char **cells; /* rows * count */
	size_t rows, room, added;
};

static void *checked(void *memory)
{
	if (memory == NULL)
		abort();
	return memory;
}

json_t *value_at(const json_t *item, const char *path)
{
	char name[64];
	json_t *at = NULL;

	while (*path != '\0') {
		size_t len = strcspn(path, ".");
		snprintf(name, sizeof(name), "%.*s", (int)len, path);
		at = json_object_get(at != NULL ? at : item, name);
		if (at == NULL || json_is_null(at))
			return NULL;
		path += len + (path[len] == '.');
	}
	return at;
}

static char *joined(const json_t *array)
{
	char *text = NULL;
	size_t len = 0, i;
	json_t *value;
	FILE *to = checked(open_memstream(&text, &len));

	json_array_foreach(array, i, value)
	{
		char *one = value_text(value);
		fprintf(to, "%s%s", i > 0 ? "," : "", one);
		free(one);
	}
	fclose(to);
	return checked(text);
}

char *value_text(const json_t *value)
{
	char number[40];

	if (value == NULL || json_is_null(value))
		return checked(strdup(""));
	switch (json_typeof(value)) {
	case JSON_STRING:
		return text_clean(json_string_value(value));
	case JSON_REAL:
		snprintf(number, sizeof(number), "%.15g", json_real_value(value));
		return checked(strdup(number));
	case JSON_ARRAY:
		return joined(value);
	case JSON_TRUE:
	case JSON_FALSE:
		return checked(strdup(json_is_true(value) ? "yes" : "no"));
	default:
		break;
	}
	char *dumped = checked(json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15)));
	char *clean = text_clean(dumped);
	free(dumped);
	return clean;
}

static char *cell_text(const struct table *t, const struct column *column, const json_t *item)
{
	const json_t *value = value_at(item, column->path);
	char text[40];

	if (column->cell == CELL_TENTHS && json_is_number(value)) {
		double number = json_number_value(value);
		snprintf(text, sizeof(text), trunc(number) == number ? "%.1f" : "%.15g", number);
	} else if (column->cell == CELL_AGO && json_is_string(value)) {
		when_ago(json_string_value(value), t->now, text, sizeof(text));
	} else {
		return value_text(value);
	}
	return text_clean(text);
}

struct table *table_new(const struct column *columns, size_t count, FILE *to, size_t width, bool color, time_t now)
{
	struct table *t = checked(calloc(1, sizeof(*t)));

	*t = (struct table){.columns = columns,
			    .count = count < COLUMNS_MAX ? count : COLUMNS_MAX,
			    .to = to,
			    .width = width,
			    .color = color,
			    .now = now};
	return t;
}

static void drop_rows(struct table *t)
{
	for (size_t i = 0; i < t->rows * t->count; i++)
		free(t->cells[i]);
	t->rows = 0;
}

void table_free(struct table **t)
{
	if (*t == NULL)
		return;
	drop_rows(*t);
	free((*t)->cells);
	free(*t);
	*t = NULL;
}

void table_add(struct table *t, const json_t *item)
{
	if (t->rows == t->room) {
		t->room = t->room > 0 ? t->room * 2 : 64;
		t->cells = checked(reallocarray(t->cells, t->room * t->count, sizeof(t->cells[0])));
	}
	for (size_t c = 0; c < t->count; c++)
		t->cells[t->rows * t->count + c] = cell_text(t, &t->columns[c], item);
	t->rows++;
	t->added++;
}

size_t table_rows(const struct table *t)
{
	return t->added;
}

/* Takes what waits into the widths; true when the titles have to be printed (again). */
static bool measure(struct table *t)
{
	bool changed = !t->titled;

	for (size_t c = 0; c < t->count; c++) {
		size_t widest = 0;
		for (size_t r = 0; r < t->rows; r++) {
			size_t width = text_width(t->cells[r * t->count + c]);
			widest = width > widest ? width : widest;
		}
		if (!t->shown[c] && (widest > 0 || c == 0)) {
			t->shown[c] = changed = true;
			t->widths[c] = text_width(t->columns[c].title);
		}
		t->widths[c] = widest > t->widths[c] ? widest : t->widths[c];
	}
	return changed;
}

static void squeeze(const struct table *t, size_t widths[COLUMNS_MAX])
{
	size_t all = 0;

	for (size_t c = 0; c < t->count; c++) {
		widths[c] = t->shown[c] ? t->widths[c] : 0;
		all += t->shown[c] ? widths[c] + GAP : 0;
	}
	while (t->width > 0 && all > t->width + GAP) {
		size_t widest = 0;
		for (size_t c = 1; c < t->count; c++)
			widest = widths[c] > widths[widest] ? c : widest;
		if (widths[widest] <= NARROWEST)
			return;
		widths[widest]--;
		all--;
	}
}

static void put_row(const struct table *t, const size_t widths[COLUMNS_MAX], char *const *cells)
{
	size_t last = t->count;

	while (last > 0 && !t->shown[last - 1])
		last--;
	for (size_t c = 0; c < last; c++) {
		const char *text = cells != NULL ? cells[c] : t->columns[c].title;
		int right = t->columns[c].cell != CELL_TEXT;
		size_t width = text_width(text);
		if (!t->shown[c])
			continue;
		/* Nothing but the text at a line's end: blanks would wrap, or be copied along. */
		text_put(t->to, text, c + 1 == last && !right && width < widths[c] ? width : widths[c], right);
		fputs(c + 1 < last ? "  " : "\n", t->to);
	}
}

void table_flush(struct table *t)
{
	size_t widths[COLUMNS_MAX];

	if (t->rows == 0)
		return;
	bool titles = measure(t);
	squeeze(t, widths);
	if (titles) {
		fputs(t->color ? "\033[1m" : "", t->to);
		put_row(t, widths, NULL);
		fputs(t->color ? "\033[0m" : "", t->to);
		t->titled = true;
	}
	for (size_t r = 0; r < t->rows; r++)
		put_row(t, widths, t->cells + r * t->count);
	drop_rows(t);
}

static bool is_list_of_objects(const json_t *value)
{
	return json_is_array(value) && json_array_size(value) > 0 && json_is_object(json_array_get(value, 0));
}

/* An object of a list: its first line has the dash. */
static void item_print(json_t *item, FILE *to, int indent)
{
	char *block = NULL;
	size_t len = 0;
	FILE *lines = open_memstream(&block, &len);

	if (lines == NULL)
		abort();
	object_print(item, lines, indent + 2);
	if (fclose(lines) != 0)
		abort();
	fprintf(to, "%*s- %s", indent, "", len > (size_t)indent + 2 ? block + indent + 2 : "\n");
	free(block);
}

static void field_print(const char *name, json_t *value, FILE *to, int indent, size_t widest)
{
	size_t i;
	json_t *one;

	fprintf(to, "%*s%s:", indent, "", name);
	if (json_is_object(value) && json_object_size(value) > 0) {
		fputc('\n', to);
		object_print(value, to, indent + 2);
	} else if (is_list_of_objects(value)) {
		fputc('\n', to);
		json_array_foreach(value, i, one)
		{
			item_print(one, to, indent + 2);
		}
	} else {
		char *text = value_text(value);
		fprintf(to, "%*s%s\n", (int)(widest - text_width(name) + 1), "", *text != '\0' ? text : "-");
		free(text);
	}
}

void object_print(json_t *object, FILE *to, int indent)
{
	const char *name;
	json_t *value;
	size_t widest = 0;

	json_object_foreach(object, name, value)
	{
		char *clean = text_clean(name);
		size_t width = text_width(clean);
		widest = width > widest ? width : widest;
		free(clean);
	}
	json_object_foreach(object, name, value)
	{
		char *clean = text_clean(name);
		field_print(clean, value, to, indent, widest);
		free(clean);
	}
}
