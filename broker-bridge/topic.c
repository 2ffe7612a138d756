/* SPDX-License-Identifier: Apache-2.0
 *
 * Parse and format `cf/v1/{serial}/{leaf}`. */
#include "broker-bridge/topic.h"

#include <stdio.h>
#include <string.h>

static const char prefix[] = "cf/v1/";
#define PREFIX_LEN (sizeof(prefix) - 1)

static const char *const leaf_names[TOPIC_LEAVES] = {
	[TOPIC_TELEMETRY] = "telemetry", [TOPIC_STATUS] = "status",   [TOPIC_REPLY] = "reply",
	[TOPIC_COMMAND] = "command",     [TOPIC_RECEIPT] = "receipt", [TOPIC_CONFIG] = "config",
};

static bool serial_char(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
	       c == '-';
}

bool topic_serial_valid(const char *serial, size_t len)
{
	if (len < 1 || len > TOPIC_SERIAL_MAX)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!serial_char(serial[i]))
			return false;
	}
	return true;
}

static bool find_leaf(const char *name, size_t len, enum topic_leaf *leaf)
{
	for (int i = 0; i < TOPIC_LEAVES; i++) {
		if (strlen(leaf_names[i]) == len && memcmp(leaf_names[i], name, len) == 0) {
			*leaf = (enum topic_leaf)i;
			return true;
		}
	}
	return false;
}

bool topic_parse(const char *text, size_t len, struct topic *out, struct err *e)
{
	if (len < PREFIX_LEN || memcmp(text, prefix, PREFIX_LEN) != 0)
		return err_set(e, ERR_DECODE, "topic: expected it to start with cf/v1/");
	const char *serial = text + PREFIX_LEN;
	size_t rest = len - PREFIX_LEN;
	const char *slash = rest > 0 ? memchr(serial, '/', rest) : NULL;
	if (slash == NULL)
		return err_set(e, ERR_DECODE, "topic: expected cf/v1/SERIAL/LEAF, found no LEAF");
	out->serial = serial;
	out->serial_len = (size_t)(slash - serial);
	if (!topic_serial_valid(serial, out->serial_len))
		return err_set(e, ERR_DECODE, "topic: serial of %zu bytes, expected 1 to %d of A-Z a-z 0-9 . _ -",
			       out->serial_len, TOPIC_SERIAL_MAX);
	if (!find_leaf(slash + 1, rest - out->serial_len - 1, &out->leaf))
		return err_set(e, ERR_DECODE,
			       "topic: unknown leaf, expected telemetry, status, reply, command, receipt or config");
	return true;
}

size_t topic_format(char out[TOPIC_MAX], const char *serial, size_t serial_len, enum topic_leaf leaf)
{
	int n = snprintf(out, TOPIC_MAX, "%s%.*s/%s", prefix, (int)serial_len, serial, leaf_names[leaf]);
	return n > 0 ? (size_t)n : 0;
}

const char *topic_leaf_name(enum topic_leaf leaf)
{
	return leaf_names[leaf];
}
