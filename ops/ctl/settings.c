/* SPDX-License-Identifier: Apache-2.0
 *
 * One table for file, environment and options, read by the parser that the daemons use. */
#include "ops/ctl/settings.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const struct config_item items[] = {
	{"ctl.api", CONFIG_TEXT, offsetof(struct settings, api), "http://127.0.0.1:8470", 0, 0, false, false,
	 "https://HOST[:PORT], http:// to this machine, or unix:/PATH"},
	{"ctl.ca", CONFIG_TEXT, offsetof(struct settings, ca), "", 0, 0, false, false,
	 "certificates to trust (PEM); empty: those of the system"},
	{"ctl.token_file", CONFIG_TEXT, offsetof(struct settings, token_file), "", 0, 0, false, false,
	 "file that holds the token"},
	{"ctl.timeout", CONFIG_SECONDS, offsetof(struct settings, timeout), "30s", 0.1, 86400, false, false,
	 "how long one request may take"},
};

static void file_path(char path[PATH_MAX])
{
	const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");

	if (config != NULL && config[0] == '/')
		snprintf(path, PATH_MAX, "%s/coldfleet/ctl.ini", config);
	else
		snprintf(path, PATH_MAX, "%s/.config/coldfleet/ctl.ini", home != NULL ? home : "");
}

static bool assign(struct config *c, const char *key, const char *value, const char *origin, struct err *e)
{
	char assignment[CONFIG_TEXT_MAX + 64];

	if (value == NULL || (int)sizeof(assignment) <= snprintf(assignment, sizeof(assignment), "%s=%s", key, value))
		return value == NULL ||
		       err_set(e, ERR_CONFIG, "%s: expected at most %d bytes", origin, CONFIG_TEXT_MAX - 1);
	return config_set(c, assignment, e) || err_prefix(e, "%s: ", origin);
}

static const char *environment(const char *name)
{
	const char *value = getenv(name);
	return value != NULL && *value != '\0' ? value : NULL;
}

/* An API reached in clear text must be on this machine: the token would be anybody's who listens on the way. */
static bool check_api(const struct settings *s, struct err *e)
{
	static const char *const safe[] = {"https://", "unix:/", "http://127.", "http://localhost", "http://[::1]"};
	static const char ends[] = ":/";

	for (size_t i = 0; i < sizeof(safe) / sizeof(safe[0]); i++) {
		size_t len = strlen(safe[i]);
		if (strncasecmp(s->api, safe[i], len) != 0 || strchr(s->api, '@') != NULL)
			continue;
		/* Not http://localhost.example.com, nor http://127.0.0.1.example.com. */
		const char *rest = s->api + len + (i == 2 ? strspn(s->api + len, "0123456789.") : 0);
		if (i < 2 ? *rest != '\0' : *rest == '\0' || strchr(ends, *rest) != NULL)
			return true;
	}
	return err_set(e, ERR_CONFIG, "%s: expected https://HOST[:PORT], http:// to this machine, or unix:/PATH",
		       s->api);
}

static bool check_token(const struct settings *s, const char *origin, struct err *e)
{
	static const char token68[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/=";

	if (s->token[strspn(s->token, token68)] == '\0')
		return true;
	return err_set(e, ERR_CONFIG, "%s: expected one token of A-Z a-z 0-9 - . _ ~ + / =", origin);
}

static bool read_token(struct settings *s, struct err *e)
{
	struct stat st;
	FILE *file = fopen(s->token_file, "re");
	bool ok = false;

	if (file == NULL)
		return err_set(e, ERR_CONFIG, "%s: %s", s->token_file, strerror(errno));
	if (fstat(fileno(file), &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & S_IROTH) != 0) {
		err_set(e, ERR_CONFIG, "%s: everybody on this machine can read it; expected mode 0600", s->token_file);
		goto out;
	}
	if (fgets(s->token, sizeof(s->token), file) == NULL) {
		err_set(e, ERR_CONFIG, "%s: expected a token in its first line", s->token_file);
		goto out;
	}
	s->token[strcspn(s->token, " \t\r\n")] = '\0';
	ok = check_token(s, s->token_file, e);
out:
	fclose(file);
	return ok;
}

static bool choose_token(struct settings *s, bool file_given, struct err *e)
{
	const char *token = environment("COLDFLEET_TOKEN");

	if (token != NULL && !file_given) {
		if (strlen(token) >= sizeof(s->token))
			return err_set(e, ERR_CONFIG, "COLDFLEET_TOKEN: expected at most %zu bytes",
				       sizeof(s->token) - 1);
		snprintf(s->token, sizeof(s->token), "%s", token);
		return check_token(s, "COLDFLEET_TOKEN", e);
	}
	return s->token_file[0] == '\0' || read_token(s, e);
}

bool settings_load(struct settings *s, const struct settings_given *given, struct err *e)
{
	char path[PATH_MAX];
	memset(s, 0, sizeof(*s));
	struct config *c = config_new(items, sizeof(items) / sizeof(items[0]), s, sizeof(*s));

	file_path(path);
	bool ok = config_load(c, path, false, e) &&
		  assign(c, "ctl.api", environment("COLDFLEET_API"), "COLDFLEET_API", e) &&
		  assign(c, "ctl.ca", environment("COLDFLEET_CA"), "COLDFLEET_CA", e) &&
		  assign(c, "ctl.api", given->api, "--api", e) && assign(c, "ctl.ca", given->ca, "--ca", e) &&
		  assign(c, "ctl.token_file", given->token_file, "--token-file", e) &&
		  assign(c, "ctl.timeout", given->timeout, "--timeout", e);
	config_free(&c);
	return ok && check_api(s, e) && choose_token(s, given->token_file != NULL, e);
}
