/* SPDX-License-Identifier: Apache-2.0
 *
 * Arguments are few and flat, so their rules are rows: a name, a kind, bounds. */
#include "broker-bridge/command_operation.h"

#include <inttypes.h>
#include <string.h>

#include "core/cbor_json.h"

#define TIME_MAX INT64_C(253402300799) /* the last second of the year 9999 */
#define SEQ_MAX  INT64_C(2147483647)

enum argument_kind {
	ARGUMENT_INT,       /* between least and most */
	ARGUMENT_CHOICE,    /* one of the words */
	ARGUMENT_SHA256,    /* 64 hexadecimal digits in lower case */
	ARGUMENT_BASE64URL, /* without padding; most: bytes of text */
	ARGUMENT_TEXT,      /* most: bytes */
	ARGUMENT_MAP,
};

struct command_argument {
	const char *name; /* NULL: the end */
	enum argument_kind kind;
	bool required;
	int64_t least, most;
	const char *words; /* of a choice, with a bar between them */
};

static const struct command_argument no_arguments[] = {{0}};

/* until: seconds since 1970, after which the tracker goes on by itself. */
static const struct command_argument disable_arguments[] = {
	{"mode", ARGUMENT_CHOICE, true, 0, 0, "radio-off|halt"},
	{"until", ARGUMENT_INT, false, 1, TIME_MAX, NULL},
	{0},
};

/* Samples by number, both ends included; without an epoch, the present one. */
static const struct command_argument resend_arguments[] = {
	{"first", ARGUMENT_INT, true, 0, SEQ_MAX, NULL},
	{"last", ARGUMENT_INT, true, 0, SEQ_MAX, NULL},
	{"epoch", ARGUMENT_INT, false, 0, SEQ_MAX, NULL},
	{0},
};

static const struct command_argument set_config_arguments[] = {
	{"version", ARGUMENT_INT, true, 1, SEQ_MAX, NULL},
	{"config", ARGUMENT_MAP, true, 0, 0, NULL},
	{0},
};

/* release: SHA-256 of the image. counter: of releases; a tracker takes no lower one than it has had. */
static const struct command_argument firmware_arguments[] = {
	{"release", ARGUMENT_SHA256, true, 0, 0, NULL},
	{"counter", ARGUMENT_INT, false, 0, INT64_MAX, NULL},
	{"version", ARGUMENT_TEXT, false, 1, 256, NULL},
	{0},
};

/* list: a trust list with both its signatures (core/trust.h). */
static const struct command_argument rotate_arguments[] = {
	{"list", ARGUMENT_BASE64URL, true, 1, COMMAND_ARGUMENTS_MAX, NULL},
	{0},
};

static const struct command_operation operations[] = {
	{"disable", COMMAND_STATE, disable_arguments},
	{"enable", COMMAND_STATE, no_arguments},
	{"reboot", COMMAND_CONFIG, no_arguments},
	{"locate", COMMAND_READ, no_arguments},
	{"report-now", COMMAND_READ, no_arguments},
	{"resend", COMMAND_READ, resend_arguments},
	{"set-config", COMMAND_CONFIG, set_config_arguments},
	{"clear-config", COMMAND_CONFIG, no_arguments},
	{"update-firmware", COMMAND_FIRMWARE, firmware_arguments},
	{"rotate-key", COMMAND_KEYS, rotate_arguments},
	{"restore-defaults", COMMAND_STATE, no_arguments},
};
#define OPERATIONS (sizeof(operations) / sizeof(operations[0]))

const struct command_operation *command_operation(struct cbor_view name)
{
	for (size_t i = 0; i < OPERATIONS; i++)
		if (cbor_text_is(name, operations[i].name))
			return &operations[i];
	return NULL;
}

const struct command_operation *command_operations(size_t *count)
{
	*count = OPERATIONS;
	return operations;
}

/* ---- the rules ---- */

static bool check_int(const struct command_argument *a, struct cbor_reader *r, struct err *e)
{
	int64_t value;
	if (!cbor_take_int(r, &value, NULL) || value < a->least || value > a->most)
		return err_set(e, ERR_INVALID, "%s: expected a whole number from %" PRId64 " to %" PRId64, a->name,
			       a->least, a->most);
	return true;
}

static bool among(const char *words, struct cbor_view text)
{
	for (const char *word = words; word != NULL; word = strchr(word, '|')) {
		word += *word == '|';
		size_t len = strcspn(word, "|");
		if (len == text.len && memcmp(word, text.at, len) == 0)
			return true;
	}
	return false;
}

static bool made_of(struct cbor_view text, const char *digits)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.at[i] == '\0' || strchr(digits, text.at[i]) == NULL)
			return false;
	return true;
}

static bool check_choice(const struct command_argument *a, struct cbor_reader *r, struct err *e)
{
	struct cbor_view text;
	return (cbor_take_text(r, &text, NULL) && among(a->words, text)) ||
	       err_set(e, ERR_INVALID, "%s: expected %s", a->name, a->words);
}

static bool check_sha256(const struct command_argument *a, struct cbor_reader *r, struct err *e)
{
	struct cbor_view text;
	return (cbor_take_text(r, &text, NULL) && text.len == 64 && made_of(text, "0123456789abcdef")) ||
	       err_set(e, ERR_INVALID, "%s: expected a SHA-256 as 64 hexadecimal digits in lower case", a->name);
}

static bool check_base64url(const struct command_argument *a, struct cbor_reader *r, struct err *e)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	struct cbor_view text;
	return (cbor_take_text(r, &text, NULL) && (int64_t)text.len >= a->least && (int64_t)text.len <= a->most &&
		text.len % 4 != 1 && made_of(text, digits)) ||
	       err_set(e, ERR_INVALID, "%s: expected base64url without padding", a->name);
}

static bool check_text(const struct command_argument *a, struct cbor_reader *r, struct err *e)
{
	struct cbor_view text;
	return (cbor_take_text(r, &text, NULL) && (int64_t)text.len >= a->least && (int64_t)text.len <= a->most) ||
	       err_set(e, ERR_INVALID, "%s: expected text of %" PRId64 " to %" PRId64 " bytes", a->name, a->least,
		       a->most);
}

static bool check_map(const struct command_argument *a, struct cbor_reader *r, struct err *e)
{
	return (cbor_peek(r) == CBOR_MAP && cbor_take_item(r, NULL, NULL)) ||
	       err_set(e, ERR_INVALID, "%s: expected an object", a->name);
}

static bool (*const checks[])(const struct command_argument *, struct cbor_reader *, struct err *) = {
	[ARGUMENT_INT] = check_int,       [ARGUMENT_CHOICE] = check_choice,
	[ARGUMENT_SHA256] = check_sha256, [ARGUMENT_BASE64URL] = check_base64url,
	[ARGUMENT_TEXT] = check_text,     [ARGUMENT_MAP] = check_map,
};

static bool check_named(const struct command_operation *o, struct cbor_view name, struct cbor_reader *r, struct err *e)
{
	for (const struct command_argument *a = o->arguments; a->name != NULL; a++)
		if (cbor_text_is(name, a->name))
			return checks[a->kind](a, r, e);
	return err_set(e, ERR_INVALID, "%s does not know this argument: %.*s", o->name,
		       (int)(name.len < 64 ? name.len : 64), (const char *)name.at);
}

static bool check_order(const struct command_operation *o, struct cbor_view arguments, struct err *e)
{
	if (o->arguments != resend_arguments ||
	    command_argument_int(arguments, "first", 0) <= command_argument_int(arguments, "last", 0))
		return true;
	return err_set(e, ERR_INVALID, "last: expected no less than first");
}

bool command_check_arguments(const struct command_operation *operation, struct cbor_view arguments, struct err *e)
{
	struct cbor_reader r = {arguments.at, arguments.len, 0};
	struct cbor_view name;
	size_t pairs;
	if (arguments.len > COMMAND_ARGUMENTS_MAX)
		return err_set(e, ERR_INVALID, "arguments of %zu bytes, expected at most %d", arguments.len,
			       COMMAND_ARGUMENTS_MAX);
	if (!cbor_take_map(&r, &pairs, e))
		return err_prefix(e, "arguments: ");
	for (size_t i = 0; i < pairs; i++)
		if (!cbor_take_text(&r, &name, e) || !check_named(operation, name, &r, e))
			return false;
	for (const struct command_argument *a = operation->arguments; a->name != NULL; a++)
		if (a->required && !command_argument(arguments, a->name, NULL))
			return err_set(e, ERR_INVALID, "%s needs the argument %s", operation->name, a->name);
	return check_order(operation, arguments, e);
}

bool command_arguments_from_json(const struct command_operation *operation, const json_t *arguments, uint8_t *out,
				 size_t cap, size_t *len, struct err *e)
{
	struct cbor_writer w;
	cbor_writer_init(&w, out, cap);
	if (!json_is_object(arguments))
		return err_set(e, ERR_INVALID, "arguments: expected an object");
	if (!cbor_from_json(&w, arguments, e) || !cbor_written(&w, e))
		return err_prefix(e, "arguments: ");
	*len = w.len;
	return command_check_arguments(operation, (struct cbor_view){out, w.len}, e);
}

/* ---- taking one out ---- */

bool command_argument(struct cbor_view arguments, const char *name, struct cbor_reader *value)
{
	struct cbor_reader r = {arguments.at, arguments.len, 0};
	struct cbor_view key;
	size_t pairs;
	if (!cbor_take_map(&r, &pairs, NULL))
		return false;
	for (size_t i = 0; i < pairs && cbor_take_text(&r, &key, NULL); i++) {
		if (cbor_text_is(key, name)) {
			if (value != NULL)
				*value = r;
			return true;
		}
		cbor_take_item(&r, NULL, NULL);
	}
	return false;
}

int64_t command_argument_int(struct cbor_view arguments, const char *name, int64_t otherwise)
{
	struct cbor_reader r;
	int64_t value;
	return command_argument(arguments, name, &r) && cbor_take_int(&r, &value, NULL) ? value : otherwise;
}

bool command_argument_text(struct cbor_view arguments, const char *name, struct cbor_view *text)
{
	struct cbor_reader r;
	return command_argument(arguments, name, &r) && cbor_take_text(&r, text, NULL);
}
