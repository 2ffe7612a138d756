/* SPDX-License-Identifier: Apache-2.0
 *
 * The signer's own judgement of a command, before it signs. The database has checked all of this; the signer does not
 * take its word: it works from the canonical bytes that were approved, and from its own table of operations. The
 * verdict depends on one row alone, so that every forgery can be tried in a test. */
#ifndef COLDFLEET_BROKER_BRIDGE_SIGNER_CHECK_H
#define COLDFLEET_BROKER_BRIDGE_SIGNER_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "broker-bridge/command_message.h"
#include "core/err.h"

#define SIGN_CLOCK_SLACK 600 /* seconds that the clocks of database and signer may differ by */

/* One row of command.take_to_sign(). Texts are terminated; all is borrowed; times are seconds since 1970. */
struct sign_order {
	uint8_t id[COMMAND_ID_BYTES];
	int32_t generation;
	const char *serial;
	int64_t epoch;
	int64_t counter;
	int32_t class;
	const char *operation;
	const char *arguments; /* JSON */
	int64_t issued_at;
	int64_t not_before;
	int64_t expires_at;
	const char *requested_by;
	struct cbor_view canonical;
	struct cbor_view request_sha256;
	const char *approver;             /* NULL: nobody approved */
	struct cbor_view approved_sha256; /* none (len 0): nobody approved */
	int64_t approved_at;
};

/* What signer_check() makes of an order: the message, ready to be signed, and the bytes that it points to. */
struct sign_draft {
	struct command_message message;
	uint8_t arguments[COMMAND_ARGUMENTS_MAX];
	uint8_t approval[COMMAND_APPROVAL_BYTES];
};

/* What was read last, so that thousands of commands of one request need it once: canonical bytes, known again by their
 * own hash, and of the requests that name their devices by a hash only the devices. Starts as zeros. */
struct sign_request {
	bool read;
	uint8_t sha256[32]; /* of the canonical bytes that were read */
	json_t *canonical;  /* what stands in them; NULL: no JSON */
	bool by_hash;       /* it names its devices by `claimed` */
	uint8_t claimed[32];
	uint8_t listed[32]; /* `claimed` of the request that `text` belongs to */
	uint8_t actual[32]; /* the hash of `text` */
	const char *text;   /* serials in the order of their bytes, a line feed between two; NULL: none yet. Borrowed */
	size_t text_len;
};

/* Can the order be judged with this? True also when it names its devices itself, or nothing in it is right. */
bool signer_targets_known(const struct sign_order *order, struct sign_request *request);
/* `text` is what the database says to the order's request. */
void signer_targets_set(struct sign_request *request, const struct sign_order *order, const char *text);
void signer_request_fini(struct sign_request *request);

/* True when the command may be signed at `now` (seconds since 1970). Otherwise `e` has words for the people who asked:
 * ERR_FORBIDDEN when nobody approved it, or somebody who may not, or something else; ERR_INVALID when the command
 * differs from what was requested, or cannot be one. */
bool signer_check(const struct sign_order *order, struct sign_request *request, const char *issuer, int64_t now,
		  struct sign_draft *draft, struct err *e);

#endif
