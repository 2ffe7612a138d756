/* SPDX-License-Identifier: Apache-2.0
 *
 * Calibration records out of a file: one JSON object after another, each with the serial of its device, sent one by
 * one. A record that is there already is as it was, so a file can be sent again after whatever went wrong. What was
 * refused is shown the way compilers do: file, line, reason. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "ops/ctl/ctl.h"
#include "ops/ctl/text.h"

/* The file, and how far it was read. */
struct records {
	char *name; /* fit for a terminal */
	char *bytes;
	size_t len, at;
	size_t line; /* of what begins at `at` */
	size_t recorded, unchanged, refused;
};

static void skip(struct records *f, size_t bytes)
{
	for (; bytes > 0; bytes--)
		f->line += f->bytes[f->at++] == '\n';
}

static bool at_end(struct records *f)
{
	while (f->at < f->len && isspace((unsigned char)f->bytes[f->at]))
		skip(f, 1);
	return f->at == f->len;
}

/* The next object, to be given back, and the line that it begins in. */
static json_t *next_record(struct records *f, size_t *line, struct err *e)
{
	json_error_t why;
	json_t *record =
		json_loadb(f->bytes + f->at, f->len - f->at, JSON_DISABLE_EOF_CHECK | JSON_REJECT_DUPLICATES, &why);

	*line = f->line;
	if (json_is_object(record)) {
		skip(f, (size_t)why.position);
		return record;
	}
	if (record == NULL)
		err_set(e, ERR_DECODE, "%s:%zu: %s", f->name, f->line + (size_t)(why.line > 0 ? why.line - 1 : 0),
			why.text);
	else
		err_set(e, ERR_DECODE, "%s:%zu: expected one JSON object after another", f->name, f->line);
	json_decref(record);
	return NULL;
}

static void note_refusal(struct ctl *ctl, struct records *f, size_t line, const struct err *why)
{
	f->refused++;
	fprintf(ctl->note, "%s:%zu: %s\n", f->name, line, why->detail);
}

/* False when going on makes no sense: nobody answers, or the token is not enough. */
static bool send_record(struct ctl *ctl, const struct invocation *in, struct records *f, json_t *record, size_t line,
			struct err *e)
{
	char *serial[] = {(char[CLIENT_ID_MAX]){""}};
	const char *given = json_string_value(json_object_get(record, "serial"));
	struct err why = {0};
	struct target t;
	struct reply r = {0};

	if (given == NULL || strlen(given) >= CLIENT_ID_MAX) {
		err_set(&why, ERR_INVALID, "serial: expected the serial number of the device");
		note_refusal(ctl, f, line, &why);
		return true;
	}
	snprintf(serial[0], CLIENT_ID_MAX, "%s", given);
	target_path(&t, in->command->path, serial);
	json_object_del(record, "serial");
	char *body = json_dumps(record, JSON_COMPACT | JSON_REAL_PRECISION(15));
	const struct call call = {.method = "POST",
				  .target = t.text,
				  .body = body,
				  .body_len = strlen(body),
				  .content_type = "application/json"};
	bool ok = ctl_call(ctl, &call, &r, &why);
	free(body);
	if (ok && ctl->json)
		ctl_pass(ctl, r.body, r.len);
	f->recorded += ok && r.status == 201;
	f->unchanged += ok && r.status == 200;
	if (!ok && (r.status == 400 || r.status == 404 || r.status == 409 || r.status == 422)) {
		note_refusal(ctl, f, line, &why);
		ok = true;
	}
	reply_free(&r);
	if (!ok)
		*e = why;
	return ok;
}

bool run_calibrations_put(struct ctl *ctl, const struct invocation *in, struct err *e)
{
	struct records f = {.name = text_clean(in->args[0]), .line = 1};
	bool ok = (f.bytes = ctl_file(in->args[0], &f.len, e)) != NULL;

	while (ok && !at_end(&f)) {
		size_t line;
		json_t *record = next_record(&f, &line, e);
		ok = record != NULL && send_record(ctl, in, &f, record, line, e);
		json_decref(record);
	}
	if (f.bytes != NULL)
		fprintf(ctl->note, "%zu recorded, %zu unchanged, %zu refused\n", f.recorded, f.unchanged, f.refused);
	if (ok && f.refused > 0)
		ok = err_set(e, ERR_REQUEST, "%zu of %zu records were refused", f.refused,
			     f.recorded + f.unchanged + f.refused);
	free(f.bytes);
	free(f.name);
	return ok;
}
