/* SPDX-License-Identifier: Apache-2.0
 *
 * What comes in files: of a data logger, and many devices. These are sent whole, worked on by the API in the
 * background, and watched from here. What was refused is shown the way compilers do: file, line, reason. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ops/ctl/ctl.h"
#include "core/clock.h"
#include "ops/ctl/text.h"

#define FILE_MAX  CLIENT_BODY_MAX
#define BAR       30
#define POLL_MS   100 /* at first; the wait doubles up to POLL_MOST */
#define POLL_MOST 1000
#define PATIENCE  30 /* polls in a row that may fail while the API starts anew */

char *ctl_file(const char *path, size_t *len, struct err *e)
{
	FILE *from = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
	char *bytes = NULL;
	size_t room = 0;

	*len = 0;
	if (from == NULL) {
		err_set(e, ERR_CONFIG, "%s: %s", path, strerror(errno));
		return NULL;
	}
	do {
		room = room > 0 ? 2 * room : 1 << 16;
		char *grown = realloc(bytes, room);
		if (grown == NULL)
			abort();
		bytes = grown;
		*len += fread(bytes + *len, 1, room - *len, from);
	} while (*len == room && room <= FILE_MAX);
	bool ok = !ferror(from) || err_set(e, ERR_CONFIG, "%s: %s", path, strerror(errno));
	ok = ok && (*len <= FILE_MAX || err_set(e, ERR_CONFIG, "%s: expected at most %zu MiB", path, FILE_MAX >> 20));
	if (from != stdin)
		fclose(from);
	if (ok)
		return bytes;
	free(bytes);
	return NULL;
}

static const char *media_of(const struct invocation *in)
{
	const char *format = invocation_value(in, "format"), *dot = strrchr(in->args[0], '.');

	if (format == NULL)
		format = dot != NULL && strcasecmp(dot, ".csv") == 0 ? "csv" : "ndjson";
	return strcmp(format, "csv") == 0 ? "text/csv" : "application/x-ndjson";
}

/* How far it was when it was first looked at, and since when: what was done before, or while another import had its
 * turn, says nothing about the speed of this one. */
struct progress {
	double since; /* seconds of the monotonic clock; 0: not begun */
	json_int_t first, tenths;
};

/* ", 2104 rows/s, 31 s left", as far as that is known. */
static void put_speed(FILE *to, const struct progress *p, json_int_t done, json_int_t total)
{
	double seconds = clock_seconds() - p->since;

	if (p->since <= 0 || done <= p->first || seconds <= 0)
		return;
	double per_second = (double)(done - p->first) / seconds;
	fprintf(to, ", %.0f rows/s", per_second);
	if (done < total)
		fprintf(to, ", %.0f s left", (double)(total - done) / per_second);
}

/* A bar that is drawn over itself on a terminal; elsewhere a line whenever another tenth is done. */
static void draw(const struct ctl *ctl, json_int_t done, json_int_t total, struct progress *p)
{
	size_t full = total > 0 ? (size_t)(BAR * done / total) : 0;

	if (p->since <= 0 && done > 0)
		*p = (struct progress){.since = clock_seconds(), .first = done};
	if (ctl->note_tty) {
		fprintf(ctl->note, "\r[");
		for (size_t i = 0; i < BAR; i++)
			fputc(i < full ? '#' : '-', ctl->note);
		fprintf(ctl->note, "] %lld of %lld", (long long)done, (long long)total);
		put_speed(ctl->note, p, done, total);
		fprintf(ctl->note, "\033[K%s", done == total ? "\n" : "");
	} else if (total > 0 && 10 * done / total > p->tenths) {
		p->tenths = 10 * done / total;
		fprintf(ctl->note, "%lld of %lld", (long long)done, (long long)total);
		put_speed(ctl->note, p, done, total);
		fputc('\n', ctl->note);
	}
	fflush(ctl->note);
}

static bool is_done(const json_t *operation)
{
	const char *state = json_string_value(json_object_get(operation, "state"));
	return state != NULL && strcmp(state, "done") == 0;
}

/* Asks until it is done; `r` has the last answer. NULL with an error when nobody answers any more. */
static json_t *watch(struct ctl *ctl, const char *id, struct reply *r, struct err *e)
{
	char *args[] = {(char[CLIENT_ID_MAX]){""}};
	struct target t;
	const struct call call = {.target = t.text};
	struct progress progress = {0};
	int failures = 0;

	snprintf(args[0], CLIENT_ID_MAX, "%s", id);
	target_path(&t, "/v1/operations/{id}", args);
	for (long ms = POLL_MS;; ms = 2 * ms < POLL_MOST ? 2 * ms : POLL_MOST) {
		struct err why = {0};
		json_t *operation = ctl_call(ctl, &call, r, &why) ? ctl_json(r, &why) : NULL;
		if (operation == NULL && (why.code != ERR_SYSTEM || ++failures > PATIENCE)) {
			*e = why;
			return NULL;
		}
		if (operation != NULL) {
			failures = 0;
			draw(ctl, json_integer_value(json_object_get(operation, "done")),
			     json_integer_value(json_object_get(operation, "total")), &progress);
			if (is_done(operation))
				return operation;
			json_decref(operation);
		}
		const struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
		nanosleep(&ts, NULL);
	}
}

static bool page_failures(struct ctl *ctl, void *arg, const struct reply *r, json_t *items, struct err *e)
{
	size_t i;
	json_t *item;

	(void)r;
	(void)e;
	json_array_foreach(items, i, item)
	{
		char *serial = value_text(value_at(item, "serial")), *detail = value_text(value_at(item, "detail"));
		fprintf(ctl->note, "%s:%lld: %s%s%s\n", (const char *)arg,
			(long long)json_integer_value(value_at(item, "line")), serial, *serial != '\0' ? ": " : "",
			detail);
		free(serial);
		free(detail);
	}
	return true;
}

/* The rows that were refused: what `operations rows ID --result failed --all` asks. */
static bool show_failures(struct ctl *ctl, const char *id, const char *file, struct err *e)
{
	size_t command_count;
	const struct command *commands = commands_all(&command_count);
	char *args[] = {(char[CLIENT_ID_MAX]){""}};
	struct invocation rows = {.args = args, .arg_count = 1};
	char *name = text_clean(file);

	snprintf(args[0], CLIENT_ID_MAX, "%s", id);
	for (size_t i = 0; i < command_count; i++)
		if (strcmp(commands[i].name, "operations rows") == 0)
			rows.command = &commands[i];
	for (size_t i = 0; i < rows.command->option_count; i++) {
		const char *option = rows.command->options[i].name;
		rows.value[i] = strcmp(option, "result") == 0 ? "failed" : strcmp(option, "all") == 0 ? "yes" : NULL;
	}
	bool ok = ctl_walk(ctl, &rows, page_failures, name, e);
	free(name);
	return ok;
}

/* From the API's 202 to the end of the work. */
static bool follow(struct ctl *ctl, const struct invocation *in, struct reply *r, struct err *e)
{
	char id[CLIENT_ID_MAX];
	json_t *operation = ctl_json(r, e);

	if (operation == NULL)
		return false;
	char *text = value_text(value_at(operation, "id"));
	snprintf(id, sizeof(id), "%s", text);
	free(text);
	if (invocation_value(in, "no-wait") == NULL) {
		fprintf(ctl->note, "Operation %s; it goes on when this ends.\n", id);
		json_decref(operation);
		operation = watch(ctl, id, r, e);
	}
	bool ok = operation != NULL;
	json_int_t failed = json_integer_value(json_object_get(operation, "failed"));
	if (ok && failed > 0)
		ok = show_failures(ctl, id, in->args[0], e);
	ok = ok && ctl_show(ctl, r, e);
	if (ok && failed > 0)
		ok = err_set(e, ERR_REQUEST, "%lld of %lld rows were refused", (long long)failed,
			     (long long)json_integer_value(json_object_get(operation, "total")));
	json_decref(operation);
	return ok;
}

bool run_import(struct ctl *ctl, const struct invocation *in, struct err *e)
{
	struct target t;
	struct reply r = {0};
	size_t len;
	char *bytes = ctl_file(in->args[0], &len, e);

	if (bytes == NULL)
		return false;
	ctl_target(in, &t);
	const struct call call = {
		.method = "POST", .target = t.text, .body = bytes, .body_len = len, .content_type = media_of(in)};
	bool ok = target_ok(&t, e) && ctl_call(ctl, &call, &r, e);
	free(bytes);
	ok = ok && follow(ctl, in, &r, e);
	reply_free(&r);
	return ok;
}

/* A file of a data logger, whose times have the zone that --zone says. */
bool run_logger_import(struct ctl *ctl, const struct invocation *in, struct err *e)
{
	char *serial[] = {(char[CLIENT_ID_MAX]){""}};
	const char *given = invocation_value(in, "serial");
	struct target t;
	struct reply r = {0};
	size_t len;

	if (given == NULL)
		return err_set(e, ERR_CONFIG, "expected --serial, the device that the file is of");
	if (strlen(given) >= CLIENT_ID_MAX)
		return err_set(e, ERR_CONFIG, "--serial: expected at most 64 characters");
	snprintf(serial[0], CLIENT_ID_MAX, "%s", given);
	char *bytes = ctl_file(in->args[0], &len, e);
	if (bytes == NULL)
		return false;
	target_path(&t, in->command->path, serial);
	target_param(&t, "zone", invocation_value(in, "zone"));
	target_param(&t, "reason", invocation_value(in, "reason"));
	const struct call call = {
		.method = "POST", .target = t.text, .body = bytes, .body_len = len, .content_type = "text/plain"};
	bool ok = target_ok(&t, e) && ctl_call(ctl, &call, &r, e) && ctl_show(ctl, &r, e);
	free(bytes);
	reply_free(&r);
	return ok;
}
