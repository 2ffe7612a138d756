/* SPDX-License-Identifier: Apache-2.0
 *
 * SenML in JSON (RFC 8428 section 5), parsed by jansson in an arena. What jansson would let pass or bound too late is
 * looked at in one pass over the bytes before it: how deep values nest (jansson recurses) and how many records come. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "ingest/senml.h"

#define SCRATCH_KEEP ((size_t)1024 * 1024)

static _Thread_local struct arena *scratch;
static _Thread_local bool decoding;

static void *take(size_t size)
{
	return decoding ? arena_alloc(scratch, size) : malloc(size);
}

static void give(void *p)
{
	if (!decoding)
		free(p);
}

static void scratch_begin(void)
{
	if (scratch == NULL) {
		scratch = arena_new(SCRATCH_KEEP);
		json_set_alloc_funcs(take, give);
	}
	arena_reset(scratch);
	decoding = true;
}

void senml_json_release(void)
{
	arena_free(&scratch);
}

/* The byte after the string that starts at `i`, or `len`. */
static size_t string_skip(const uint8_t *b, size_t len, size_t i)
{
	for (i++; i < len && b[i] != '"'; i++)
		if (b[i] == '\\')
			i++;
	return i;
}

static enum senml_status shape_check(const struct senml_input *in, struct err *e)
{
	size_t depth = 0, records = 0;
	for (size_t i = 0; i < in->len; i++) {
		switch (in->bytes[i]) {
		case '"':
			i = string_skip(in->bytes, in->len, i);
			break;
		case '[':
		case '{':
			if (++depth > 2) {
				err_set(e, ERR_DECODE,
					"record %zu: an array or object within the record, at byte %zu: expected plain "
					"values",
					records, i + 1);
				return SENML_INVALID;
			}
			if (depth == 2 && ++records > in->max_records) {
				err_set(e, ERR_DECODE, "more than %zu records", in->max_records);
				return SENML_TOO_MANY;
			}
			break;
		case ']':
		case '}':
			depth -= depth > 0;
			break;
		default:
			break;
		}
	}
	return SENML_OK;
}

static const char *type_name(const json_t *value)
{
	static const char *const names[] = {
		[JSON_OBJECT] = "an object", [JSON_ARRAY] = "an array", [JSON_STRING] = "a string",
		[JSON_INTEGER] = "a number", [JSON_REAL] = "a number",  [JSON_TRUE] = "a boolean",
		[JSON_FALSE] = "a boolean",  [JSON_NULL] = "null",
	};
	return names[json_typeof(value)];
}

/* RFC 4648 section 5 without padding: a length of 1 modulo 4 is impossible. */
static bool base64url_valid(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		char c = text[i];
		if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
		      c == '_'))
			return false;
	}
	return len % 4 != 1;
}

static bool field_take(struct senml_record *r, enum senml_label label, const json_t *value)
{
	switch (senml_fields[label].type) {
	case SENML_NUMBER:
		r->field[label].number = json_real_value(value);
		return json_is_real(value);
	case SENML_BOOLEAN:
		r->field[label].boolean = json_is_true(value);
		return json_is_boolean(value);
	case SENML_TEXT:
	case SENML_DATA:
		break;
	}
	r->field[label].text = (struct senml_text){json_string_value(value), json_string_length(value)};
	return json_is_string(value) &&
	       (label != SENML_VD || base64url_valid(json_string_value(value), json_string_length(value)));
}

static bool record_read(json_t *object, size_t number, struct senml_record *r, struct err *e)
{
	if (!json_is_object(object))
		return err_set(e, ERR_DECODE, "record %zu: expected an object, got %s", number, type_name(object));
	if (json_object_size(object) > SENML_FIELDS_MAX)
		return err_set(e, ERR_DECODE, "record %zu has %zu fields: expected at most %d", number,
			       json_object_size(object), SENML_FIELDS_MAX);
	r->has = 0;
	for (void *i = json_object_iter(object); i != NULL; i = json_object_iter_next(object, i)) {
		const char *key = json_object_iter_key(i);
		size_t len = json_object_iter_key_len(i);
		enum senml_label label = senml_label_find(key, len);
		if (label == SENML_LABELS) {
			if (!senml_label_ignorable(key, len, number, e))
				return false;
			continue;
		}
		json_t *value = json_object_iter_value(i);
		if (!field_take(r, label, value))
			return err_set(e, ERR_DECODE, "record %zu: field '%s': expected %s, got %s%s", number,
				       senml_fields[label].label, senml_fields[label].expected,
				       label == SENML_VD && json_is_string(value) ? "other characters in " : "",
				       type_name(value));
		r->has |= 1U << label;
	}
	return true;
}

static enum senml_status pack_read(const json_t *root, const struct senml_input *in, struct err *e)
{
	if (!json_is_array(root) || json_array_size(root) == 0) {
		err_set(e, ERR_DECODE, "expected an array of at least one record, got %s",
			json_is_array(root) ? "an empty one" : type_name(root));
		return SENML_INVALID;
	}
	struct senml_resolver resolver = {0};
	struct senml_record r;
	enum senml_status status = SENML_OK;
	for (size_t i = 0; i < json_array_size(root) && status == SENML_OK; i++) {
		if (!record_read(json_array_get(root, i), i + 1, &r, e))
			return SENML_INVALID;
		status = senml_push(&resolver, in, &r, e);
	}
	return status;
}

enum senml_status senml_json_decode(const struct senml_input *in, struct err *e)
{
	enum senml_status status = shape_check(in, e);
	if (status != SENML_OK)
		return status;
	scratch_begin();
	json_error_t error;
	json_t *root =
		json_loadb((const char *)in->bytes, in->len, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &error);
	decoding = false;
	if (root != NULL)
		return pack_read(root, in, e);
	err_set(e, ERR_DECODE, "not valid JSON at line %d, column %d: %s", error.line, error.column,
		senml_show(error.text, strlen(error.text)).text);
	return SENML_SYNTAX;
}
