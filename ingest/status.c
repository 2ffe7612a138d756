/* SPDX-License-Identifier: Apache-2.0
 *
 * The members of a status as tables, and one walk over them. What has passed is written anew, sorted, so that the same
 * status is the same text however the tracker wrote it. */
#include "ingest/status.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define NAME_MAX_LEN 64
#define SLOTS_MAX    4
#define VALUES_MAX   64
#define VALUES_DEPTH 4 /* levels of objects and lists below config.values */
#define PATH_MAX_LEN 96

static const char word_characters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._+:~-";
static const char digit_characters[] = "0123456789";

enum kind { INTEGER, NUMBER, DIGITS, WORD, LINE, MCU, OBJECT, SLOTS, VALUES };

struct field {
	const char *name;
	enum kind kind;
	double least, most; /* of a number; of the count of digits */
	bool optional, nullable;
	const struct field *fields; /* of an OBJECT, ended by one without a name */
};

static const struct field firmware_fields[] = {
	{.name = "running", .kind = WORD},
	{.name = "slots", .kind = SLOTS},
	{0},
};

static const struct field module_fields[] = {
	{.name = "imei", .kind = DIGITS, .least = 15, .most = 15},
	{.name = "iccid", .kind = DIGITS, .least = 18, .most = 20, .optional = true, .nullable = true},
	{.name = "imsi", .kind = DIGITS, .least = 6, .most = 15, .optional = true, .nullable = true},
	{.name = "model", .kind = LINE, .optional = true, .nullable = true},
	{.name = "firmware", .kind = LINE, .optional = true, .nullable = true},
	{0},
};

static const struct field config_fields[] = {
	{.name = "version", .kind = INTEGER, .most = INT32_MAX},
	{.name = "values", .kind = VALUES, .optional = true},
	{0},
};

static const struct field status_fields[] = {
	{.name = "boot", .kind = INTEGER, .most = INT32_MAX},
	{.name = "uptime", .kind = NUMBER, .most = UINT32_MAX},
	/* Up to the end of the year 9999. */
	{.name = "clock", .kind = NUMBER, .most = 253402300799.0, .optional = true, .nullable = true},
	{.name = "mcu", .kind = MCU},
	{.name = "firmware", .kind = OBJECT, .fields = firmware_fields},
	{.name = "module", .kind = OBJECT, .fields = module_fields, .nullable = true},
	{.name = "config", .kind = OBJECT, .fields = config_fields},
	{0},
};

/* "got 'text'" or "got a number", for the end of an explanation. */
static const char *got(const json_t *v)
{
	static char text[64];
	static const char *const kinds[] = {
		[JSON_OBJECT] = "an object", [JSON_ARRAY] = "an array", [JSON_STRING] = "",
		[JSON_INTEGER] = "",         [JSON_REAL] = "",          [JSON_TRUE] = "true",
		[JSON_FALSE] = "false",      [JSON_NULL] = "null",
	};
	if (json_is_string(v))
		snprintf(text, sizeof(text), "'%.40s'", json_string_value(v));
	else if (json_is_integer(v))
		snprintf(text, sizeof(text), "%lld", (long long)json_integer_value(v));
	else if (json_is_real(v))
		snprintf(text, sizeof(text), "%.15g", json_real_value(v));
	else
		return kinds[json_typeof(v)];
	return text;
}

static bool text_of(const json_t *v, const char *characters, size_t least, size_t most)
{
	const char *text = json_string_value(v);
	return text != NULL && json_string_length(v) >= least && json_string_length(v) <= most &&
	       strspn(text, characters) == json_string_length(v);
}

static bool printable(const json_t *v)
{
	const char *text = json_string_value(v);
	size_t len = text != NULL ? json_string_length(v) : 0;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < 0x20 || text[i] > 0x7e)
			return false;
	}
	return len >= 1 && len <= NAME_MAX_LEN;
}

static bool check_number(const struct field *f, const json_t *v, const char *path, struct err *e)
{
	bool right = f->kind == INTEGER ? json_is_integer(v) : json_is_number(v);
	if (right && json_number_value(v) >= f->least && json_number_value(v) <= f->most)
		return true;
	return err_set(e, ERR_DECODE, "%s: expected %s from %.0f to %.0f, got %s", path,
		       f->kind == INTEGER ? "an integer" : "a number", f->least, f->most, got(v));
}

static bool check_text(const struct field *f, const json_t *v, const char *path, struct err *e)
{
	switch (f->kind) {
	case DIGITS:
		if (text_of(v, digit_characters, (size_t)f->least, (size_t)f->most))
			return true;
		if (f->least < f->most)
			return err_set(e, ERR_DECODE, "%s: expected %.0f to %.0f digits, got %s", path, f->least,
				       f->most, got(v));
		return err_set(e, ERR_DECODE, "%s: expected %.0f digits, got %s", path, f->least, got(v));
	case WORD:
		return text_of(v, word_characters, 1, NAME_MAX_LEN) ||
		       err_set(e, ERR_DECODE, "%s: expected 1 to %d of A-Z a-z 0-9 . _ + : ~ -, got %s", path,
			       NAME_MAX_LEN, got(v));
	case LINE:
		return printable(v) || err_set(e, ERR_DECODE, "%s: expected 1 to %d printable ASCII characters, got %s",
					       path, NAME_MAX_LEN, got(v));
	default:
		return (json_is_string(v) && (strcmp(json_string_value(v), "running") == 0 ||
					      strcmp(json_string_value(v), "disabled") == 0)) ||
		       err_set(e, ERR_DECODE, "%s: expected \"running\" or \"disabled\", got %s", path, got(v));
	}
}

/* A name that people may have to type and the API to filter by. */
static bool check_name(const char *name, const char *path, struct err *e)
{
	size_t len = strlen(name);
	return (len >= 1 && len <= NAME_MAX_LEN && strspn(name, word_characters) == len) ||
	       err_set(e, ERR_DECODE, "%s: name '%.40s': expected 1 to %d of A-Z a-z 0-9 . _ + : ~ -", path, name,
		       NAME_MAX_LEN);
}

static bool check_slots(json_t *v, const char *path, struct err *e)
{
	static const struct field version = {.kind = WORD};
	const char *name;
	json_t *value;
	if (!json_is_object(v) || json_object_size(v) < 1 || json_object_size(v) > SLOTS_MAX)
		return err_set(e, ERR_DECODE, "%s: expected an object with a version for each of 1 to %d slots, got %s",
			       path, SLOTS_MAX, json_is_object(v) ? "another number of them" : got(v));
	json_object_foreach(v, name, value)
	{
		char inner[PATH_MAX_LEN + 48];
		if (!check_name(name, path, e))
			return false;
		snprintf(inner, sizeof(inner), "%s.%.40s", path, name);
		if (!json_is_null(value) && !check_text(&version, value, inner, e))
			return false;
	}
	return true;
}

static bool too_deep(json_t *v, int levels)
{
	const char *name;
	json_t *value;
	size_t i;
	if ((json_is_object(v) || json_is_array(v)) && levels == 0)
		return true;
	json_object_foreach(v, name, value)
	{
		if (too_deep(value, levels - 1))
			return true;
	}
	json_array_foreach(v, i, value)
	{
		if (too_deep(value, levels - 1))
			return true;
	}
	return false;
}

static bool check_values(json_t *v, const char *path, struct err *e)
{
	const char *name;
	json_t *value;
	if (!json_is_object(v) || json_object_size(v) > VALUES_MAX)
		return err_set(e, ERR_DECODE, "%s: expected an object of at most %d names, got %s", path, VALUES_MAX,
			       json_is_object(v) ? "more" : got(v));
	if (too_deep(v, VALUES_DEPTH + 1))
		return err_set(e, ERR_DECODE, "%s: expected at most %d levels of objects and lists", path,
			       VALUES_DEPTH);
	json_object_foreach(v, name, value)
	{
		if (!check_name(name, path, e))
			return false;
	}
	return true;
}

static bool check_object(const struct field *fields, json_t *object, const char *path, struct err *e);

static bool check_field(const struct field *f, json_t *v, const char *path, struct err *e)
{
	if (v == NULL)
		return f->optional || err_set(e, ERR_DECODE, "%s: expected it, got nothing", path);
	if (json_is_null(v) && f->nullable)
		return true;
	switch (f->kind) {
	case INTEGER:
	case NUMBER:
		return check_number(f, v, path, e);
	case OBJECT:
		return check_object(f->fields, v, path, e);
	case SLOTS:
		return check_slots(v, path, e);
	case VALUES:
		return check_values(v, path, e);
	default:
		return check_text(f, v, path, e);
	}
}

static bool known(const struct field *fields, const char *name)
{
	for (; fields->name != NULL; fields++) {
		if (strcmp(fields->name, name) == 0)
			return true;
	}
	return false;
}

/* `path` is empty for the status itself. */
static bool check_object(const struct field *fields, json_t *object, const char *path, struct err *e)
{
	const char *dot = *path != '\0' ? "." : "", *name;
	char inner[PATH_MAX_LEN];
	json_t *value;
	if (!json_is_object(object))
		return err_set(e, ERR_DECODE, "%s: expected an object, got %s", path, got(object));
	json_object_foreach(object, name, value)
	{
		if (!known(fields, name))
			return err_set(e, ERR_DECODE, "%s%s%.40s: no such member is known here", path, dot, name);
	}
	for (; fields->name != NULL; fields++) {
		snprintf(inner, sizeof(inner), "%s%s%s", path, dot, fields->name);
		if (!check_field(fields, json_object_get(object, fields->name), inner, e))
			return false;
	}
	return true;
}

static bool check_running(const json_t *status, struct err *e)
{
	const json_t *firmware = json_object_get(status, "firmware");
	const char *running = json_string_value(json_object_get(firmware, "running"));
	return json_is_string(json_object_get(json_object_get(firmware, "slots"), running)) ||
	       err_set(e, ERR_DECODE,
		       "firmware.running: expected a slot of firmware.slots that has a version, got '%.40s'", running);
}

static bool is_json(const char *content_type)
{
	static const char type[] = "application/json";
	return content_type == NULL || *content_type == '\0' ||
	       (strcspn(content_type, "; \t") == sizeof(type) - 1 &&
		strncasecmp(content_type, type, sizeof(type) - 1) == 0);
}

static json_t *parse(const uint8_t *payload, size_t len, const char *content_type, struct err *e)
{
	json_error_t why;
	if (!is_json(content_type)) {
		err_set(e, ERR_DECODE, "content type '%.40s': expected application/json", content_type);
		return NULL;
	}
	json_t *root = json_loadb((const char *)payload, len, JSON_REJECT_DUPLICATES, &why);
	if (root == NULL) {
		err_set(e, ERR_DECODE, "byte %d: %.160s: expected a JSON object", why.position, why.text);
	} else if (!json_is_object(root)) {
		err_set(e, ERR_DECODE, "expected a JSON object, got an array");
		json_decref(root);
		root = NULL;
	}
	return root;
}

static void take(const json_t *root, struct arena *arena, struct status *out)
{
	const json_t *clock = json_object_get(root, "clock");
	char *text = json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS);
	if (text == NULL)
		abort(); /* it was parsed, so only memory can be lacking */
	out->json = arena_text(arena, text, strlen(text));
	free(text);
	out->boot = (int32_t)json_integer_value(json_object_get(root, "boot"));
	out->uptime = json_number_value(json_object_get(root, "uptime"));
	out->has_clock = json_is_number(clock);
	out->clock = out->has_clock ? (int64_t)(json_number_value(clock) * 1e6) : 0;
}

enum pack_fault status_decode(const uint8_t *payload, size_t len, const char *content_type,
			      const struct pack_limits *limits, struct arena *arena, struct status *out, struct err *e)
{
	*out = (struct status){0};
	if (len == 0) {
		err_set(e, ERR_DECODE, "the payload is empty: expected a status");
		return PACK_EMPTY;
	}
	if (len > limits->max_status_bytes) {
		err_set(e, ERR_DECODE, "%zu bytes: expected at most %zu", len, limits->max_status_bytes);
		return PACK_TOO_LARGE;
	}
	json_t *root = parse(payload, len, content_type, e);
	if (root == NULL)
		return PACK_SYNTAX;
	bool ok = check_object(status_fields, root, "", e) && check_running(root, e);
	if (ok)
		take(root, arena, out);
	json_decref(root);
	return ok ? PACK_OK : PACK_CONTENT;
}
