/* SPDX-License-Identifier: Apache-2.0
 *
 * What a running command has at hand, and the three ways most of them go: a list, one object, an act. */
#ifndef COLDFLEET_CTL_CTL_H
#define COLDFLEET_CTL_CTL_H

#include "ops/ctl/client.h"
#include "ops/ctl/command.h"
#include "ops/ctl/target.h"

struct ctl {
	struct client *client;
	FILE *out, *note;               /* answers; remarks, which are no part of an answer */
	bool json, color;               /* as they came from the API; for a terminal */
	size_t width;                   /* of the terminal, 0: it is none */
	bool note_tty;                  /* remarks go to a terminal */
	bool utf8;                      /* the terminal shows more than ASCII */
	time_t now;                     /* when it was started */
	char request_id[CLIENT_ID_MAX]; /* of the last answer, empty without one */
};

/* One call of the command's route: path, query and body from arguments and options; extra query parameters by the
 * caller. */
void ctl_target(const struct invocation *in, struct target *t);
bool ctl_call(struct ctl *ctl, const struct call *call, struct reply *r, struct err *e);

/* The body that arguments and options make, to be given back; NULL with an error when they make none. */
json_t *ctl_body(const struct invocation *in, struct err *e);

/* The answer's JSON, to be given back; NULL with an error when it is none. */
json_t *ctl_json(const struct reply *r, struct err *e);

/* What a change made, for people or scripts; a 204 has nothing to say. */
bool ctl_show(struct ctl *ctl, const struct reply *r, struct err *e);

/* The command's call with its body, and what it made, shown; the reply has to be given back. */
bool ctl_act(struct ctl *ctl, const struct invocation *in, struct reply *r, struct err *e);

/* The whole file, to be freed; "-" is standard input. NULL with an error: it cannot be read, or is beyond what the API
 * takes. */
char *ctl_file(const char *path, size_t *len, struct err *e);

/* Writes the bytes of an answer and a newline. */
void ctl_pass(struct ctl *ctl, const char *body, size_t len);

/* What a walk over the pages of a list does with each page; false ends it. */
typedef bool (*page_fn)(struct ctl *ctl, void *arg, const struct reply *r, json_t *items, struct err *e);
/* Follows `next` until --limit (100 without it) are shown, or all of them with --all. */
bool ctl_walk(struct ctl *ctl, const struct invocation *in, page_fn page, void *arg, struct err *e);

/* What a command of the table runs. */
bool run_list(struct ctl *ctl, const struct invocation *in, struct err *e);
bool run_show(struct ctl *ctl, const struct invocation *in, struct err *e);
bool run_act(struct ctl *ctl, const struct invocation *in, struct err *e);
bool run_ask(struct ctl *ctl, const struct invocation *in, struct err *e);
bool run_decide(struct ctl *ctl, const struct invocation *in, struct err *e);
bool run_watch(struct ctl *ctl, const struct invocation *in, struct err *e);
bool run_calibrations_put(struct ctl *ctl, const struct invocation *in, struct err *e);
bool run_logger_import(struct ctl *ctl, const struct invocation *in, struct err *e);
bool run_import(struct ctl *ctl, const struct invocation *in, struct err *e);
bool run_config_set(struct ctl *ctl, const struct invocation *in, struct err *e);
bool run_export(struct ctl *ctl, const struct invocation *in, struct err *e);
bool run_report(struct ctl *ctl, const struct invocation *in, struct err *e);
bool run_fleet(struct ctl *ctl, const struct invocation *in, struct err *e);
bool run_token_create(struct ctl *ctl, const struct invocation *in, struct err *e);
bool run_readings(struct ctl *ctl, const struct invocation *in, struct err *e);
bool run_audit_verify(struct ctl *ctl, const struct invocation *in, struct err *e);
bool run_stream(struct ctl *ctl, const struct invocation *in, struct err *e);
bool run_health(struct ctl *ctl, const struct invocation *in, struct err *e);

#endif
