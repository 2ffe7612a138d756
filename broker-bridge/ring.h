/* SPDX-License-Identifier: Apache-2.0
 *
 * A queue of messages from one process to another through a file that both map: the broker's plugin writes, ingest
 * reads. One writer and one reader at a time, which locks on the file see to. Nothing is sent, and no system call is
 * made unless the reader sleeps.
 *
 * A message is there once the writer has moved `head` past it, and gone once the reader has moved `tail` past it, which
 * it does after the commit. Either side may be killed at any instruction: what was not yet handed over is as if it had
 * never been, what was not yet released comes again. The file belongs on a memory file system: it outlives processes,
 * not the machine, and the trackers keep what they have no receipt for.
 *
 * The reader trusts nothing that it maps. It copies a record out before it looks at it, and what does not check is
 * given to the caller as raw bytes, not dropped. */
#ifndef COLDFLEET_BROKER_BRIDGE_RING_H
#define COLDFLEET_BROKER_BRIDGE_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/err.h"

#define RING_BYTES_MIN   (UINT64_C(1) << 16)
#define RING_BYTES_MAX   (UINT64_C(1) << 36)
#define RING_PAYLOAD_MAX (UINT32_C(1) << 24)
#define RING_CONTENT_MAX 127 /* longest content type */
#define RING_TOPIC_MAX   1024

struct ring;

enum ring_side { RING_WRITER, RING_READER, RING_ONLOOKER /* ring_state() only */ };

struct ring_message {
	int64_t received_us; /* microseconds since 1970 */
	const char *topic;   /* terminated when read */
	size_t topic_len;
	const char *content_type; /* NULL: none */
	size_t content_type_len;
	bool asks_receipt; /* the publish carried a response topic */
	const void *payload;
	size_t payload_len;
};

/* Makes the file: `bytes` of room for messages, a power of two from RING_BYTES_MIN on, mode `mode`; its pages are
 * reserved, so that the writer never meets a full disk. Beside it PATH.wake is made, a FIFO. Existing files are never
 * touched: ERR_CONFLICT. */
bool ring_create(const char *path, uint64_t bytes, unsigned mode, struct err *e);

/* Opens one side. ERR_CONFIG: no ring, one of another version, or a damaged header; ERR_CONFLICT: the side is taken
 * by another process; of onlookers there may be any number. */
struct ring *ring_open(const char *path, enum ring_side side, struct err *e);
void ring_close(struct ring **ring);
/* The other side in the same process, on the same addresses, without a lock of its own; `ring`, a writer, outlives it.
 * For a detector of races, which knows memory by its address. */
struct ring *ring_other_side(const struct ring *ring);

/* ---- the writer ---- */

enum ring_put { RING_PUT, RING_FULL, RING_TOO_LARGE };
/* RING_FULL is counted as a refusal. RING_TOO_LARGE: a part is longer than the bounds above, or half the ring. */
enum ring_put ring_put(struct ring *ring, const struct ring_message *message);
/* Writer: counts a message that was not tried. */
void ring_refuse(struct ring *ring);

/* ---- the reader ---- */

enum ring_get {
	RING_GOT,
	RING_EMPTY,
	RING_DAMAGED, /* *message has payload and payload_len: bytes that are no record; what follows them is read next
		       */
	RING_BROKEN,  /* head lies outside of what can be: nothing more can be read from this file */
};
/* The next message behind the last one got, copied into the arena. */
enum ring_get ring_get(struct ring *ring, struct arena *arena, struct ring_message *message);

/* Where reading stands: behind the last message got. */
uint64_t ring_position(const struct ring *ring);
/* Everything before `position` is stored: its room may be used again. */
void ring_release(struct ring *ring, uint64_t position);
/* Reads again from the last position released: what was got since then comes again. */
void ring_rewind(struct ring *ring);

/* Readable when the writer has put something after the reader went to sleep. */
int ring_wake_fd(const struct ring *ring);
/* The reader is about to wait for ring_wake_fd(). False: there is something to get already, so do not wait. Also takes
 * what the descriptor holds. */
bool ring_sleep(struct ring *ring);

/* ---- anybody ---- */

struct ring_state {
	uint64_t bytes;   /* room for messages */
	uint64_t used;    /* of it, not yet released */
	uint64_t written; /* messages ever put */
	uint64_t refused; /* messages that found it full */
	uint64_t highest; /* most bytes ever used */
};
void ring_state(const struct ring *ring, struct ring_state *state);

#endif
