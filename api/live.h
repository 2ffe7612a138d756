/* SPDX-License-Identifier: Apache-2.0
 *
 * The route of the live stream: the database admits the reader in a call like any other, then the feed has it. */
#ifndef COLDFLEET_API_LIVE_H
#define COLDFLEET_API_LIVE_H

#include "api/feed.h"
#include "api/router.h"

/* Takes `r`: it is answered now or later. `db` NULL: none is up, which is an answer too. */
void live_run(struct feed *f, struct db *db, struct http_request *r, const struct route_match *m);

#endif
