/* SPDX-License-Identifier: Apache-2.0
 *
 * coldfleetctl: the fleet from a terminal. */
#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "ops/ctl/ctl.h"
#include "ops/ctl/text.h"

static const struct {
	enum err_code code;
	enum ctl_exit status;
} exit_table[] = {
	{ERR_CONFIG, CTL_USAGE},          {ERR_NOT_FOUND, CTL_NOT_FOUND}, {ERR_UNAUTHORIZED, CTL_NOT_ALLOWED},
	{ERR_FORBIDDEN, CTL_NOT_ALLOWED}, {ERR_CONFLICT, CTL_CONFLICT},   {ERR_SYSTEM, CTL_UNREACHABLE},
};

static int complain(const struct ctl *ctl, const struct err *e)
{
	char *detail = text_clean(e->detail), *id = text_clean(ctl->request_id);

	fflush(stdout);
	fprintf(stderr, *id != '\0' ? "coldfleetctl: %s (request %s)\n" : "coldfleetctl: %s\n", detail, id);
	free(detail);
	free(id);
	for (size_t i = 0; i < sizeof(exit_table) / sizeof(exit_table[0]); i++)
		if (exit_table[i].code == e->code)
			return (int)exit_table[i].status;
	return CTL_FAILED;
}

static size_t terminal_width(void)
{
	struct winsize size;

	if (!isatty(STDOUT_FILENO))
		return 0;
	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

static void ctl_init(struct ctl *ctl, const struct invocation *in)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

	ctl->json = in->json;
	ctl->width = terminal_width();
	ctl->note_tty = isatty(STDERR_FILENO) == 1;
	ctl->color = ctl->width > 0 && !in->no_color && (no_color == NULL || *no_color == '\0') && term != NULL &&
		     strcmp(term, "dumb") != 0;
	ctl->utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

static int help(const struct invocation *in)
{
	if (in->version)
		printf("coldfleetctl %s\n", COLDFLEET_VERSION);
	else if (in->command != NULL)
		command_help(in->command, stdout);
	else
		command_list(stdout);
	return fflush(stdout) == 0 ? CTL_OK : CTL_FAILED;
}

/* Reads the settings, which the client goes on using, and makes it, unless the command calls nothing. */
static bool connected(struct ctl *ctl, const struct invocation *in, struct settings *settings, struct err *e)
{
	return in->command->path == NULL ||
	       (settings_load(settings, &in->given, e) && (ctl->client = client_new(settings, e)) != NULL);
}

/* A full disk, or nobody who reads: the answer did not arrive, whatever the API said. */
static bool flushed(struct err *e)
{
	return (fflush(stdout) == 0 && !ferror(stdout)) ||
	       err_set(e, ERR_INTERNAL, "standard output cannot be written");
}

int main(int argc, char **argv)
{
	struct ctl ctl = {.out = stdout, .note = stderr, .now = time(NULL)};
	struct settings settings;
	struct invocation in;
	struct err e = {0};
	int status = CTL_OK;

	setlocale(LC_CTYPE, "");
	if (argc > 1 && strcmp(argv[1], "--complete") == 0) {
		command_complete(argc - 2, argv + 2, stdout);
		return CTL_OK;
	}
	bool ok = invocation_parse(&in, argc - 1, argv + 1, ctl.now, &e);
	if (ok && (in.help || in.version)) {
		status = help(&in);
		goto out;
	}
	ctl_init(&ctl, &in);
	ok = ok && connected(&ctl, &in, &settings, &e) && in.command->run(&ctl, &in, &e) && flushed(&e);
	if (!ok)
		status = complain(&ctl, &e);
	client_free(&ctl.client);
out:
	invocation_free(&in);
	return status;
}
