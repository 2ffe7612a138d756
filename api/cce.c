/* SPDX-License-Identifier: Apache-2.0
 *
 * The outline of a transfer. What is in it is looked at by the database. */
#include "api/cce.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "api/numbers.h"

#define DEPTH_MAX 16

static size_t depth_of(json_t *value, size_t most)
{
	size_t deepest = 0, i;
	const char *name;
	json_t *inner;
	if (most == 0)
		return 1;
	json_array_foreach(value, i, inner)
	{
		size_t depth = depth_of(inner, most - 1);
		deepest = depth > deepest ? depth : deepest;
	}
	json_object_foreach(value, name, inner)
	{
		size_t depth = depth_of(inner, most - 1);
		deepest = depth > deepest ? depth : deepest;
	}
	return deepest + 1;
}

static bool has_outline(json_t *all, struct err *e)
{
	const json_t *data = json_object_get(all, "data");
	size_t count = json_array_size(data);
	if (!json_is_object(json_object_get(all, "meta")))
		return err_set(e, ERR_INVALID, "meta: expected an object");
	if (count == 0 || count > 1000)
		return err_set(e, ERR_INVALID, "data: expected 1 to 1000 reports");
	for (size_t i = 0; i < count; i++)
		if (!json_is_object(json_array_get(data, i)))
			return err_set(e, ERR_INVALID, "data: expected objects");
	return depth_of(all, DEPTH_MAX) < DEPTH_MAX ||
	       err_set(e, ERR_INVALID, "expected fewer levels of objects and arrays");
}

bool cce_read(const char *bytes, size_t len, char **json, struct err *e)
{
	*json = NULL;
	if (!numbers_check(bytes, len, e))
		return false;
	json_error_t at;
	json_t *all = json_loadb(bytes, len, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &at);
	bool ok = false;

	if (!json_is_object(all))
		err_set(e, ERR_REQUEST, "the body is no JSON object: line %d: %.150s", at.line,
			all ? "another value" : at.text);
	else
		ok = has_outline(all, e);
	json_decref(all);
	if (!ok)
		return false;
	*json = malloc(len + 1);
	if (*json == NULL)
		abort();
	memcpy(*json, bytes, len);
	(*json)[len] = '\0';
	return true;
}
