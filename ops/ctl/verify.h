/* SPDX-License-Identifier: Apache-2.0
 *
 * Verifies an audit trail line by line, trusting nobody: not the database it came from, not the API that wrote it, not
 * the order of its lines. What it needs is a public key, and for the end of the trail a copy of the checkpoints that
 * was kept elsewhere. Memory does not grow with the trail. */
#ifndef COLDFLEET_CTL_VERIFY_H
#define COLDFLEET_CTL_VERIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "core/audit.h"

#define VERIFY_TIME_MAX 28 /* "2026-11-22T11:01:55.928586Z" and a terminating zero */

struct verify;

/* What was found when all is well. */
struct verify_result {
	uint64_t first, last;                            /* numbers of the entries seen; 0: none */
	char from[VERIFY_TIME_MAX], to[VERIFY_TIME_MAX]; /* their times, as they say */
	uint64_t checkpoints;                            /* whose signature and hash were right */
	uint64_t signed_through;                         /* number of the highest of them; 0: none */
	int64_t signed_at;                               /* its time, seconds since 1970 */
	uint64_t torn;    /* lines of the file of checkpoints that are none, as a power failure leaves */
	bool start_known; /* the trail begins with entry 1, or a checkpoint proves the entry before its first */
};

/* `after`: the trail begins after the entry with this number; 0: with the first. `ring`: whose checkpoints count,
 * borrowed; empty: checkpoints are passed over. `checkpoints`: lines by rising number, borrowed and read as far as they
 * are needed, or NULL. */
struct verify *verify_new(uint64_t after, const struct cose_keyring *ring, FILE *checkpoints);
void verify_free(struct verify **v);

/* The next line of the trail, with or without its newline. False with ERR_CONFLICT and what is wrong with which entry:
 * the trail was altered; nothing more may be asked then. */
bool verify_line(struct verify *v, const char *line, size_t len, struct err *e);
/* Behind the last line: checks that no checkpoint speaks of entries that are not there. */
bool verify_end(struct verify *v, struct verify_result *result, struct err *e);

#endif
