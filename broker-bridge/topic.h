/* SPDX-License-Identifier: Apache-2.0
 *
 * The topics of the device contract (docs/protocol.md): `cf/v1/{serial}/{leaf}`. Pure functions, no allocation. */
#ifndef COLDFLEET_BROKER_BRIDGE_TOPIC_H
#define COLDFLEET_BROKER_BRIDGE_TOPIC_H

#include <stdbool.h>
#include <stddef.h>

#include "core/err.h"

#define TOPIC_SERIAL_MAX 64
#define TOPIC_MAX        96 /* longest topic of ours with its NUL: "cf/v1/" + serial + "/" + leaf */

enum topic_leaf {
	TOPIC_TELEMETRY,
	TOPIC_STATUS,
	TOPIC_REPLY,
	TOPIC_COMMAND,
	TOPIC_RECEIPT,
	TOPIC_CONFIG,
	TOPIC_LEAVES
};

struct topic {
	enum topic_leaf leaf;
	const char *serial; /* points into the parsed text, not terminated */
	size_t serial_len;  /* 1..64 */
};

/* `text` need not be terminated and may hold any byte. On failure `e` says what is wrong (ERR_DECODE). */
bool topic_parse(const char *text, size_t len, struct topic *out, struct err *e);

/* [A-Za-z0-9._-]{1,64} */
bool topic_serial_valid(const char *serial, size_t len);

/* Writes a terminated topic; `serial` must be valid. Returns its length. */
size_t topic_format(char out[TOPIC_MAX], const char *serial, size_t serial_len, enum topic_leaf leaf);

const char *topic_leaf_name(enum topic_leaf leaf);

#endif
