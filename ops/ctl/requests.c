/* SPDX-License-Identifier: Apache-2.0
 *
 * Commands to trackers, for the two people that a command with consequences takes: who asks is told what is to happen
 * next, who decides is shown what the decision is about, and both can watch how far it is. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ops/ctl/ctl.h"

#define POLL_MS   250
#define POLL_MOST 2000
#define PATIENCE  30 /* looks in vain, one after the other */
#define BAR       30

/* The states of a command that can be its last, and the others, in the order of its life. */
static const struct {
	const char *name;
	bool last;
} states[] = {{"succeeded", true}, {"failed", true},  {"rejected", true},  {"refused", true},
	      {"cancelled", true}, {"expired", true}, {"accepted", false}, {"sent", false},
	      {"waiting", false},  {"signed", false}, {"approved", false}, {"awaiting_approval", false}};

/* ---- asking ---- */

bool run_ask(struct ctl *ctl, const struct invocation *in, struct err *e)
{
	struct reply r = {0};
	bool ok = ctl_act(ctl, in, &r, e);
	json_t *answer = ok ? ctl_json(&r, e) : NULL;
	const json_t *request = json_object_get(answer, "request_id");

	if (request == NULL)
		request = json_object_get(answer, "id");
	const char *id = json_string_value(request), *state = json_string_value(json_object_get(answer, "state"));
	if (id != NULL && state != NULL && strcmp(state, "awaiting_approval") == 0)
		fprintf(ctl->note, "Somebody else has to approve it: coldfleetctl approve %s\n", id);
	else if (id != NULL)
		fprintf(ctl->note, "How far it is: coldfleetctl watch %s\n", id);
	ok = answer != NULL;
	json_decref(answer);
	reply_free(&r);
	return ok;
}

/* ---- deciding ---- */

static bool get_request(struct ctl *ctl, const struct invocation *in, struct reply *r, struct err *e)
{
	struct target t;
	const struct call call = {.target = t.text};

	target_path(&t, "/v1/requests/{id}", in->args);
	return target_ok(&t, e) && ctl_call(ctl, &call, r, e);
}

/* A decision is about what was shown: asked on a terminal, or taken as read with --yes. */
static bool confirmed(struct ctl *ctl, const struct invocation *in, json_t *request, struct err *e)
{
	char line[16] = "";

	if (invocation_value(in, "yes") != NULL)
		return true;
	if (!ctl->note_tty)
		return err_set(e, ERR_CONFIG, "this is no terminal to ask on: expected --yes");
	object_print(request, ctl->note, 0);
	fprintf(ctl->note, "%s this? [y/N] ", in->command->name);
	fflush(ctl->note);
	if (fgets(line, sizeof(line), stdin) != NULL && (line[0] == 'y' || line[0] == 'Y'))
		return true;
	return err_set(e, ERR_CONFIG, "nothing was decided");
}

static bool decide(struct ctl *ctl, const struct invocation *in, const char *sha256, struct err *e)
{
	struct target t;
	struct reply r = {0};
	const char *reason = invocation_value(in, "reason");
	json_t *body = json_pack("{s:s}", "request_sha256", sha256);

	if (reason != NULL)
		json_object_set_new(body, "reason", json_string(reason));
	char *text = json_dumps(body, JSON_COMPACT);
	const struct call call = {.method = "POST",
				  .target = t.text,
				  .body = text,
				  .body_len = strlen(text),
				  .content_type = "application/json"};
	ctl_target(in, &t);
	bool ok = target_ok(&t, e) && ctl_call(ctl, &call, &r, e) && ctl_show(ctl, &r, e);
	free(text);
	json_decref(body);
	reply_free(&r);
	return ok;
}

bool run_decide(struct ctl *ctl, const struct invocation *in, struct err *e)
{
	struct reply r = {0};
	json_t *request = get_request(ctl, in, &r, e) ? ctl_json(&r, e) : NULL;
	const char *sha256 = json_string_value(json_object_get(request, "request_sha256"));
	bool ok = request != NULL;

	if (ok && sha256 == NULL)
		ok = err_set(e, ERR_DECODE, "the answer has no request_sha256: is this the API?");
	ok = ok && confirmed(ctl, in, request, e) && decide(ctl, in, sha256, e);
	json_decref(request);
	reply_free(&r);
	return ok;
}

/* ---- watching ---- */

static json_int_t count_of(const json_t *request, size_t state)
{
	return json_integer_value(json_object_get(json_object_get(request, "progress"), states[state].name));
}

static json_int_t ended_of(const json_t *request)
{
	json_int_t ended = 0;

	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		ended += states[i].last ? count_of(request, i) : 0;
	return ended;
}

static void put_counts(FILE *to, const json_t *request)
{
	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		json_int_t n = count_of(request, i);
		if (n > 0)
			fprintf(to, "  %lld %s", (long long)n, states[i].name);
	}
}

/* A bar that is drawn over itself on a terminal; elsewhere a line whenever something has changed. */
static void draw(const struct ctl *ctl, const json_t *request, bool changed, bool over)
{
	json_int_t total = json_integer_value(json_object_get(request, "device_count")), ended = ended_of(request);
	size_t full = total > 0 ? (size_t)(BAR * ended / total) : 0;

	if (!ctl->note_tty && !changed)
		return;
	if (ctl->note_tty) {
		fprintf(ctl->note, "\r[");
		for (size_t i = 0; i < BAR; i++)
			fputc(i < full ? '#' : '-', ctl->note);
		fprintf(ctl->note, "] ");
	}
	fprintf(ctl->note, "%lld of %lld", (long long)ended, (long long)total);
	put_counts(ctl->note, request);
	fprintf(ctl->note, ctl->note_tty ? "\033[K%s" : "%s", over || !ctl->note_tty ? "\n" : "");
	fflush(ctl->note);
}

/* All ended well, or words for what did not. */
static bool verdict(const json_t *request, struct err *e)
{
	char words[160] = "";
	size_t len = 0;

	for (size_t i = 1; i < sizeof(states) / sizeof(states[0]) && states[i].last; i++) {
		json_int_t n = count_of(request, i);
		if (n > 0 && len < sizeof(words))
			len += (size_t)snprintf(words + len, sizeof(words) - len, "%s%lld %s", len > 0 ? ", " : "",
						(long long)n, states[i].name);
	}
	return len == 0 || err_set(e, ERR_INVALID, "not everywhere: %s", words);
}

static bool look(struct ctl *ctl, const struct invocation *in, char **seen, bool *over, struct err *e)
{
	struct reply r = {0};
	json_t *request = get_request(ctl, in, &r, e) ? ctl_json(&r, e) : NULL;
	bool ok = request != NULL;

	if (ok) {
		bool changed = *seen == NULL || strcmp(*seen, r.body) != 0;
		*over = ended_of(request) == json_integer_value(json_object_get(request, "device_count"));
		free(*seen);
		*seen = strdup(r.body);
		if (!ctl->json)
			draw(ctl, request, changed, *over);
		else if (*over)
			ctl_pass(ctl, r.body, r.len);
		if (*over)
			ok = verdict(request, e);
	}
	json_decref(request);
	reply_free(&r);
	return ok;
}

bool run_watch(struct ctl *ctl, const struct invocation *in, struct err *e)
{
	char *seen = NULL;
	bool over = false, ok = true;
	int failures = 0;

	for (long ms = POLL_MS; ok && !over; ms = 2 * ms < POLL_MOST ? 2 * ms : POLL_MOST) {
		struct err why = {0};
		ok = look(ctl, in, &seen, &over, &why);
		failures = ok ? 0 : failures + 1;
		if (!ok && why.code == ERR_SYSTEM && failures <= PATIENCE)
			ok = true; /* the API is away for a moment */
		else if (!ok)
			*e = why;
		if (!ok || over)
			break;
		const struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
		nanosleep(&ts, NULL);
	}
	free(seen);
	return ok;
}
