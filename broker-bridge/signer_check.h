/* SPDX-License-Identifier: Apache-2.0
 *
 * The signer's own judgement of a command, before it signs. The database has checked all of this; the signer does not
 * take its word: it works from the canonical bytes that were approved, and from its own table of operations. A pure
 * function of one row, so that every forgery can be tried in a test. */
#ifndef COLDFLEET_BROKER_BRIDGE_SIGNER_CHECK_H
#define COLDFLEET_BROKER_BRIDGE_SIGNER_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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

/* The devices of the request that was looked at last of those that name them by a hash only. */
struct sign_targets {
	uint8_t claimed[32]; /* the hash in the request's canonical bytes */
	uint8_t actual[32];  /* of `text` */
	const char *text; /* serials in the order of their bytes, a line feed between two; NULL: none yet. Borrowed */
};

/* Can the order be judged with these targets? True also when it names its devices itself, or nothing in it is right. */
bool signer_targets_known(const struct sign_order *order, const struct sign_targets *targets);
/* `text` is what the database says to the order's request. */
void signer_targets_set(struct sign_targets *targets, const struct sign_order *order, const char *text);

/* True when the command may be signed at `now` (seconds since 1970). Otherwise `e` has words for the people who asked:
 * ERR_FORBIDDEN when nobody approved it, or somebody who may not, or something else; ERR_INVALID when the command
 * differs from what was requested, or cannot be one. */
bool signer_check(const struct sign_order *order, const struct sign_targets *targets, const char *issuer, int64_t now,
		  struct sign_draft *draft, struct err *e);

#endif
