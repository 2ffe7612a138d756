/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads a body with jansson and holds it against its table of fields, one checker a type. */
#include "api/fields.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <jansson.h>

#include "api/numbers.h"
#include "api/url.h"

/* What is wrong is said once, with the path that led there. */
struct at {
	const struct at *up;
	const char *name;
};

static void path_of(const struct at *at, char *to, size_t size)
{
	size_t used;
	if (at->up != NULL)
		path_of(at->up, to, size);
	used = strlen(to);
	snprintf(to + used, size - used, "%s%.64s", used > 0 ? "." : "", at->name);
}

static bool refuse(const struct at *at, struct err *e, const char *expected)
{
	char path[160] = "";
	path_of(at, path, sizeof(path));
	return err_set(e, ERR_INVALID, "%s: expected %s", path, expected);
}

static bool is_text(const json_t *v, double min, double max)
{
	const char *text = json_string_value(v);
	if (text == NULL)
		return false;
	for (const char *p = text; *p != '\0'; p++)
		if (((unsigned char)*p < 0x20 && *p != '\t' && *p != '\n') || *p == 0x7f)
			return false;
	return url_is_text(text, (int64_t)min, (int64_t)max);
}

static bool check_text(const struct field *f, const json_t *v, char *expected, size_t size)
{
	snprintf(expected, size, "a text of %.0f to %.0f characters, not only blanks", f->min, f->max);
	return is_text(v, f->min, f->max);
}

static bool check_word(const struct field *f, const json_t *v, char *expected, size_t size)
{
	snprintf(expected, size, "one of %s", f->words);
	return json_is_string(v) && url_is_word(json_string_value(v), f->words);
}

static bool only(const json_t *v, const char *set, double min, double max)
{
	const char *text = json_string_value(v);
	size_t len = text != NULL ? strlen(text) : 0;
	return text != NULL && (double)len >= min && (double)len <= max && strspn(text, set) == len;
}

static bool check_serial(const struct field *f, const json_t *v, char *expected, size_t size)
{
	(void)f;
	snprintf(expected, size, "1 to 64 of A-Z a-z 0-9 . _ -");
	return only(v, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-", 1, 64);
}

static bool check_digits(const struct field *f, const json_t *v, char *expected, size_t size)
{
	snprintf(expected, size, "a text of %.0f to %.0f digits", f->min, f->max);
	return only(v, "0123456789", f->min, f->max);
}

static bool check_int(const struct field *f, const json_t *v, char *expected, size_t size)
{
	double n = (double)json_integer_value(v);
	snprintf(expected, size, "a whole number from %.0f to %.0f", f->min, f->max);
	return json_is_integer(v) && n >= f->min && n <= f->max;
}

static bool check_number(const struct field *f, const json_t *v, char *expected, size_t size)
{
	double n = json_number_value(v);
	snprintf(expected, size, "a number from %g to %g", f->min, f->max);
	return json_is_number(v) && n >= f->min && n <= f->max;
}

static bool check_bool(const struct field *f, const json_t *v, char *expected, size_t size)
{
	(void)f;
	snprintf(expected, size, "true or false");
	return json_is_boolean(v);
}

static bool check_time(const struct field *f, const json_t *v, char *expected, size_t size)
{
	(void)f;
	snprintf(expected, size, "a time like 2026-11-22T08:00:00Z (RFC 3339, with an offset)");
	return json_is_string(v) && url_time(json_string_value(v));
}

static bool check_date(const struct field *f, const json_t *v, char *expected, size_t size)
{
	char time[32];
	(void)f;
	snprintf(expected, size, "a date like 2026-11-22");
	if (!only(v, "0123456789-", 10, 10))
		return false;
	snprintf(time, sizeof(time), "%sT00:00:00Z", json_string_value(v));
	return url_time(time);
}

static bool check_texts(const struct field *f, const json_t *v, char *expected, size_t size)
{
	bool ok = json_is_array(v) && (double)json_array_size(v) <= f->max;
	snprintf(expected, size, "an array of at most %.0f texts of 1 to 200 characters, not only blanks", f->max);
	for (size_t i = 0; ok && i < json_array_size(v); i++)
		ok = is_text(json_array_get(v, i), 1, 200);
	return ok;
}

static bool check_ints(const struct field *f, const json_t *v, char *expected, size_t size)
{
	double n = (double)json_array_size(v);
	bool ok = json_is_array(v) && n >= f->min && n <= f->max;
	snprintf(expected, size, "an array of %.0f to %.0f whole numbers from 1 to 2147483647", f->min, f->max);
	for (size_t i = 0; ok && i < json_array_size(v); i++) {
		json_int_t number = json_integer_value(json_array_get(v, i));
		ok = number >= 1 && number <= INT32_MAX;
	}
	return ok;
}

static bool check_objects(const struct field *f, const json_t *v, char *expected, size_t size)
{
	snprintf(expected, size, "an array of at most %.0f objects", f->max);
	return json_is_array(v) && (double)json_array_size(v) <= f->max;
}

static bool check_object(const struct field *f, const json_t *v, char *expected, size_t size)
{
	(void)f;
	snprintf(expected, size, "an object");
	return json_is_object(v);
}

static bool (*const check_table[FIELD_TYPES])(const struct field *f, const json_t *v, char *expected, size_t size) = {
	[FIELD_TEXT] = check_text,     [FIELD_WORD] = check_word, [FIELD_SERIAL] = check_serial,
	[FIELD_DIGITS] = check_digits, [FIELD_INT] = check_int,   [FIELD_NUMBER] = check_number,
	[FIELD_BOOL] = check_bool,     [FIELD_TIME] = check_time, [FIELD_DATE] = check_date,
	[FIELD_TEXTS] = check_texts,   [FIELD_INTS] = check_ints, [FIELD_OBJECTS] = check_objects,
	[FIELD_OBJECT] = check_object,
};

static const struct field *find(const struct field *fields, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(fields[i].name, name) == 0)
			return &fields[i];
	return NULL;
}

static bool unknown_field(const struct at *at, const struct field *fields, size_t count, struct err *e)
{
	char known[200] = "", path[80] = "";
	for (size_t i = 0; i < count; i++) {
		size_t used = strlen(known);
		snprintf(known + used, sizeof(known) - used, "%s%s", used > 0 ? ", " : "", fields[i].name);
	}
	path_of(at, path, sizeof(path));
	return err_set(e, ERR_INVALID, "%s: unknown field, expected one of %s", path, known);
}

static bool check_members(const struct field *fields, size_t count, const struct at *up, json_t *object, struct err *e);

/* What is in an object, or in each of an array. */
static bool check_inner(const struct field *f, const struct at *at, json_t *v, struct err *e)
{
	if (f->type != FIELD_OBJECTS)
		return check_members(f->fields, f->field_count, at, v, e);
	for (size_t i = 0; i < json_array_size(v); i++) {
		json_t *item = json_array_get(v, i);
		if (!json_is_object(item))
			return refuse(at, e, "an array of objects");
		if (!check_members(f->fields, f->field_count, at, item, e))
			return false;
	}
	return true;
}

static bool check_members(const struct field *fields, size_t count, const struct at *up, json_t *object, struct err *e)
{
	char expected[160];
	const char *name;
	json_t *v;
	json_object_foreach(object, name, v)
	{
		const struct at at = {up, name};
		const struct field *f = find(fields, count, name);
		if (f == NULL)
			return unknown_field(&at, fields, count, e);
		if (json_is_null(v) && f->nullable)
			continue;
		if (!check_table[f->type](f, v, expected, sizeof(expected)))
			return refuse(&at, e, expected);
		if (f->fields != NULL && !check_inner(f, &at, v, e))
			return false;
	}
	for (size_t i = 0; i < count; i++) {
		const struct at at = {up, fields[i].name};
		if (fields[i].required && json_object_get(object, fields[i].name) == NULL)
			return refuse(&at, e, "it: the field is required");
	}
	return true;
}

/* jansson's own limit is 2,048 levels of recursion. */
static bool check_depth(const char *body, size_t len, struct err *e)
{
	size_t depth = 0;
	bool quoted = false;
	for (size_t i = 0; i < len; i++) {
		if (quoted && body[i] == '\\')
			i++;
		else if (body[i] == '"')
			quoted = !quoted;
		else if (!quoted && (body[i] == '{' || body[i] == '[') && ++depth > FIELDS_DEPTH)
			return err_set(e, ERR_REQUEST, "body: expected at most %d levels of objects and arrays",
				       FIELDS_DEPTH);
		else if (!quoted && (body[i] == '}' || body[i] == ']') && depth > 0)
			depth--;
	}
	return true;
}

bool fields_check(const struct field *fields, size_t count, const char *body, size_t len, struct err *e)
{
	json_error_t at;
	if (len == 0)
		return err_set(e, ERR_REQUEST, "body: expected a JSON object, got nothing");
	if (!check_depth(body, len, e) || !numbers_check(body, len, e))
		return false;
	json_t *root = json_loadb(body, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &at);
	if (root == NULL)
		return err_set(e, ERR_REQUEST, "body: line %d, column %d: %.150s", at.line, at.column, at.text);
	bool ok = json_is_object(root) ? check_members(fields, count, NULL, root, e)
				       : err_set(e, ERR_REQUEST, "body: expected a JSON object");
	json_decref(root);
	return ok;
}

static bool media_is(const char *content_type, const char *media)
{
	size_t len = strlen(media);
	if (strncasecmp(content_type, media, len) != 0)
		return false;
	content_type += len + strspn(content_type + len, " \t");
	return *content_type == '\0' || strcasecmp(content_type, ";charset=utf-8") == 0 ||
	       strcasecmp(content_type, "; charset=utf-8") == 0;
}

bool fields_media(const char *content_type, bool patch, struct err *e)
{
	if (content_type != NULL && (media_is(content_type, "application/json") ||
				     (patch && media_is(content_type, "application/merge-patch+json"))))
		return true;
	return err_set(e, ERR_MEDIA, "Content-Type: expected application/json%s, got %.80s",
		       patch ? " or application/merge-patch+json" : "",
		       content_type != NULL && url_is_utf8(content_type, strlen(content_type)) ? content_type : "none");
}
