/* SPDX-License-Identifier: Apache-2.0
 *
 * Events as they happen, for as long as it takes: a stream that breaks is taken up again where it was. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/backoff.h"
#include "ops/ctl/ctl.h"
#include "ops/ctl/sse.h"
#include "ops/ctl/text.h"

struct listener {
	struct ctl *ctl;
	struct sse *sse;
	struct backoff backoff;
	size_t left; /* events until --count is reached; SIZE_MAX: no end */
	bool heard;  /* the server has answered: from now on a break is no reason to give up */
	bool ended, too_long;
};

/* Of a state, what people look at first; of other events everything. */
static const char *const state_members[] = {"temperature_c", "humidity_pct", "battery_pct", "door_open", "tampered"};

static void put_member(FILE *to, const char *name, const json_t *value)
{
	if (value == NULL || json_is_null(value))
		return;
	char *text = json_is_string(value) ? strdup(json_string_value(value))
					   : json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
	char *name_clean = text_clean(name), *clean = text != NULL ? text_clean(text) : NULL;
	fprintf(to, "  %s=%s", name_clean, clean != NULL ? clean : "?");
	free(text);
	free(name_clean);
	free(clean);
}

static void put_body(FILE *to, const char *type, const json_t *body)
{
	const char *name;
	json_t *value;

	if (strcmp(type, "device.state") == 0) {
		for (size_t i = 0; i < sizeof(state_members) / sizeof(state_members[0]); i++)
			put_member(to, state_members[i], json_object_get(body, state_members[i]));
		return;
	}
	json_object_foreach((json_t *)(uintptr_t)body, name, value)
	{
		put_member(to, name, value);
	}
}

/* At least so wide; what is wider stays whole. */
static void put_word(FILE *to, const char *text, size_t width)
{
	size_t own = text_width(text);
	text_put(to, text, own > width ? own : width, 0);
}

/* One line: when, what, which device, and the rest as name=value. */
static void print_event(const struct ctl *ctl, const char *type, const char *data)
{
	json_t *event = json_loads(data, 0, NULL);
	const char *at = json_string_value(json_object_get(event, "at"));
	const char *device = json_string_value(json_object_get(event, "device"));

	char second[24];
	snprintf(second, sizeof(second), "%.19sZ", at != NULL ? at : "");
	put_word(ctl->out, second, 0);
	fputs(ctl->color ? "  \033[1m" : "  ", ctl->out);
	put_word(ctl->out, type, 16);
	fputs(ctl->color ? "\033[0m  " : "  ", ctl->out);
	put_word(ctl->out, device != NULL ? device : "-", 16);
	put_body(ctl->out, type, json_object_get(event, "body"));
	fputc('\n', ctl->out);
	json_decref(event);
}

static bool on_event(void *arg, const char *type, const char *data, const char *id)
{
	struct listener *l = arg;

	(void)id;
	if (l->ctl->json)
		ctl_pass(l->ctl, data, strlen(data));
	else
		print_event(l->ctl, type, data);
	backoff_reset(&l->backoff);
	/* Whoever reads along wants it now. */
	l->ended = fflush(l->ctl->out) != 0 || (l->left != SIZE_MAX && --l->left == 0);
	return !l->ended;
}

static bool on_bytes(void *arg, const char *data, size_t len)
{
	struct listener *l = arg;
	bool go_on = sse_feed(l->sse, data, len);

	l->heard = true;
	l->too_long = !go_on && !l->ended;
	return go_on;
}

static void wait_before_again(struct listener *l, const struct err *e)
{
	struct timeval tv = backoff_fail(&l->backoff);
	long asked = sse_pause(l->sse), ms = tv.tv_sec * 1000 + tv.tv_usec / 1000;
	ms = asked > ms ? asked : ms;
	const struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
	char *why = text_clean(e->code != ERR_NONE ? e->detail : "the server ended the stream");

	fprintf(l->ctl->note, "coldfleetctl: %s; again in %.1f s\n", why, (double)ms / 1000);
	free(why);
	nanosleep(&ts, NULL);
}

/* One connection. True when there may be another one. */
static bool listen_once(struct listener *l, const struct target *t, struct err *e)
{
	const char *id = sse_last_id(l->sse);
	const struct call call = {.target = t->text,
				  .accept = "text/event-stream",
				  .last_event_id = *id != '\0' ? id : NULL,
				  .sink = on_bytes,
				  .arg = l};
	struct reply r = {0};

	sse_restart(l->sse);
	bool ok = ctl_call(l->ctl, &call, &r, e);
	reply_free(&r);
	if (l->too_long)
		return err_set(e, ERR_DECODE, "an event is longer than %zu bytes", SSE_EVENT_MAX);
	return ok || (l->heard && e->code == ERR_SYSTEM);
}

bool run_stream(struct ctl *ctl, const struct invocation *in, struct err *e)
{
	const char *count = invocation_value(in, "count");
	struct listener l = {.ctl = ctl, .backoff = {.first = 0.5, .limit = 30}};
	struct target t;
	bool ok = true;

	l.left = count != NULL ? strtoull(count, NULL, 10) : SIZE_MAX;
	ctl_target(in, &t);
	if (!target_ok(&t, e))
		return false;
	if (l.left == 0)
		return err_set(e, ERR_CONFIG, "--count: expected at least 1");
	l.sse = sse_new(on_event, &l);
	while (ok && !l.ended) {
		struct err why = {0};
		ok = listen_once(&l, &t, &why);
		if (!ok)
			*e = why;
		else if (!l.ended)
			wait_before_again(&l, &why);
	}
	sse_free(&l.sse);
	return ok;
}
