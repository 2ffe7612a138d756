/* SPDX-License-Identifier: Apache-2.0
 *
 * Which addresses a server of others may be at: those of the public Internet, and those that the configuration names.
 */
#ifndef COLDFLEET_CORE_NETWORKS_H
#define COLDFLEET_CORE_NETWORKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sys/socket.h>

#include "core/err.h"

#define NETWORKS_MAX 32

struct network {
	uint8_t bytes[16]; /* IPv4 as ::ffff:a.b.c.d */
	uint8_t bits;      /* of the 128 */
};

struct networks {
	struct network of[NETWORKS_MAX];
	size_t count;
};

/* "10.1.0.0/16, fd00::/8, 192.0.2.7"; empty: none. */
bool networks_parse(const char *text, struct networks *out, struct err *e);

/* What is not of the public Internet, as networks_parse() reads it; static. */
const char *const *networks_refused(size_t *count);

/* False for everything that is not IPv4 or IPv6. */
bool networks_allow(const struct sockaddr *sa, const struct networks *allowed);

#endif
