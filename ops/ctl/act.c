/* SPDX-License-Identifier: Apache-2.0
 *
 * Commands that change something: a body out of arguments and options, one call, and what it is like afterwards. */
#include <stdlib.h>
#include <string.h>

#include "ops/ctl/ctl.h"
#include "ops/ctl/when.h"

/* Sets a member by its path, "module.imei"; objects on the way are made. Steals value. */
static bool set_member(json_t *body, const char *path, size_t len, json_t *value, struct err *e)
{
	char name[64];
	const char *dot = memchr(path, '.', len);
	size_t first = dot != NULL ? (size_t)(dot - path) : len;

	if (first == 0 || first >= sizeof(name) || !json_is_object(body)) {
		json_decref(value);
		return err_set(e, ERR_CONFIG, "%.*s: expected a name such as state or module.imei", (int)len, path);
	}
	snprintf(name, sizeof(name), "%.*s", (int)first, path);
	if (dot == NULL)
		return json_object_set_new(body, name, value) == 0 ||
		       err_set(e, ERR_CONFIG, "%s: expected UTF-8", name);
	if (json_object_get(body, name) == NULL)
		json_object_set_new(body, name, json_object());
	return set_member(json_object_get(body, name), dot + 1, len - first - 1, value, e);
}

/* "name=text", "name=" for null, "name:=JSON" for what is no text. */
static bool assign(json_t *body, const char *word, struct err *e)
{
	const char *equals = strchr(word, '=');
	json_t *value;

	if (equals == NULL || equals == word)
		return err_set(e, ERR_CONFIG, "%s: expected NAME=TEXT or NAME:=JSON", word);
	size_t len = (size_t)(equals - word) - (equals[-1] == ':');
	if (equals[-1] == ':')
		value = json_loads(equals + 1, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
	else
		value = equals[1] != '\0' ? json_string(equals + 1) : json_null();
	if (value == NULL)
		return err_set(e, ERR_CONFIG, "%s: expected %s", word, equals[-1] == ':' ? "JSON behind :=" : "UTF-8");
	return set_member(body, word, len, value, e);
}

static json_t *list_of(const char *text, bool numbers)
{
	json_t *list = json_array();

	while (*text != '\0') {
		size_t len = strcspn(text, ",");
		json_array_append_new(list, numbers ? json_integer(strtoll(text, NULL, 10)) : json_stringn(text, len));
		text += len + (text[len] == ',');
	}
	return list;
}

/* The first object of a list, made when there is none; NULL: something else was said to be the list. */
static json_t *first_of(json_t *body, const char *key, size_t len)
{
	char name[64];

	snprintf(name, sizeof(name), "%.*s", (int)len, key);
	if (json_object_get(body, name) == NULL)
		json_object_set_new(body, name, json_pack("[{}]"));
	return json_array_get(json_object_get(body, name), 0);
}

static bool add_option(json_t *body, const struct option *o, const char *text, struct err *e)
{
	const char *key = o->key;
	json_t *value;

	if (o->to == TO_FIRST) {
		size_t list = strcspn(key, ".");
		body = first_of(body, key, list);
		key += list + 1;
		if (!json_is_object(body))
			return err_set(e, ERR_CONFIG, "--%s: expected no such list beside it", o->name);
	}
	switch (o->to) {
	case TO_FIRST:
	case TO_BODY:
		value = o->kind == OPTION_INT ? json_integer(strtoll(text, NULL, 10)) : json_string(text);
		break;
	case TO_LIST:
		value = list_of(text, false);
		break;
	case TO_NUMBERS:
		if (text[strspn(text, "0123456789,")] != '\0')
			return err_set(e, ERR_CONFIG, "--%s: expected numbers with commas between, got '%s'", o->name,
				       text);
		value = list_of(text, true);
		break;
	case TO_SECONDS:
		value = json_integer((json_int_t)when_seconds(text));
		break;
	default:
		return true;
	}
	return set_member(body, key, strlen(key), value, e) || err_prefix(e, "--%s: ", o->name);
}

static size_t names_in_path(const char *path)
{
	size_t count = 0;

	while ((path = strchr(path, '{')) != NULL) {
		path++;
		count++;
	}
	return count;
}

/* The arguments from one on as a list. */
static json_t *rest_of(const struct invocation *in, size_t first)
{
	json_t *list = json_array();

	for (size_t i = first; i < in->arg_count; i++)
		json_array_append_new(list, json_string(in->args[i]));
	return list;
}

json_t *ctl_body(const struct invocation *in, struct err *e)
{
	const struct command *c = in->command;
	json_t *body = json_object();
	size_t arg = names_in_path(c->path);
	bool ok = c->preset == NULL || assign(body, c->preset, e);

	for (const char *at = c->fields; ok && at != NULL && *at != '\0'; arg++) {
		size_t len = strcspn(at, " ");
		if (len > 3 && strncmp(at + len - 3, "...", 3) == 0) {
			ok = set_member(body, at, len - 3, rest_of(in, arg), e);
			arg = in->arg_count;
			break;
		}
		ok = set_member(body, at, len, json_string(in->args[arg]), e);
		at += len + (at[len] == ' ');
	}
	for (; ok && arg < in->arg_count; arg++)
		ok = assign(body, in->args[arg], e);
	for (size_t i = 0; ok && i < c->option_count; i++)
		ok = in->value[i] == NULL || add_option(body, &c->options[i], in->value[i], e);
	if (ok)
		return body;
	json_decref(body);
	return NULL;
}

/* A route that knows fields wants an object, an empty one too; one that knows none wants no body. */
static bool takes_body(const struct command *c)
{
	bool takes = c->fields != NULL || c->preset != NULL || strchr(c->args, '=') != NULL;

	for (size_t i = 0; i < c->option_count; i++)
		takes = takes || c->options[i].to > TO_QUERY;
	return takes;
}

/* What it is like now, for people: nothing is said twice, and a 204 has nothing to say. */
bool ctl_show(struct ctl *ctl, const struct reply *r, struct err *e)
{
	if (ctl->json) {
		if (r->len > 0)
			ctl_pass(ctl, r->body, r->len);
		return true;
	}
	if (r->len == 0) {
		fprintf(ctl->note, "Done.\n");
		return true;
	}
	json_t *answer = ctl_json(r, e);
	if (answer != NULL)
		object_print(answer, ctl->out, 0);
	json_decref(answer);
	return answer != NULL;
}

bool ctl_act(struct ctl *ctl, const struct invocation *in, struct reply *r, struct err *e)
{
	const struct command *c = in->command;
	bool has_body = takes_body(c), is_patch = strcmp(c->method, "PATCH") == 0;
	struct target t;
	json_t *body = has_body ? ctl_body(in, e) : NULL;

	if (has_body && body == NULL)
		return false;
	char *text = has_body ? json_dumps(body, JSON_COMPACT | JSON_REAL_PRECISION(15)) : NULL;
	const char *if_match = invocation_value(in, "if-match");
	const struct call call = {.method = c->method,
				  .target = t.text,
				  .body = text,
				  .body_len = text != NULL ? strlen(text) : 0,
				  .content_type = text == NULL ? NULL
						  : is_patch   ? "application/merge-patch+json"
							       : "application/json",
				  .if_match = if_match != NULL ? if_match
					      : c->if_match    ? "*"
							       : NULL};
	ctl_target(in, &t);
	bool ok = target_ok(&t, e) && ctl_call(ctl, &call, r, e) && ctl_show(ctl, r, e);
	free(text);
	json_decref(body);
	return ok;
}

bool run_act(struct ctl *ctl, const struct invocation *in, struct err *e)
{
	struct reply r = {0};
	bool ok = ctl_act(ctl, in, &r, e);

	reply_free(&r);
	return ok;
}

/* The token itself is in the first answer only: when that one was lost on the way, the repetition comes without. */
bool run_token_create(struct ctl *ctl, const struct invocation *in, struct err *e)
{
	struct reply r = {0};
	bool ok = ctl_act(ctl, in, &r, e);
	json_t *answer = ok ? ctl_json(&r, e) : NULL;

	if (answer != NULL && json_is_null(json_object_get(answer, "token")))
		ok = err_set(e, ERR_REQUEST, "the token was lost with the connection: revoke %lld, make another",
			     (long long)json_integer_value(json_object_get(answer, "id")));
	ok = ok && answer != NULL;
	json_decref(answer);
	reply_free(&r);
	return ok;
}
