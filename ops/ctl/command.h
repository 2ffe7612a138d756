/* SPDX-License-Identifier: Apache-2.0
 *
 * The commands, row by row: what they take, which call of the API they make and how its answer is shown. Parsing,
 * --help, completion and the requests themselves come from this table. */
#ifndef COLDFLEET_CTL_COMMAND_H
#define COLDFLEET_CTL_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "ops/ctl/settings.h"
#include "ops/ctl/table.h"

#define OPTIONS_MAX 20

/* How a command ends. */
enum ctl_exit { CTL_OK, CTL_FAILED, CTL_USAGE, CTL_NOT_FOUND, CTL_NOT_ALLOWED, CTL_CONFLICT, CTL_UNREACHABLE };

enum option_kind {
	OPTION_FLAG, /* no value */
	OPTION_TEXT,
	OPTION_INT,  /* a whole number, not negative */
	OPTION_SPAN, /* "1d12h"; kept as one unit: "36h" */
	OPTION_WHEN, /* "-24h", "2026-11-22"; kept as RFC 3339 */
};

enum option_to {
	TO_COMMAND, /* the command itself makes something of it */
	TO_QUERY,   /* the query parameter `key` */
	TO_BODY,    /* the member `key` ("arguments.mode") of the body: text, or a number when OPTION_INT */
	TO_FIRST,   /* the same of the first object in a list of them ("lots.number") */
	TO_LIST,    /* the member `key` of the body, a list of texts: "a,b,c" */
	TO_NUMBERS, /* the same of whole numbers */
	TO_SECONDS, /* the member `key` of the body: an OPTION_WHEN as seconds since 1970 */
};

struct option {
	const char *name; /* without the dashes */
	enum option_kind kind;
	enum option_to to;
	const char *key;   /* of query or body */
	const char *value; /* what help calls the value; choices are parted by |: "csv|json" */
	const char *help;
};

struct ctl;
struct invocation;

struct command {
	const char *name; /* "devices list" */
	const char *args; /* "SERIAL KEY=VALUE..." */
	/* The path's {names} are the first arguments. NULL: it calls nothing, and needs neither settings nor a token.
	 */
	const char *method, *path;
	const struct option *options;
	size_t option_count;
	const struct column *columns; /* of a list */
	size_t column_count;
	const char *help;
	bool (*run)(struct ctl *ctl, const struct invocation *in, struct err *e);
	const char
		*fields; /* members of the body that the arguments after those are: "name role"; "tags..." takes all */
	const char *preset; /* a member of the body that the command itself says: "operation=disable" */
	bool if_match;      /* the route asks for If-Match; without --if-match any version will do */
};

struct invocation {
	const struct command *command;  /* NULL: none was named */
	const char *value[OPTIONS_MAX]; /* by the option's place in the table; NULL: not given */
	char **args;
	size_t arg_count;
	char **word; /* memory of args and of converted values */
	size_t words;
	/* What every command takes. */
	struct settings_given given;
	bool json, no_color, help, version;
};

/* The rows of all subjects, put together at the first call: it is for one thread. They stay. */
const struct command *commands_all(size_t *count);
extern const struct option common_options[];
extern const size_t common_option_count;

/* Options and arguments in any order; "--" ends options. On failure ERR_CONFIG; `in` has to be freed either way. */
bool invocation_parse(struct invocation *in, int argc, char **argv, time_t now, struct err *e);
void invocation_free(struct invocation *in);

/* The value of an option of the command; NULL when it was not given. */
const char *invocation_value(const struct invocation *in, const char *option);

void command_help(const struct command *command, FILE *to);
void command_list(FILE *to);
/* What could stand at the place of the last of the words, one a line: the completion of shells. */
void command_complete(int argc, char **argv, FILE *to);

#endif
