/* SPDX-License-Identifier: Apache-2.0
 *
 * What the command table says to people (--help) and to shells (completion). */
#include <string.h>

#include "ops/ctl/command.h"

static void put_options(const struct option *options, size_t count, FILE *to)
{
	for (size_t i = 0; i < count; i++) {
		char left[80];
		snprintf(left, sizeof(left), "--%s%s%s", options[i].name, options[i].value != NULL ? " " : "",
			 options[i].value != NULL ? options[i].value : "");
		fprintf(to, "  %-30s %s\n", left, options[i].help);
	}
}

void command_help(const struct command *command, FILE *to)
{
	fprintf(to, "usage: coldfleetctl %s%s%s%s\n\n%s.\n", command->name, *command->args != '\0' ? " " : "",
		command->args, command->option_count > 0 ? " [OPTION...]" : "", command->help);
	if (command->option_count > 0)
		fprintf(to, "\nOptions:\n");
	put_options(command->options, command->option_count, to);
	fprintf(to, "\nOptions of every command:\n");
	put_options(common_options, common_option_count, to);
}

void command_list(FILE *to)
{
	size_t command_count;
	const struct command *commands = commands_all(&command_count);
	fprintf(to, "usage: coldfleetctl COMMAND [ARGUMENT...] [OPTION...]\n\nCommands:\n");
	for (size_t i = 0; i < command_count; i++) {
		char left[80];
		snprintf(left, sizeof(left), "%s%s%s", commands[i].name, *commands[i].args != '\0' ? " " : "",
			 commands[i].args);
		fprintf(to, "  %-36s %s\n", left, commands[i].help);
	}
	fprintf(to, "\nOptions of every command (coldfleetctl COMMAND --help lists those of one):\n");
	put_options(common_options, common_option_count, to);
	fprintf(to, "\nSpans are 90s, 15m, 1h30m, 7d; times -24h, +30d, now, 2026-11-22 or 2026-11-22T08:00:00Z.\n");
}

static void put_choices(const char *choices, const char *begun, FILE *to)
{
	if (choices == NULL || strchr(choices, '|') == NULL)
		return;
	for (const char *at = choices; *at != '\0';) {
		size_t len = strcspn(at, "|");
		if (strncmp(at, begun, strlen(begun)) == 0)
			fprintf(to, "%.*s\n", (int)len, at);
		at += len + (at[len] == '|');
	}
}

static const struct option *named(const struct option *options, size_t count, const char *word)
{
	for (size_t i = 0; i < count; i++)
		if (strncmp(word, "--", 2) == 0 && strcmp(options[i].name, word + 2) == 0)
			return &options[i];
	return NULL;
}

static void put_names(const struct option *options, size_t count, const char *begun, FILE *to)
{
	for (size_t i = 0; i < count; i++)
		if (strncmp(options[i].name, begun, strlen(begun)) == 0)
			fprintf(to, "--%s\n", options[i].name);
}

/* The words so far, without options and their values, joined by blanks. */
static void plain_words(int argc, char **argv, char *to, size_t size)
{
	to[0] = '\0';
	for (int i = 0; i < argc; i++) {
		const struct option *o = named(common_options, common_option_count, argv[i]);
		if (o != NULL && o->kind != OPTION_FLAG)
			i++;
		else if (strncmp(argv[i], "--", 2) != 0)
			snprintf(to + strlen(to), size - strlen(to), "%s ", argv[i]);
	}
}

static void put_words(const char *before, const char *begun, FILE *to)
{
	size_t command_count;
	const struct command *commands = commands_all(&command_count);
	size_t len = strlen(before);
	const char *last = "";

	for (size_t i = 0; i < command_count; i++) {
		const char *next = commands[i].name + len;
		if (strncmp(commands[i].name, before, len) != 0 || strncmp(next, begun, strlen(begun)) != 0)
			continue;
		size_t word = strcspn(next, " ");
		if (strncmp(last, next, word + 1) != 0)
			fprintf(to, "%.*s\n", (int)word, next);
		last = next;
	}
}

void command_complete(int argc, char **argv, FILE *to)
{
	size_t command_count;
	const struct command *commands = commands_all(&command_count);
	const char *begun = argc > 0 ? argv[argc - 1] : "";
	const struct command *c = NULL;
	char before[256];

	plain_words(argc > 0 ? argc - 1 : 0, argv, before, sizeof(before));
	for (size_t i = 0; i < command_count; i++) {
		size_t len = strlen(commands[i].name);
		if (strncmp(commands[i].name, before, len) == 0 && before[len] == ' ')
			c = &commands[i];
	}
	const struct option *o = NULL;
	if (argc > 1 && (o = named(common_options, common_option_count, argv[argc - 2])) == NULL && c != NULL)
		o = named(c->options, c->option_count, argv[argc - 2]);
	if (o != NULL && o->kind != OPTION_FLAG) {
		put_choices(o->value, begun, to);
	} else if (strncmp(begun, "--", 2) == 0) {
		put_names(common_options, common_option_count, begun + 2, to);
		put_names(c != NULL ? c->options : NULL, c != NULL ? c->option_count : 0, begun + 2, to);
	} else if (c == NULL) {
		put_words(before, begun, to);
	}
}
