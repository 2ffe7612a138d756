/* SPDX-License-Identifier: Apache-2.0
 *
 * The audit chain as bytes: how an entry is hashed onto the one before, and checkpoints, signed statements that the
 * chain had a certain hash at a certain number. The signer makes them, verifiers read them, and both from this file. */
#ifndef COLDFLEET_CORE_AUDIT_H
#define COLDFLEET_CORE_AUDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/cose.h"
#include "core/err.h"

#define AUDIT_HASH_BYTES     32
#define AUDIT_CHECKPOINT_MAX 256 /* bytes of a signed checkpoint, at most */
#define AUDIT_LINE_MAX       640 /* of one as a line of text, its newline and the terminating zero included */

/* SHA-256 of a zero byte, the hash before and the canonical bytes. The first entry comes after 32 zeros. Aborts when
 * memory runs out. */
void audit_link(const uint8_t previous[AUDIT_HASH_BYTES], const void *canonical, size_t len,
		uint8_t hash[AUDIT_HASH_BYTES]);

/* Where a chain stands: number and hash of its last entry. All zero: before its first entry. */
struct audit_place {
	uint64_t number;
	bool any; /* its hash is not known: any entry of the next number follows */
	uint8_t hash[AUDIT_HASH_BYTES];
};

struct audit_entry {
	uint64_t number;
	const uint8_t *previous, *hash; /* of AUDIT_HASH_BYTES */
	const char *canonical;
	size_t canonical_len;
};

/* Goes on to the next entry. False, and the place stays as it was, when the entry is not the next one, says another
 * number in its own bytes, has another hash than its bytes, or follows another entry: `e` (ERR_CONFLICT) says which and
 * where. */
bool audit_step(struct audit_place *place, const struct audit_entry *x, struct err *e);

struct audit_checkpoint {
	uint64_t number;                /* of the last entry, from 1 */
	uint8_t hash[AUDIT_HASH_BYTES]; /* of that entry */
	int64_t at;                     /* when it was signed, seconds since 1970 */
};

/* COSE_Sign1 over the map {1: number, 2: hash, 3: at}. ERR_INTERNAL when the key cannot sign. */
bool audit_checkpoint_sign(const struct cose_key *key, const struct audit_checkpoint *c,
			   uint8_t message[AUDIT_CHECKPOINT_MAX], size_t *len, struct err *e);
/* ERR_DECODE: no checkpoint at all; ERR_UNAUTHORIZED: not signed, as a checkpoint, by a key of the ring. */
bool audit_checkpoint_open(const struct cose_keyring *ring, const void *message, size_t len, struct audit_checkpoint *c,
			   uint8_t kid[COSE_KID_BYTES], struct err *e);

/* A line of a file of checkpoints: a JSON object whose member `checkpoint` is the message in base64; number, hash, time
 * and key beside it are for people. ERR_TOO_LARGE when the message is longer than one can be. */
bool audit_checkpoint_line(const struct audit_checkpoint *c, const uint8_t kid[COSE_KID_BYTES], const void *message,
			   size_t len, char line[AUDIT_LINE_MAX], struct err *e);
/* The message in a line that audit_checkpoint_line() wrote, or an export: the last member, `checkpoint`, counts alone.
 * ERR_DECODE when it is no such line. */
bool audit_checkpoint_message(const char *line, size_t line_len, uint8_t message[AUDIT_CHECKPOINT_MAX], size_t *len,
			      struct err *e);

#endif
