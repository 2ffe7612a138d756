/* SPDX-License-Identifier: Apache-2.0
 *
 * Where the API is, how to trust it and with which token: built-in defaults, then ~/.config/coldfleet/ctl.ini, then the
 * environment, then options. The token itself is never an argument: other users of the machine can see those. */
#ifndef COLDFLEET_CTL_SETTINGS_H
#define COLDFLEET_CTL_SETTINGS_H

#include <stdbool.h>

#include "core/config.h"

struct settings {
	char api[CONFIG_TEXT_MAX]; /* https://HOST[:PORT], http:// to this machine only, or unix:/PATH */
	char ca[CONFIG_TEXT_MAX];  /* empty: what the system trusts */
	char token_file[CONFIG_TEXT_MAX];
	double timeout; /* seconds for one request, answers that stream excepted */
	char token[CONFIG_TEXT_MAX];
};

/* What the options said, NULL where they did not. */
struct settings_given {
	const char *api, *ca, *token_file, *timeout;
};

bool settings_load(struct settings *s, const struct settings_given *given, struct err *e);

#endif
