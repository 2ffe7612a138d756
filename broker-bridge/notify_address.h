/* SPDX-License-Identifier: Apache-2.0
 *
 * Which addresses a webhook may be at: those of the public Internet, and those that the configuration names. Asked
 * about the address that a name was resolved to, as the socket is made, so no answer of a name server can get around
 * it. */
#ifndef COLDFLEET_BROKER_BRIDGE_NOTIFY_ADDRESS_H
#define COLDFLEET_BROKER_BRIDGE_NOTIFY_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sys/socket.h>

#include "core/err.h"

#define NOTIFY_NETWORKS_MAX 32

struct notify_network {
	uint8_t bytes[16]; /* IPv4 as ::ffff:a.b.c.d */
	uint8_t bits;      /* of the 128 */
};

struct notify_networks {
	struct notify_network of[NOTIFY_NETWORKS_MAX];
	size_t count;
};

/* "10.1.0.0/16, fd00::/8, 192.0.2.7"; empty: none. */
bool notify_networks_parse(const char *text, struct notify_networks *out, struct err *e);

/* False for everything that is not IPv4 or IPv6. */
bool notify_address_allowed(const struct sockaddr *sa, const struct notify_networks *allowed);

#endif
