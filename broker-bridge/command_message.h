/* SPDX-License-Identifier: Apache-2.0
 *
 * Commands and replies as bytes (docs/protocol.md): one strict codec, which signer, bridge and tracker share. What
 * command_open() gives back was signed by a trusted key for this tracker, is of this version, and its class and
 * arguments are those of its operation. Whether it is new and in time is for the tracker to judge. */
#ifndef COLDFLEET_BROKER_BRIDGE_COMMAND_MESSAGE_H
#define COLDFLEET_BROKER_BRIDGE_COMMAND_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker-bridge/command_operation.h"
#include "broker-bridge/topic.h"
#include "core/cbor.h"
#include "core/cose.h"
#include "core/err.h"

#define COMMAND_VERSION        1
#define COMMAND_CONTENT_TYPE   "application/coldfleet-command+cbor"
#define COMMAND_REPLY_TYPE     "application/coldfleet-reply+cbor" /* MQTT 5 content type of a reply */
#define COMMAND_ID_BYTES       16
#define COMMAND_ID_TEXT        37 /* a UUID and its NUL */
#define COMMAND_APPROVAL_BYTES 32
#define COMMAND_ISSUER_MAX     64
#define COMMAND_REASON_MAX     200
#define COMMAND_RELEASE_TEXT   65 /* SHA-256 in hexadecimal and its NUL */
#define COMMAND_PAYLOAD_MAX    (COMMAND_ARGUMENTS_MAX + 512)
#define COMMAND_BYTES_MAX      (COMMAND_PAYLOAD_MAX + COSE_OVERHEAD) /* of a signed command */
#define COMMAND_REPLY_MAX      4096
#define COMMAND_GENERATION     4 /* bytes of MQTT 5 correlation data: the generation of a sending, big endian */

struct command_message {
	int64_t version;              /* COMMAND_VERSION */
	uint8_t id[COMMAND_ID_BYTES]; /* not all zero */
	char issuer[COMMAND_ISSUER_MAX + 1];
	char audience[TOPIC_SERIAL_MAX + 1];       /* the serial of the one tracker that it is for */
	int64_t epoch;                             /* of the counter; from 0 */
	int64_t counter;                           /* from 1 */
	int64_t issued_at, not_before, expires_at; /* seconds since 1970 */
	int64_t class;                             /* of the operation */
	const struct command_operation *operation;
	struct cbor_view arguments; /* an encoded map; borrowed */
	struct cbor_view approval;  /* COMMAND_APPROVAL_BYTES from COMMAND_STATE on, else none (len 0); borrowed */
	struct cbor_view payload;   /* not written: all the bytes that command_decode() read; borrowed */
};

/* Writes the payload; refuses (ERR_INVALID) whatever command_decode() would refuse. */
bool command_encode(const struct command_message *m, uint8_t *out, size_t cap, size_t *len, struct err *e);
/* *m then points into `bytes`. ERR_DECODE: not such a map; ERR_INVALID: a value out of its bounds. */
bool command_decode(const void *bytes, size_t len, struct command_message *m, struct err *e);

/* The whole signed command, at most COMMAND_BYTES_MAX. */
bool command_sign(const struct cose_key *key, const struct command_message *m, uint8_t *out, size_t cap, size_t *len,
		  struct err *e);
/* Signature by a key of the ring, for `serial` as external data, then command_decode(), then the audience.
 * ERR_UNAUTHORIZED: whoever sent this may not command the tracker, and nothing in it may be believed. Any other error
 * but ERR_DECODE comes after the signature was found right. *m points into `bytes`. On failure m->id is the command's
 * when the signature was right and an id could be read, else all zero, and nothing else in *m counts. */
bool command_open(const struct cose_keyring *ring, const char *serial, const void *bytes, size_t len,
		  struct command_message *m, struct err *e);

/* SHA-256 over deterministic CBOR of [request_sha256, requester, approver, approved_at]: what key 13 carries.
 * approved_at in seconds since 1970; names are UTF-8. */
bool command_approval(const uint8_t request_sha256[32], const char *requester, const char *approver,
		      int64_t approved_at, uint8_t out[COMMAND_APPROVAL_BYTES], struct err *e);

enum command_status {
	COMMAND_ACCEPTED = 1, /* the counter is kept and the act begins: another reply follows */
	COMMAND_SUCCEEDED,
	COMMAND_FAILED,
	COMMAND_REJECTED, /* not carried out at all */
	COMMAND_STATUSES
};

struct command_reply {
	uint8_t id[COMMAND_ID_BYTES]; /* all zero: about bytes that were no command of ours, so nothing in them counts
				       */
	int64_t counter;              /* 0 with such an id */
	int64_t status;               /* enum command_status */
	char reason[COMMAND_REASON_MAX + 1]; /* "": none */
	struct cbor_view result;             /* an encoded map, or none (len 0); borrowed */
	int64_t device_time;                 /* seconds since 1970; -1: the tracker does not know */
	int64_t boot_count;
	int64_t generation; /* of the sending that it answers, -1: it was not told */
};

bool command_reply_encode(const struct command_reply *r, uint8_t *out, size_t cap, size_t *len, struct err *e);
bool command_reply_decode(const void *bytes, size_t len, struct command_reply *r, struct err *e);

const char *command_status_name(int64_t status); /* "accepted"; "?" */

void command_id_text(const uint8_t id[COMMAND_ID_BYTES], char out[COMMAND_ID_TEXT]);
bool command_id_parse(const char *text, uint8_t id[COMMAND_ID_BYTES]);
void command_generation_put(uint32_t generation, uint8_t out[COMMAND_GENERATION]);
/* -1 when it is not COMMAND_GENERATION bytes. */
int64_t command_generation_get(const void *bytes, size_t len);

#endif
