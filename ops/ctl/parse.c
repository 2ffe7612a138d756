/* SPDX-License-Identifier: Apache-2.0
 *
 * A command line read by the command table. The command's words are found first, so that each option is looked up in
 * the one table it can belong to. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "ops/ctl/command.h"
#include "ops/ctl/when.h"

static char *keep(struct invocation *in, const char *text)
{
	char *copy = strdup(text);

	if (copy == NULL)
		abort();
	in->word[in->words++] = copy;
	return copy;
}

/* Values of --format csv|json: one of them, as it is written there. */
static bool is_choice(const char *choices, const char *text)
{
	size_t len = strlen(text);

	for (const char *at = choices; at != NULL; at = strchr(at, '|')) {
		at += *at == '|';
		if (strncmp(at, text, len) == 0 && (at[len] == '|' || at[len] == '\0'))
			return true;
	}
	return false;
}

static bool convert(struct invocation *in, const struct option *o, const char *text, time_t now, const char **to,
		    struct err *e)
{
	char when[WHEN_MAX];
	int64_t seconds;

	switch (o->kind) {
	case OPTION_INT:
		if (*text == '\0' || strlen(text) > 15 || text[strspn(text, "0123456789")] != '\0')
			return err_set(e, ERR_CONFIG, "--%s: expected a whole number, got '%s'", o->name, text);
		break;
	case OPTION_SPAN:
		if (!span_parse(text, &seconds, e))
			return err_prefix(e, "--%s: ", o->name);
		span_text(seconds, when, sizeof(when));
		text = when;
		break;
	case OPTION_WHEN:
		if (!when_parse(text, now, when, e))
			return err_prefix(e, "--%s: ", o->name);
		text = when;
		break;
	case OPTION_TEXT:
		if (strchr(o->value, '|') != NULL && !is_choice(o->value, text))
			return err_set(e, ERR_CONFIG, "--%s: expected %s, got '%s'", o->name, o->value, text);
		break;
	case OPTION_FLAG:
		break;
	}
	*to = keep(in, text);
	return true;
}

static const struct option *find_option(const struct option *options, size_t count, const char *name, size_t len)
{
	for (size_t i = 0; i < count; i++)
		if (strlen(options[i].name) == len && strncmp(options[i].name, name, len) == 0)
			return &options[i];
	return NULL;
}

static void set_common(struct invocation *in, const struct option *o, const char *text)
{
	const struct {
		const char *name;
		const char **text;
		bool *flag;
	} places[] = {
		{"api", &in->given.api, NULL},
		{"ca", &in->given.ca, NULL},
		{"token-file", &in->given.token_file, NULL},
		{"timeout", &in->given.timeout, NULL},
		{"json", NULL, &in->json},
		{"no-color", NULL, &in->no_color},
		{"help", NULL, &in->help},
		{"version", NULL, &in->version},
	};

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		if (strcmp(places[i].name, o->name) != 0)
			continue;
		if (places[i].flag != NULL)
			*places[i].flag = true;
		else
			*places[i].text = text;
	}
}

/* One option at argv[0]; how many words it took, 0 with an error. */
static int take_option(struct invocation *in, int argc, char **argv, time_t now, struct err *e)
{
	const char *name = argv[0] + 2, *value = NULL;
	size_t len = strcspn(name, "=");
	const struct command *c = in->command;
	const struct option *common = find_option(common_options, common_option_count, name, len), *o = common;

	if (o == NULL && c != NULL)
		o = find_option(c->options, c->option_count, name, len);
	if (o == NULL) {
		err_set(e, ERR_CONFIG, "--%.*s: no such option%s%s; --help lists them", (int)len, name,
			c != NULL ? " of " : "", c != NULL ? c->name : "");
		return 0;
	}
	bool inside = name[len] == '=', takes = o->kind != OPTION_FLAG;
	if (takes ? !inside && argc < 2 : inside) {
		err_set(e, ERR_CONFIG, "--%s: expected %s", o->name, takes ? o->value : "no value");
		return 0;
	}
	const char *text = !takes ? "yes" : inside ? name + len + 1 : argv[1];
	if (!convert(in, o, text, now, &value, e))
		return 0;
	if (common != NULL)
		set_common(in, o, value);
	else
		in->value[o - c->options] = value;
	return takes && !inside ? 2 : 1;
}

static bool check_args(const struct invocation *in, struct err *e)
{
	size_t least = 0, most = 0;
	const char *args = in->command->args;

	for (const char *at = args; *at != '\0'; at += strspn(at, " ")) {
		size_t len = strcspn(at, " ");
		least += *at != '[';
		most = len > 3 && memmem(at, len, "...", 3) != NULL ? SIZE_MAX : most + 1;
		at += len;
	}
	if (in->arg_count >= least && in->arg_count <= most)
		return true;
	return err_set(e, ERR_CONFIG, "%s: expected %s, got %zu argument%s", in->command->name,
		       *args != '\0' ? args : "no arguments", in->arg_count, in->arg_count == 1 ? "" : "s");
}

/* How many words of the command are at the front of the arguments; 0 when they are not this command. */
static size_t matches(const char *name, char *const *args, size_t count)
{
	size_t words = 0;

	while (*name != '\0') {
		size_t len = strcspn(name, " ");
		if (words == count || strlen(args[words]) != len || strncmp(args[words], name, len) != 0)
			return 0;
		words++;
		name += len + (name[len] == ' ');
	}
	return words;
}

/* The words that are not options, and so name the command, as far as can be told before it is known: a value that
 * stands apart from its option is taken along, and only the common options can come before the command. */
static const struct command *find_command(int argc, char **argv)
{
	size_t command_count;
	const struct command *commands = commands_all(&command_count);
	char *plain[2];
	size_t count = 0;

	for (int i = 0; i < argc && count < 2; i++) {
		if (strncmp(argv[i], "--", 2) != 0) {
			plain[count++] = argv[i];
			continue;
		}
		const struct option *o =
			find_option(common_options, common_option_count, argv[i] + 2, strcspn(argv[i] + 2, "="));
		if (o != NULL && o->kind != OPTION_FLAG && strchr(argv[i], '=') == NULL)
			i++;
	}
	for (size_t i = 0; i < command_count; i++)
		if (matches(commands[i].name, plain, count) > 0)
			return &commands[i];
	return NULL;
}

static bool no_command(const struct invocation *in, struct err *e)
{
	if (in->arg_count == 0)
		return err_set(e, ERR_CONFIG, "expected a command; --help lists them");
	return err_set(e, ERR_CONFIG, "%s%s%s: no such command; --help lists them", in->args[0],
		       in->arg_count > 1 ? " " : "", in->arg_count > 1 ? in->args[1] : "");
}

bool invocation_parse(struct invocation *in, int argc, char **argv, time_t now, struct err *e)
{
	bool options = true;

	memset(in, 0, sizeof(*in));
	in->word = calloc((size_t)argc + 1, sizeof(in->word[0]));
	in->args = calloc((size_t)argc + 1, sizeof(in->args[0]));
	if (in->word == NULL || in->args == NULL)
		abort();
	in->command = find_command(argc, argv);
	for (int i = 0; i < argc;) {
		/* "-24h" is an argument; a single letter is a mistake that deserves a word. */
		if (options && argv[i][0] == '-' && isalpha((unsigned char)argv[i][1]))
			return err_set(e, ERR_CONFIG, "%s: options begin with two dashes; --help lists them", argv[i]);
		if (options && strcmp(argv[i], "--") == 0) {
			options = false;
			i++;
		} else if (options && strncmp(argv[i], "--", 2) == 0) {
			int took = take_option(in, argc - i, argv + i, now, e);
			if (took == 0)
				return false;
			i += took;
		} else {
			in->args[in->arg_count++] = argv[i++];
		}
	}
	if (in->help || in->version)
		return true;
	if (in->command == NULL)
		return no_command(in, e);
	size_t words = matches(in->command->name, in->args, in->arg_count);
	in->arg_count -= words;
	memmove(in->args, in->args + words, in->arg_count * sizeof(in->args[0]));
	return check_args(in, e);
}

void invocation_free(struct invocation *in)
{
	for (size_t i = 0; i < in->words; i++)
		free(in->word[i]);
	free(in->word);
	free(in->args);
	memset(in, 0, sizeof(*in));
}

const char *invocation_value(const struct invocation *in, const char *option)
{
	const struct command *c = in->command;
	const struct option *o = find_option(c->options, c->option_count, option, strlen(option));

	return o != NULL ? in->value[o - c->options] : NULL;
}
