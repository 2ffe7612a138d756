/* SPDX-License-Identifier: Apache-2.0
 *
 * A long answer out of the database: chunk by chunk, each in a transaction of its own that starts after the key where
 * the one before ended. Between chunks the client holds no connection and no snapshot, so one that reads slowly, or
 * not at all, costs memory for one chunk and nothing else. */
#ifndef COLDFLEET_API_STREAM_H
#define COLDFLEET_API_STREAM_H

#include "api/http.h"
#include "api/router.h"

struct stream_source {
	struct db *(*pick)(void *arg); /* the connection for the next chunk, NULL: none can take it */
	void *arg;
	size_t active; /* streams that there are now; only stream.c changes it */
	size_t max;    /* more than this: 503 */
};

/* Takes `r`: it is answered now or later. `source` must outlive it. */
void stream_run(struct stream_source *source, struct http_request *r, const struct route_match *m,
		const struct route_stream *as);

/* The form that the request asks for: by its parameter `format`, else by Accept; NULL: the route's own statement. */
const struct route_stream *stream_wanted_by(const struct http_request *r, const struct route_match *m);

#endif
