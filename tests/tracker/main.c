/* SPDX-License-Identifier: Apache-2.0
 *
 * coldfleet-tracker: the device side of every protocol, for demo, tests and benchmarks. */
#include <stdio.h>
#include <string.h>

#include "tests/tracker/commands.h"

static const struct {
	const char *name;
	bool (*run)(int argc, char **argv, struct err *e);
	void (*help)(void);
	const char *what;
} command_table[] = {
	{"run", command_run, help_run, "plays a fleet of plausible trackers in real time"},
	{"replay", command_replay, help_replay,
	 "sends a recorded series from a CSV file as one tracker, until all is stored"},
	{"load", command_load, help_load, "sends as much as it can, and measures how long acknowledgements take"},
	{"sink", command_sink, help_sink,
	 "a back end that acknowledges messages and does nothing else, to measure beside"},
	{"flash", command_flash, help_flash, "lists what the file of a flash holds"},
	{"mint", command_mint, help_mint, "makes a development CA and certificates for trackers"},
};
#define COMMANDS (sizeof(command_table) / sizeof(command_table[0]))

static int usage(FILE *to, int status)
{
	fprintf(to, "usage: coldfleet-tracker COMMAND [OPTION...]\n\n");
	for (size_t i = 0; i < COMMANDS; i++)
		fprintf(to, "  %-8s %s\n", command_table[i].name, command_table[i].what);
	fprintf(to, "\ncoldfleet-tracker COMMAND --help lists the options of a command.\n");
	return status;
}

int main(int argc, char **argv)
{
	struct err e = {0};

	if (argc < 2)
		return usage(stderr, 2);
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)
		return usage(stdout, 0);
	if (strcmp(argv[1], "--version") == 0)
		return printf("coldfleet-tracker %s\n", COLDFLEET_VERSION) > 0 ? 0 : 1;
	for (size_t i = 0; i < COMMANDS; i++) {
		if (strcmp(argv[1], command_table[i].name) != 0)
			continue;
		if (argc > 2 && strcmp(argv[argc - 1], "--help") == 0) {
			printf("coldfleet-tracker %s %s\n\n", argv[1], command_table[i].what);
			command_table[i].help();
			return 0;
		}
		if (command_table[i].run(argc - 2, argv + 2, &e))
			return 0;
		fflush(stdout);
		fprintf(stderr, "coldfleet-tracker %s: %s\n", argv[1], e.detail);
		return e.code == ERR_INVALID ? 2 : 1;
	}
	fprintf(stderr, "coldfleet-tracker: no command '%s'\n", argv[1]);
	return usage(stderr, 2);
}
