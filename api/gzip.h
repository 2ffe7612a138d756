/* SPDX-License-Identifier: Apache-2.0
 *
 * Compressed answers (RFC 1952): whole ones, and such as are made piece by piece. */
#ifndef COLDFLEET_API_GZIP_H
#define COLDFLEET_API_GZIP_H

#include <stdbool.h>

#include <event2/buffer.h>

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

#endif
