/* SPDX-License-Identifier: Apache-2.0
 *
 * One pass over the lines. A line of the tree is NAME: VALUE[, NAME: VALUE]...; one space deeper stands what belongs to
 * the last line without a value. What a line means is decided by the path of groups that it stands under. */
#include "api/logger_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "core/utf8.h"

#define DEPTH        6
#define NAME_MAX_LEN 40
#define LINE_LEN_MAX 1024
#define ENTRIES_MAX  4096 /* of facts, limits, verdicts, days and markers, each */

enum part { TREE, MARKERS, SAMPLES };

struct reader {
	const char *at, *end;
	size_t line;
	char text[LINE_LEN_MAX + 1]; /* of the line */
	char path[DEPTH][NAME_MAX_LEN + 1];
	size_t depth; /* names of the path that the next line may stand under */
	enum part part;
	bool headed; /* the table's head has been seen */
	json_t *facts, *limits, *verdicts, *spans, *markers, *ts, *c, *x;
	json_t *limit, *verdict, *span; /* borrowed: what lines now add to */
	const char *date;               /* borrowed: of the day that is read */
};

static bool wrong(const struct reader *r, struct err *e, const char *expected)
{
	return err_set(e, ERR_INVALID, "line %zu: expected %s", r->line, expected);
}

static json_t *made(json_t *json)
{
	if (json == NULL)
		abort();
	return json;
}

/* ---- values ---- */

static bool digits(const char **p, size_t least, size_t most)
{
	size_t n = strspn(*p, "0123456789");
	*p += n;
	return n >= least && n <= most;
}

static int number_at(const char *p, size_t len)
{
	int n = 0;
	for (size_t i = 0; i < len; i++)
		n = 10 * n + (p[i] - '0');
	return n;
}

static bool is_date(const char *text)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	const char *p = text;
	if (!digits(&p, 4, 4) || *p++ != '-' || !digits(&p, 2, 2) || *p++ != '-' || !digits(&p, 2, 2) || *p != '\0')
		return false;
	int year = number_at(text, 4), month = number_at(text + 5, 2), day = number_at(text + 8, 2);
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	return year >= 2000 && month >= 1 && month <= 12 && day >= 1 &&
	       day <= days[month - 1] + (month == 2 && leap ? 1 : 0);
}

static bool is_clock(const char *text)
{
	const char *p = text;
	return digits(&p, 2, 2) && *p++ == ':' && digits(&p, 2, 2) && *p == '\0' && number_at(text, 2) <= 23 &&
	       number_at(text + 3, 2) <= 59;
}

static bool is_temperature(const char *text)
{
	const char *p = text + (*text == '+' || *text == '-');
	return digits(&p, 1, 3) && *p++ == '.' && digits(&p, 1, 2) && *p == '\0';
}

static bool is_count(const char *text)
{
	const char *p = text;
	return digits(&p, 1, 7) && *p == '\0';
}

/* "2022-11-08 04:49" as "2022-11-08T04:49". */
static bool is_moment(const char *text, char out[17])
{
	char date[11];
	if (strlen(text) != 16 || text[10] != ' ')
		return false;
	memcpy(date, text, 10);
	date[10] = '\0';
	memcpy(out, text, 17);
	out[10] = 'T';
	return is_date(date) && is_clock(text + 11);
}

/* ---- what is known ---- */

enum kind { COUNT, TEMPERATURE, MOMENT, CLOCK, DATE };

struct known {
	const char *name, *to;
	enum kind kind;
};

static const struct known of_limit[] = {
	{"Type", "type", COUNT}, {"T AL", "limit_c", TEMPERATURE}, {"t AL", "minutes", COUNT}, {NULL, NULL, COUNT}};
static const struct known of_event[] = {{"TS S", "started_at", MOMENT},
					{"t A", "minutes", COUNT},
					{"TS A", "alarm_at", MOMENT},
					{"TS E", "ended_at", MOMENT},
					{"T M", "extreme_c", TEMPERATURE},
					{"TS M", "extreme_at", MOMENT},
					{NULL, NULL, COUNT}};
static const struct known of_run[] = {{"Min T", "min_c", TEMPERATURE},
				      {"TS Min T", "min_at", MOMENT},
				      {"Max T", "max_c", TEMPERATURE},
				      {"TS Max T", "max_at", MOMENT},
				      {"Avrg T", "mean_c", TEMPERATURE},
				      {"MKT", "mkt_c", TEMPERATURE},
				      {NULL, NULL, COUNT}};
static const struct known of_day[] = {{"Date", "date", DATE},
				      {"Min T", "min_c", TEMPERATURE},
				      {"TS Min T", "min_at", CLOCK},
				      {"Max T", "max_c", TEMPERATURE},
				      {"TS Max T", "max_at", CLOCK},
				      {"Avrg T", "mean_c", TEMPERATURE},
				      {NULL, NULL, COUNT}};
static const struct known of_day_limit[] = {{"t Acc", "minutes", COUNT},
					    {"TS A", "alarm_at", CLOCK},
					    {"T Amb", "ambient_c", TEMPERATURE},
					    {NULL, NULL, COUNT}};

static const char *const expected_text[] = {
	[COUNT] = "a whole number",
	[TEMPERATURE] = "a temperature such as -16.8",
	[MOMENT] = "a time such as 2022-11-08 04:49",
	[CLOCK] = "a time of day such as 22:11, below the date of its day",
	[DATE] = "a date such as 2022-11-08",
};

/* The value as it is kept, NULL: it is none of its kind. */
static json_t *value_of(const struct reader *r, enum kind kind, const char *text)
{
	char moment[17];
	switch (kind) {
	case COUNT:
		return is_count(text) ? made(json_string(text)) : NULL;
	case TEMPERATURE:
		return is_temperature(text) ? made(json_string(text)) : NULL;
	case MOMENT:
		return is_moment(text, moment) ? made(json_string(moment)) : NULL;
	case CLOCK:
		return is_clock(text) && r->date != NULL ? made(json_sprintf("%sT%s", r->date, text)) : NULL;
	case DATE:
		return is_date(text) ? made(json_string(text)) : NULL;
	}
	return NULL;
}

static bool put(const struct reader *r, json_t *object, const char *name, json_t *value, struct err *e)
{
	if (json_object_get(object, name) != NULL || json_object_size(object) >= ENTRIES_MAX) {
		json_decref(value);
		return wrong(r, e, "each name once, and fewer of them");
	}
	if (json_object_set_new(object, name, value) != 0)
		abort();
	return true;
}

static bool add(const struct reader *r, json_t *array, json_t *value, struct err *e)
{
	bool room = json_array_size(array) < ENTRIES_MAX;
	if (json_array_append_new(array, value) != 0)
		abort();
	return room || wrong(r, e, "fewer entries");
}

/* ---- the tree ---- */

static bool is_number(const char *name)
{
	return is_count(name);
}

/* Do the first names of the path read like this, # being any number? */
static bool under(const struct reader *r, size_t depth, const char *const *names, size_t count)
{
	if (depth != count)
		return false;
	for (size_t i = 0; i < count; i++)
		if (strcmp(names[i], "#") == 0 ? !is_number(r->path[i]) : strcmp(names[i], r->path[i]) != 0)
			return false;
	return true;
}
#define UNDER(r, depth, ...)                                                                                           \
	under(r, depth, (const char *const[]){__VA_ARGS__},                                                            \
	      sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

/* What is neither known nor empty is kept under its path. */
static bool keep_fact(struct reader *r, size_t depth, const char *name, const char *text, struct err *e)
{
	char path[DEPTH * (NAME_MAX_LEN + 1) + NAME_MAX_LEN + 1] = "";
	size_t at = 0;
	if (*text == '\0')
		return true;
	for (size_t i = 0; i < depth; i++)
		at += (size_t)snprintf(path + at, sizeof(path) - at, "%s/", r->path[i]);
	snprintf(path + at, sizeof(path) - at, "%s", name);
	return put(r, r->facts, path, made(json_string(text)), e);
}

static bool put_known(struct reader *r, json_t *to, const struct known *known, size_t depth, const char *name,
		      const char *text, struct err *e)
{
	while (known->name != NULL && strcmp(known->name, name) != 0)
		known++;
	if (known->name == NULL)
		return keep_fact(r, depth, name, text, e);
	if (*text == '\0' || (known->kind == TEMPERATURE && strcmp(text, "--.-") == 0))
		return true; /* the device has none */
	json_t *value = value_of(r, known->kind, text);
	if (value == NULL)
		return wrong(r, e, expected_text[known->kind]);
	if (!put(r, to, known->to, value, e))
		return false;
	if (known->kind == DATE)
		r->date = json_string_value(value);
	return true;
}

/* A line without a value begins a group, the objects of which are made here. */
static bool enter(struct reader *r, size_t depth, struct err *e)
{
	const char *name = r->path[depth];
	if (is_number(name) && (UNDER(r, depth, "Conf", "Alarm"))) {
		r->limit = made(json_pack("{s:s}", "number", name));
		return add(r, r->limits, r->limit, e);
	}
	if (is_number(name) && UNDER(r, depth, "Hist")) {
		r->date = NULL;
		r->span = made(json_object());
		return add(r, r->spans, r->span, e);
	}
	if (is_number(name) && UNDER(r, depth, "Hist", "#", "Alarm")) {
		if (r->date == NULL)
			return wrong(r, e, "the date of the day before its alarms");
		r->verdict = made(json_pack("{s:s,s:s}", "number", name, "date", r->date));
		return add(r, r->verdicts, r->verdict, e);
	}
	if (depth == 0 && strcmp(name, "Res") == 0) {
		r->span = made(json_object());
		return add(r, r->spans, r->span, e);
	}
	if (depth == 0 && (strcmp(name, "Data") == 0 || strcmp(name, "Marker") == 0)) {
		r->part = *name == 'D' ? SAMPLES : MARKERS;
		r->headed = false;
	}
	return true;
}

static bool take_item(struct reader *r, size_t depth, const char *name, const char *text, struct err *e)
{
	if (UNDER(r, depth, "Conf", "Alarm", "#"))
		return put_known(r, r->limit, of_limit, depth, name, text, e);
	if (UNDER(r, depth, "Res", "Alarm", "#"))
		return put_known(r, r->verdict, of_event, depth, name, text, e);
	if (UNDER(r, depth, "Res"))
		return put_known(r, r->span, of_run, depth, name, text, e);
	if (UNDER(r, depth, "Hist", "#"))
		return put_known(r, r->span, of_day, depth, name, text, e);
	if (UNDER(r, depth, "Hist", "#", "Alarm", "#"))
		return put_known(r, r->verdict, of_day_limit, depth, name, text, e);
	return keep_fact(r, depth, name, text, e);
}

static size_t name_length(const char *text)
{
	size_t len = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 ");
	return text[len] == ':' && *text != ' ' && len <= NAME_MAX_LEN ? len : 0;
}

/* Cuts the next NAME: VALUE off. A comma parts two of them only where a name follows. */
static bool next_item(char **at, char **name, char **value)
{
	size_t len = name_length(*at);
	if (len == 0)
		return false;
	*name = *at;
	(*name)[len] = '\0';
	char *p = *name + len + 1;
	*value = p + (*p == ' ');
	bool free_text = strncmp(*name, "User String", 11) == 0;
	for (; *p != '\0'; p++)
		if (!free_text && p[0] == ',' && p[1] == ' ' && name_length(p + 2) > 0)
			break;
	*at = *p == '\0' ? p : p + 2;
	*p = '\0';
	if (*value > p)
		*value = p;
	while (p > *value && p[-1] == ' ')
		*--p = '\0';
	return true;
}

static bool tree_line(struct reader *r, struct err *e)
{
	size_t depth = strspn(r->text, " ");
	char *at = r->text + depth, *name, *value;
	if (depth > r->depth || depth >= DEPTH)
		return wrong(r, e, "at most one space more than the group above");
	if (UNDER(r, depth, "Res", "Alarm", "#")) {
		r->verdict = made(json_pack("{s:s}", "number", r->path[2]));
		if (!add(r, r->verdicts, r->verdict, e))
			return false;
	}
	r->depth = depth;
	for (size_t items = 0; *at != '\0'; items++) {
		if (!next_item(&at, &name, &value))
			return wrong(r, e, "NAME: VALUE");
		if (items == 0 && *at == '\0' && *value == '\0') {
			snprintf(r->path[depth], sizeof(r->path[depth]), "%s", name);
			r->depth = depth + 1;
			return enter(r, depth, e);
		}
		if (!take_item(r, depth, name, value, e))
			return false;
	}
	return true;
}

/* ---- tables ---- */

static bool sample_line(struct reader *r, struct err *e)
{
	char moment[17];
	if (!r->headed) {
		r->headed = true;
		return strcmp(r->text, "\tyyyy-MM-dd hh:mm\tT\tOut of limits") == 0 ||
		       wrong(r, e, "the columns yyyy-MM-dd hh:mm, T, Out of limits");
	}
	char *when = r->text + 1, *what = strchr(when, '\t'), *out = what != NULL ? strchr(what + 1, '\t') : NULL;
	if (out == NULL)
		return wrong(r, e, "three columns");
	*what++ = *out++ = '\0';
	bool missing = strcmp(what, "--.-") == 0;
	if (!is_moment(when, moment))
		return wrong(r, e, expected_text[MOMENT]);
	if (!missing && !is_temperature(what))
		return wrong(r, e, "a temperature such as -16.8, or --.-");
	if (*out != '\0' && strcmp(out, "x") != 0)
		return wrong(r, e, "x or nothing in the last column");
	if (json_array_size(r->ts) >= LOGGER_SAMPLES_MAX)
		return wrong(r, e, "fewer samples");
	if (json_array_append_new(r->ts, made(json_string(moment))) != 0 ||
	    json_array_append_new(r->c, missing ? json_null() : made(json_string(what))) != 0 ||
	    json_array_append_new(r->x, made(json_string(out))) != 0)
		abort();
	return true;
}

static bool marker_line(struct reader *r, struct err *e)
{
	if (!r->headed) {
		r->headed = true;
		return true;
	}
	return add(r, r->markers, made(json_string(r->text + 1)), e);
}

/* ---- lines ---- */

/* Copies the next line without its end; false with e unset: there is none. */
static bool next_line(struct reader *r, struct err *e)
{
	if (r->at == r->end)
		return false;
	r->line++;
	const char *lf = memchr(r->at, '\n', (size_t)(r->end - r->at));
	size_t len = (size_t)((lf != NULL ? lf : r->end) - r->at);
	size_t kept = len - (len > 0 && r->at[len - 1] == '\r');
	if (kept > LINE_LEN_MAX)
		return wrong(r, e, "a shorter line");
	for (size_t i = 0; i < kept; i++)
		if ((unsigned char)r->at[i] < 0x20 && r->at[i] != '\t')
			return wrong(r, e, "text");
	memcpy(r->text, r->at, kept);
	r->text[kept] = '\0';
	r->at = lf != NULL ? lf + 1 : r->end;
	return true;
}

static bool take_line(struct reader *r, struct err *e)
{
	if (*r->text == '\0')
		return true;
	if (*r->text != '\t') {
		r->part = TREE;
		return tree_line(r, e);
	}
	if (r->part == TREE)
		return wrong(r, e, "spaces, for no table begins here");
	return r->part == SAMPLES ? sample_line(r, e) : marker_line(r, e);
}

static const char *fact(const struct reader *r, const char *path)
{
	return json_string_value(json_object_get(r->facts, path));
}

/* What no file is without. */
static bool check_whole(const struct reader *r, const char **format, struct err *e)
{
	const char *device = fact(r, "Device"), *unit = fact(r, "Conf/Temp unit");
	*format = device == NULL                         ? NULL
		  : strstr(device, "Fridge-tag") != NULL ? "fridge-tag"
		  : strncmp(device, "Q-tag", 5) == 0     ? "q-tag"
							 : NULL;
	if (*format == NULL)
		return err_set(e, ERR_INVALID, "Device: expected a Q-tag or Fridge-tag, got %.60s",
			       device ? device : "none");
	if (fact(r, "Conf/Serial") == NULL)
		return err_set(e, ERR_INVALID, "Conf: expected a Serial");
	if (unit != NULL && strcmp(unit, "C") != 0)
		return err_set(e, ERR_INVALID, "Temp unit: expected C, got %.20s", unit);
	return json_array_size(r->ts) > 0 || err_set(e, ERR_INVALID, "Data: expected at least one sample");
}

bool logger_file_read(const char *bytes, size_t len, char **json, struct err *e)
{
	struct reader r = {.at = bytes, .end = bytes + len};
	json_t **const part[] = {&r.facts, &r.limits, &r.verdicts, &r.spans, &r.markers, &r.ts, &r.c, &r.x};
	struct err bad = {0};
	const char *format;
	json_t *all = NULL;

	*json = NULL;
	if (!utf8_valid(bytes, len))
		return err_set(e, ERR_INVALID, "the file is not text in UTF-8");
	for (size_t i = 0; i < sizeof(part) / sizeof(part[0]); i++)
		*part[i] = made(i == 0 ? json_object() : json_array());
	while (next_line(&r, &bad) && take_line(&r, &bad))
		;
	if (bad.code == ERR_NONE && check_whole(&r, &format, &bad)) {
		all = made(json_pack("{s:s,s:O,s:O,s:O?,s:O,s:O,s:O,s:O,s:O,s:O,s:O,s:O}", "format", format, "device",
				     json_object_get(r.facts, "Device"), "serial",
				     json_object_get(r.facts, "Conf/Serial"), "firmware",
				     json_object_get(r.facts, "Fw Vers"), "facts", r.facts, "limits", r.limits,
				     "verdicts", r.verdicts, "spans", r.spans, "markers", r.markers, "ts", r.ts, "c",
				     r.c, "x", r.x));
		*json = json_dumps(all, JSON_COMPACT);
		if (*json == NULL)
			abort();
	}
	json_decref(all);
	for (size_t i = 0; i < sizeof(part) / sizeof(part[0]); i++)
		json_decref(*part[i]);
	return *json != NULL || err_set(e, bad.code, "%s", bad.detail);
}
