/* SPDX-License-Identifier: Apache-2.0
 *
 * Compressed answers (RFC 1952), whole ones and such as are made piece by piece, and compressed requests. */
#ifndef COLDFLEET_API_GZIP_H
#define COLDFLEET_API_GZIP_H

#include <stdbool.h>
#include <stdint.h>

#include <event2/buffer.h>

#include "core/err.h"

struct gzip;

/* Does this Accept-Encoding field (NULL: absent) take gzip? */
bool gzip_accepted(const char *accept_encoding);

/* 270 KiB while it lives. */
struct gzip *gzip_new(void);
void gzip_free(struct gzip **g);
/* Moves `from` into `to`, compressed; what zlib still holds comes with a later call. `last` ends the stream: nothing
 * may be added after it. */
void gzip_add(struct gzip *g, struct evbuffer *from, struct evbuffer *to, bool last);

/* Replaces what is in `body`. */
void gzip_whole(struct evbuffer *body);

/* Replaces what is in `body`, one whole gzip member, by what was compressed. ERR_TOO_LARGE: that is more than `most`
 * bytes, found without making more than a few of them; ERR_REQUEST: it is something else, is cut off or goes on. */
bool gzip_inflate(struct evbuffer *body, uint64_t most, struct err *e);

#endif
