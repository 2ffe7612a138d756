/* SPDX-License-Identifier: Apache-2.0
 *
 * Lists and single objects: the same for every resource, since the command table says what is asked and shown. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ops/ctl/ctl.h"

#define PAGE_MAX 1000
#define SHOWN    100

void ctl_target(const struct invocation *in, struct target *t)
{
	const struct command *c = in->command;

	target_path(t, c->path, in->args);
	for (size_t i = 0; i < c->option_count; i++)
		if (c->options[i].to == TO_QUERY)
			target_param(t, c->options[i].key, in->value[i]);
}

bool ctl_call(struct ctl *ctl, const struct call *call, struct reply *r, struct err *e)
{
	bool ok = client_call(ctl->client, call, r, e);

	snprintf(ctl->request_id, sizeof(ctl->request_id), "%s", r->request_id);
	return ok;
}

json_t *ctl_json(const struct reply *r, struct err *e)
{
	json_error_t at;
	json_t *answer = json_loadb(r->body, r->len, 0, &at);

	if (answer == NULL)
		err_set(e, ERR_DECODE, "the answer is not JSON (%s, line %d): is this the API?", at.text, at.line);
	return answer;
}

void ctl_pass(struct ctl *ctl, const char *body, size_t len)
{
	fwrite(body, 1, len, ctl->out);
	if (len == 0 || body[len - 1] != '\n')
		fputc('\n', ctl->out);
}

/* What is left to show: --limit, or no end with --all. */
static size_t wanted(const struct invocation *in)
{
	const char *limit = invocation_value(in, "limit");

	if (invocation_value(in, "all") != NULL)
		return SIZE_MAX;
	return limit != NULL ? strtoull(limit, NULL, 10) : SHOWN;
}

static bool get_page(struct ctl *ctl, const struct invocation *in, size_t rows, const char *cursor, struct reply *r,
		     struct err *e)
{
	struct target t;
	char limit[24];
	const struct call call = {.target = t.text};

	snprintf(limit, sizeof(limit), "%zu", rows);
	ctl_target(in, &t);
	target_param(&t, "limit", limit);
	target_param(&t, "cursor", cursor);
	return target_ok(&t, e) && ctl_call(ctl, &call, r, e);
}

bool ctl_walk(struct ctl *ctl, const struct invocation *in, page_fn page, void *arg, struct err *e)
{
	size_t left = wanted(in);
	char *cursor = NULL;
	bool ok = true;

	if (left == 0)
		return err_set(e, ERR_CONFIG, "--limit: expected at least 1");
	do {
		struct reply r = {0};
		json_t *answer = NULL, *items;
		ok = get_page(ctl, in, left < PAGE_MAX ? left : PAGE_MAX, cursor, &r, e) &&
		     (answer = ctl_json(&r, e)) != NULL;
		items = json_object_get(answer, "items");
		if (ok && !json_is_array(items))
			ok = err_set(e, ERR_DECODE, "the answer has no items: is this the API?");
		ok = ok && page(ctl, arg, &r, items, e);
		if (left != SIZE_MAX)
			left -= json_array_size(items) < left ? json_array_size(items) : left;
		const char *next = json_string_value(json_object_get(answer, "next"));
		free(cursor);
		cursor = next != NULL ? strdup(next) : NULL;
		json_decref(answer);
		reply_free(&r);
	} while (ok && cursor != NULL && left > 0 && !ferror(ctl->out));
	if (ok && cursor != NULL && !ctl->json && left == 0)
		fprintf(ctl->note, "There are more: --limit N or --all.\n");
	free(cursor);
	return ok;
}

static bool page_pass(struct ctl *ctl, void *arg, const struct reply *r, json_t *items, struct err *e)
{
	(void)arg;
	(void)items;
	(void)e;
	ctl_pass(ctl, r->body, r->len);
	return true;
}

static bool page_table(struct ctl *ctl, void *arg, const struct reply *r, json_t *items, struct err *e)
{
	size_t i;
	json_t *item;

	(void)ctl;
	(void)r;
	(void)e;
	json_array_foreach(items, i, item)
	{
		table_add(arg, item);
	}
	table_flush(arg);
	return true;
}

bool run_list(struct ctl *ctl, const struct invocation *in, struct err *e)
{
	if (ctl->json)
		return ctl_walk(ctl, in, page_pass, NULL, e);
	struct table *t =
		table_new(in->command->columns, in->command->column_count, ctl->out, ctl->width, ctl->color, ctl->now);
	bool ok = ctl_walk(ctl, in, page_table, t, e);
	if (ok && table_rows(t) == 0)
		fprintf(ctl->note, "Nothing matches.\n");
	table_free(&t);
	return ok;
}

bool run_show(struct ctl *ctl, const struct invocation *in, struct err *e)
{
	struct target t;
	struct reply r = {0};
	json_t *answer = NULL;
	const struct call call = {.target = t.text};

	ctl_target(in, &t);
	bool ok = target_ok(&t, e) && ctl_call(ctl, &call, &r, e) && (ctl->json || (answer = ctl_json(&r, e)) != NULL);
	if (ok && ctl->json)
		ctl_pass(ctl, r.body, r.len);
	else if (ok)
		object_print(answer, ctl->out, 0);
	if (ok && !ctl->json && r.etag[0] != '\0')
		fprintf(ctl->note, "ETag: %s\n", r.etag);
	json_decref(answer);
	reply_free(&r);
	return ok;
}
