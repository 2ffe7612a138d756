/* SPDX-License-Identifier: Apache-2.0
 *
 * Does what REST leaves to the background: rows of imports, counts of the fleet. One piece is one statement and one
 * transaction, so a killed process leaves nothing half done and any other goes on. */
#ifndef COLDFLEET_API_WORKER_H
#define COLDFLEET_API_WORKER_H

#include <event2/event.h>

struct worker;

/* Starts at once, on a connection of its own. `conninfo` is copied. */
struct worker *worker_new(struct event_base *base, const char *conninfo);
void worker_free(struct worker **w);

#endif
