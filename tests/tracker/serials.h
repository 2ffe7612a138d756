/* SPDX-License-Identifier: Apache-2.0
 *
 * Which trackers a command plays: a file with one serial a line, PREFIX:N, or the certificates in a folder. */
#ifndef COLDFLEET_TRACKER_SERIALS_H
#define COLDFLEET_TRACKER_SERIALS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

struct serials {
	char **names;
	size_t count;
};

/* `from` is a file, PREFIX:N or NULL: then all certificates in `certs` whose name starts with `prefix`. At most `limit`
 * of them (0: all), in order. */
bool serials_choose(struct serials *s, const char *from, const char *certs, const char *prefix, int64_t limit,
		    struct err *e);
void serials_free(struct serials *s);

#endif
