/* SPDX-License-Identifier: Apache-2.0
 *
 * One row a type; what the checkers take and what the schema says must stay the same thing, which the tests of the
 * contract try value by value. */
#include "api/openapi_schema.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SERIAL_PATTERN "^[A-Za-z0-9._-]{1,64}$"
#define CURSOR_PATTERN "^[A-Za-z0-9_-]{1,256}$"
#define TEXT_PATTERN   "\\S"
#define DATE_PATTERN   "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"

static void put(json_t *object, const char *name, json_t *value)
{
	if (json_object_set_new(object, name, value) != 0)
		abort();
}

static json_t *typed(const char *type)
{
	json_t *schema = json_pack("{s:s}", "type", type);
	if (schema == NULL)
		abort();
	return schema;
}

static void put_words(json_t *schema, const char *words)
{
	json_t *all = json_array();
	for (const char *p = words; *p != '\0'; p += strspn(p, ",")) {
		size_t len = strcspn(p, ",");
		if (json_array_append_new(all, json_stringn(p, len)) != 0)
			abort();
		p += len;
	}
	put(schema, "enum", all);
}

/* A whole number stays one. */
static json_t *number(double value)
{
	return value == floor(value) && fabs(value) < 1e15 ? json_integer((json_int_t)value) : json_real(value);
}

static void put_bounds(json_t *schema, const char *least, double min, const char *most, double max)
{
	put(schema, least, number(min));
	put(schema, most, number(max));
}

static void put_text(json_t *schema, double min, double max)
{
	put_bounds(schema, "minLength", min, "maxLength", max);
	put(schema, "pattern", json_string(TEXT_PATTERN));
}

/* ---- parameters ---- */

static json_t *param_schema(const struct param *p)
{
	json_t *schema = typed(p->type == PARAM_INT ? "integer" : "string");
	switch (p->type) {
	case PARAM_SERIAL:
		put(schema, "pattern", json_string(SERIAL_PATTERN));
		break;
	case PARAM_INT:
		put(schema, "minimum", json_integer(p->min));
		put(schema, "maximum", json_integer(p->max));
		break;
	case PARAM_TIME:
		put(schema, "format", json_string("date-time"));
		break;
	case PARAM_CURSOR:
		put(schema, "pattern", json_string(CURSOR_PATTERN));
		break;
	case PARAM_WORD:
		put_words(schema, p->words);
		break;
	case PARAM_TEXT:
		put_text(schema, (double)p->min, (double)p->max);
		break;
	default: /* the database checks it */
		break;
	}
	if (p->fallback != NULL)
		put(schema, "default",
		    p->type == PARAM_INT ? json_integer(strtoll(p->fallback, NULL, 10)) : json_string(p->fallback));
	return schema;
}

json_t *openapi_param(const struct param *p)
{
	bool path = p->in == PARAM_PATH;
	json_t *o = json_pack("{s:s,s:s,s:b,s:s*,s:o}", "name", p->name, "in", path ? "path" : "query", "required",
			      path, "description", p->help, "schema", param_schema(p));
	if (o == NULL)
		abort();
	return o;
}

/* ---- bodies ---- */

static const char *const type_names[FIELD_TYPES] = {
	[FIELD_INT] = "integer", [FIELD_NUMBER] = "number", [FIELD_BOOL] = "boolean",  [FIELD_TEXTS] = "array",
	[FIELD_INTS] = "array",  [FIELD_OBJECTS] = "array", [FIELD_OBJECT] = "object",
};

static json_t *array_items(const struct field *f)
{
	if (f->type == FIELD_OBJECTS)
		return openapi_fields(f->fields, f->field_count);
	json_t *items = typed(f->type == FIELD_TEXTS ? "string" : "integer");
	if (f->type == FIELD_TEXTS)
		put_text(items, 1, 200);
	else
		put_bounds(items, "minimum", 1, "maximum", 2147483647);
	return items;
}

static void put_limits(json_t *schema, const struct field *f)
{
	switch (f->type) {
	case FIELD_TEXT:
		put_text(schema, f->min, f->max);
		break;
	case FIELD_WORD:
		put_words(schema, f->words);
		break;
	case FIELD_SERIAL:
		put(schema, "pattern", json_string(SERIAL_PATTERN));
		break;
	case FIELD_DIGITS:
		put(schema, "pattern", json_sprintf("^[0-9]{%.0f,%.0f}$", f->min, f->max));
		break;
	case FIELD_INT:
	case FIELD_NUMBER:
		put_bounds(schema, "minimum", f->min, "maximum", f->max);
		break;
	case FIELD_TIME:
		put(schema, "format", json_string("date-time"));
		break;
	case FIELD_DATE:
		put(schema, "format", json_string("date"));
		put(schema, "pattern", json_string(DATE_PATTERN));
		break;
	case FIELD_TEXTS:
	case FIELD_INTS:
	case FIELD_OBJECTS:
		put(schema, "items", array_items(f));
		put_bounds(schema, "minItems", f->type == FIELD_INTS ? f->min : 0, "maxItems", f->max);
		break;
	default:
		break;
	}
}

static json_t *field_schema(const struct field *f)
{
	json_t *schema;
	if (f->type == FIELD_OBJECT && f->fields != NULL)
		schema = openapi_fields(f->fields, f->field_count);
	else
		schema = typed((int)f->type < FIELD_TYPES && type_names[f->type] != NULL ? type_names[f->type]
											 : "string");
	put_limits(schema, f);
	if (f->nullable) {
		json_t *words = json_object_get(schema, "enum");
		put(schema, "type", json_pack("[O,s]", json_object_get(schema, "type"), "null"));
		if (words != NULL && json_array_append_new(words, json_null()) != 0)
			abort();
	}
	if (f->help != NULL)
		put(schema, "description", json_string(f->help));
	return schema;
}

json_t *openapi_fields(const struct field *fields, size_t field_count)
{
	json_t *properties = json_object(), *required = json_array();
	for (size_t i = 0; i < field_count; i++) {
		put(properties, fields[i].name, field_schema(&fields[i]));
		if (fields[i].required && json_array_append_new(required, json_string(fields[i].name)) != 0)
			abort();
	}
	json_t *schema = typed("object");
	put(schema, "additionalProperties", json_false());
	put(schema, "properties", properties);
	if (json_array_size(required) > 0)
		put(schema, "required", json_incref(required));
	json_decref(required);
	return schema;
}
