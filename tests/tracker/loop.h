/* SPDX-License-Identifier: Apache-2.0
 *
 * The event loop of one command: ends on SIGINT or SIGTERM, at a deadline, or when the command says so; calls back
 * every few seconds for a line of progress. */
#ifndef COLDFLEET_TRACKER_LOOP_H
#define COLDFLEET_TRACKER_LOOP_H

#include <stdbool.h>

#include <event2/event.h>

struct loop;

enum loop_end { LOOP_DONE, LOOP_DEADLINE, LOOP_SIGNAL };

struct loop *loop_new(void (*progress)(void *arg), void *arg);
void loop_free(struct loop **l);
struct event_base *loop_base(const struct loop *l);
/* `seconds` 0: no deadline. May be called again. */
enum loop_end loop_run(struct loop *l, double seconds);
void loop_done(struct loop *l);

double loop_seconds(void);
/* Processor time that this process has used. */
double loop_cpu_seconds(void); /* of the monotonic clock */

#endif
