/* SPDX-License-Identifier: Apache-2.0
 *
 * What a tracker can be told to do: one row an operation, with its class (who has to agree) and its arguments. Signer
 * and tracker go by this table and believe nobody else's. */
#ifndef COLDFLEET_BROKER_BRIDGE_COMMAND_OPERATION_H
#define COLDFLEET_BROKER_BRIDGE_COMMAND_OPERATION_H

#include <jansson.h>

#include "core/cbor.h"
#include "core/err.h"

#define COMMAND_ARGUMENTS_MAX 8192 /* bytes of the encoded map */

enum command_class {
	COMMAND_READ = 1,
	COMMAND_CONFIG = 2,
	COMMAND_STATE = 3, /* disable, enable: from here on somebody else than who asks has to approve */
	COMMAND_FIRMWARE = 4,
	COMMAND_KEYS = 5,
};

struct command_operation {
	const char *name;
	enum command_class class;
	const struct command_argument *arguments; /* up to a row without a name */
};

/* The operation of that name, or NULL. */
const struct command_operation *command_operation(struct cbor_view name);
/* All of them, in no order that matters. */
const struct command_operation *command_operations(size_t *count);

/* True when `arguments` is one map with what the operation needs and nothing else. ERR_INVALID names the argument and
 * what was expected of it. The bytes must have come through cbor_open(). */
bool command_check_arguments(const struct command_operation *operation, struct cbor_view arguments, struct err *e);

/* The map for a JSON object, checked. `out` takes at most `cap` bytes, *len is its length. */
bool command_arguments_from_json(const struct command_operation *operation, const json_t *arguments, uint8_t *out,
				 size_t cap, size_t *len, struct err *e);

/* One argument of a command that was checked. False, or `otherwise`: it is not there. */
bool command_argument(struct cbor_view arguments, const char *name, struct cbor_reader *value);
int64_t command_argument_int(struct cbor_view arguments, const char *name, int64_t otherwise);
bool command_argument_text(struct cbor_view arguments, const char *name, struct cbor_view *text);

#endif
