/* SPDX-License-Identifier: Apache-2.0
 *
 * The live stream of a process: one connection to the database asks, four times a second while somebody listens, for
 * what is new to all readers together, and deals it out. Each heartbeat a reader is proved anew. */
#ifndef COLDFLEET_API_FEED_H
#define COLDFLEET_API_FEED_H

#include "api/reader.h"
#include "core/service.h"

struct feed;

struct feed_options {
	const char *conninfo;
	double heartbeat; /* seconds */
	size_t buffer;    /* bytes that may wait for a reader before it is cut off */
	size_t readers;   /* more than this: 503 */
};

struct feed *feed_new(struct service *s, const struct feed_options *options);
void feed_free(struct feed **f);
/* Ends all streams, and takes no more. */
void feed_stop(struct feed *f);

/* Counts one more reader, that is being opened. ERR_OVERLOADED: there are too many. */
bool feed_admit(struct feed *f, struct err *e);
void feed_turned_away(struct feed *f); /* it will not come */
/* Takes `r`, whose answer has begun: its scope, and the place from which it is to get events. */
void feed_join(struct feed *f, struct reader *r, const char *scope, const struct sse_place *place);
/* Its client has gone. */
void feed_leave(struct feed *f, struct reader *r);

#endif
