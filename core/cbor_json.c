/* SPDX-License-Identifier: Apache-2.0
 *
 * Recursion is bounded: by CBOR_DEPTH_MAX here, and by cbor_open() for what comes from outside. */
#include "core/cbor_json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base64url.h"

static bool put_value(struct cbor_writer *w, const json_t *value, unsigned depth, struct err *e);

static bool put_items(struct cbor_writer *w, const json_t *array, unsigned depth, struct err *e)
{
	cbor_put_array(w, json_array_size(array));
	for (size_t i = 0; i < json_array_size(array); i++)
		if (!put_value(w, json_array_get(array, i), depth + 1, e))
			return false;
	return true;
}

/* By the bytes of the encoding: the length is in its first bytes, so shorter keys come first. */
static int by_encoding(const void *a, const void *b)
{
	const char *const *left = a, *const *right = b;
	size_t left_len = strlen(*left), right_len = strlen(*right);
	if (left_len != right_len)
		return left_len < right_len ? -1 : 1;
	return strcmp(*left, *right);
}

static bool put_pairs(struct cbor_writer *w, const json_t *object, unsigned depth, struct err *e)
{
	size_t pairs = json_object_size(object), n = 0;
	const char *key, **keys = calloc(pairs + 1, sizeof(*keys));
	json_t *value, *borrowed = json_incref((json_t *)(uintptr_t)object); /* jansson's iterators want it so */
	bool ok = true;
	if (keys == NULL)
		abort();
	json_object_foreach(borrowed, key, value) keys[n++] = key;
	qsort(keys, pairs, sizeof(*keys), by_encoding);
	cbor_put_map(w, pairs);
	for (size_t i = 0; i < pairs && ok; i++) {
		cbor_put_text(w, keys[i]);
		ok = put_value(w, json_object_get(object, keys[i]), depth + 1, e);
	}
	json_decref(borrowed);
	free(keys);
	return ok;
}

static bool put_value(struct cbor_writer *w, const json_t *value, unsigned depth, struct err *e)
{
	if ((json_is_array(value) || json_is_object(value)) && depth >= CBOR_DEPTH_MAX)
		return err_set(e, ERR_INVALID, "more than %d levels of arrays and objects", CBOR_DEPTH_MAX);
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return put_pairs(w, value, depth, e);
	case JSON_ARRAY:
		return put_items(w, value, depth, e);
	case JSON_STRING:
		cbor_put_text_view(
			w, (struct cbor_view){(const uint8_t *)json_string_value(value), json_string_length(value)});
		return true;
	case JSON_INTEGER:
		cbor_put_int(w, json_integer_value(value));
		return true;
	case JSON_REAL:
		cbor_put_double(w, json_real_value(value));
		return true;
	case JSON_NULL:
		cbor_put_null(w);
		return true;
	default:
		cbor_put_bool(w, json_is_true(value));
		return true;
	}
}

bool cbor_from_json(struct cbor_writer *w, const json_t *value, struct err *e)
{
	return put_value(w, value, 0, e);
}

static json_t *refuse(const struct cbor_reader *r, const char *what, struct err *e)
{
	err_set(e, ERR_DECODE, "CBOR byte %zu: %s", r->at, what);
	return NULL;
}

static json_t *take_number(struct cbor_reader *r, struct err *e)
{
	int64_t value;
	return cbor_take_int(r, &value, e) ? json_integer(value) : NULL;
}

static json_t *take_real(struct cbor_reader *r, struct err *e)
{
	double value;
	if (!cbor_take_double(r, &value, e))
		return NULL;
	return isfinite(value) ? json_real(value) : refuse(r, "a float that JSON does not have", e);
}

static json_t *take_text(struct cbor_reader *r, struct err *e)
{
	struct cbor_view text;
	if (!cbor_take_text(r, &text, e))
		return NULL;
	if (text.len > 0 && memchr(text.at, 0, text.len) != NULL)
		return refuse(r, "text with a NUL in it", e);
	return json_stringn((const char *)text.at, text.len);
}

static json_t *take_bytes(struct cbor_reader *r, struct err *e)
{
	struct cbor_view bytes;
	if (!cbor_take_bytes(r, &bytes, e))
		return NULL;
	char *text = malloc(BASE64URL_TEXT(bytes.len));
	if (text == NULL)
		abort();
	json_t *value = json_stringn(text, base64url_encode(bytes.at, bytes.len, text));
	free(text);
	return value;
}

static json_t *take_items(struct cbor_reader *r, struct err *e)
{
	size_t items;
	json_t *array = cbor_take_array(r, &items, e) ? json_array() : NULL;
	for (size_t i = 0; array != NULL && i < items; i++) {
		json_t *value = cbor_to_json(r, e);
		if (value == NULL || json_array_append_new(array, value) != 0) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

static json_t *take_pairs(struct cbor_reader *r, struct err *e)
{
	size_t pairs;
	json_t *object = cbor_take_map(r, &pairs, e) ? json_object() : NULL;
	for (size_t i = 0; object != NULL && i < pairs; i++) {
		json_t *key = take_text(r, e), *value = key != NULL ? cbor_to_json(r, e) : NULL;
		bool ok = value != NULL && json_object_set(object, json_string_value(key), value) == 0;
		json_decref(key);
		json_decref(value);
		if (!ok) {
			json_decref(object);
			return NULL;
		}
	}
	return object;
}

static json_t *take_bool(struct cbor_reader *r, struct err *e)
{
	bool value;
	return cbor_take_bool(r, &value, e) ? json_boolean(value) : NULL;
}

static json_t *take_null(struct cbor_reader *r, struct err *e)
{
	return cbor_take_null(r, e) ? json_null() : NULL;
}

static json_t *take_end(struct cbor_reader *r, struct err *e)
{
	return refuse(r, "the end, expected an item", e);
}

json_t *cbor_to_json(struct cbor_reader *r, struct err *e)
{
	static json_t *(*const takers[])(struct cbor_reader *, struct err *) = {
		[CBOR_UINT] = take_number, [CBOR_NEGATIVE] = take_number, [CBOR_BYTES] = take_bytes,
		[CBOR_TEXT] = take_text,   [CBOR_ARRAY] = take_items,     [CBOR_MAP] = take_pairs,
		[CBOR_BOOL] = take_bool,   [CBOR_NULL] = take_null,       [CBOR_FLOAT] = take_real,
		[CBOR_END] = take_end,
	};
	return takers[cbor_peek(r)](r, e);
}
