/* SPDX-License-Identifier: Apache-2.0
 *
 * The file behind a flash. Two header slots, written in turn, carry what must never be forgotten: epoch, next number,
 * oldest number. Samples follow, appended one by one, each with a CRC; a rewrite into a new file drops the stored
 * ones. Written before a sample is sent, so a killed process forgets nothing; power loss of the machine that plays
 * the tracker is not guarded against. */
#ifndef COLDFLEET_TRACKER_JOURNAL_H
#define COLDFLEET_TRACKER_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "tests/tracker/sample.h"

#define JOURNAL_HEADERS_SIZE 128

struct journal;

struct journal_state {
	int32_t epoch; /* EPOCH_UNKNOWN when not yet known */
	int32_t first; /* oldest number not stored */
	int32_t next;
	int64_t last_ts;
};

/* Called for each sample read back, in the order of appending. */
typedef void journal_sample_cb(const struct sample *s, void *arg);

/* Opens or makes the file. *known says whether a valid header was found; else *state is untouched and the file starts
 * anew. Samples are handed over up to the first one that is damaged. NULL: the file cannot be opened or written. */
struct journal *journal_open(const char *path, struct journal_state *state, bool *known, journal_sample_cb *cb,
			     void *arg, struct err *e);
void journal_close(struct journal **j);

bool journal_append(struct journal *j, const struct sample *s, struct err *e);
bool journal_write_state(struct journal *j, const struct journal_state *state, struct err *e);

/* True when most of the file is dead weight, given the bytes of the samples that still matter. */
bool journal_worn(const struct journal *j, size_t live_samples);
/* Starts a new file beside the old one; journal_append the live samples, then journal_replace_end puts it in place. */
bool journal_replace_begin(struct journal *j, struct err *e);
bool journal_replace_end(struct journal *j, const struct journal_state *state, struct err *e);

uint32_t journal_crc(const void *bytes, size_t len); /* CRC-32/ISO-HDLC, as in zlib */

#endif
