/* SPDX-License-Identifier: Apache-2.0
 *
 * Work in the database that somebody has to ask for: a table of statements, each run every so often, and again at once
 * while it says that there is more. Several processes may do the same: the statements deal it out among them. */
#ifndef COLDFLEET_BROKER_BRIDGE_NOTIFY_JOBS_H
#define COLDFLEET_BROKER_BRIDGE_NOTIFY_JOBS_H

#include <stdbool.h>

#include <event2/event.h>

#include "broker-bridge/notify_config.h"
#include "core/metrics.h"

struct jobs;

enum jobs_event { JOBS_ONLINE, JOBS_OFFLINE };
typedef void jobs_cb(enum jobs_event event, void *arg);

/* Excursions are found within a second, whatever else there is to do: that has a connection of its own, as has the rest
 * of the jobs, for what is long here must not hold up what is to be told either. */
enum jobs_set { JOBS_EXCURSIONS, JOBS_REST, JOBS_SETS };

struct jobs *jobs_new(struct event_base *base, enum jobs_set set, const struct notify_config *config,
		      struct metrics *metrics, jobs_cb *cb, void *arg);
void jobs_free(struct jobs **j);

void jobs_start(struct jobs *j);
/* Nothing new is begun; what the database is at it finishes or undoes by itself. */
void jobs_stop(struct jobs *j);

#endif
