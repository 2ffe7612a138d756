/* SPDX-License-Identifier: Apache-2.0
 *
 * Replies on their way: in order, each kept until the broker has given it to somebody, sent again on every new
 * connection, and after a while when the broker says that nobody listens. */
#ifndef COLDFLEET_TRACKER_REPLIES_H
#define COLDFLEET_TRACKER_REPLIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <event2/event.h>

#include "broker-bridge/command_message.h"

struct replies;

struct replies_calls {
	/* False while there is no connection. *mid comes back in replies_published(). */
	bool (*publish)(const uint8_t *bytes, size_t len, int *mid, void *arg);
	/* The broker has the last reply about this command. */
	void (*told)(const uint8_t id[COMMAND_ID_BYTES], void *arg);
	void *publish_arg, *told_arg;
};

struct replies *replies_new(struct event_base *base, struct replies_calls calls);
void replies_free(struct replies **q);

/* Not before `delay` seconds from now. When there is no room the oldest is dropped: what matters of it is in the
 * outcomes. False: no such reply can be written. */
bool replies_put(struct replies *q, const struct command_reply *r, double delay, struct err *e);
void replies_up(struct replies *q);
void replies_down(struct replies *q);
/* True: it was one of these. One that the broker acknowledged with any reason but 0 goes out again. */
bool replies_published(struct replies *q, int mid, int reason);
bool replies_empty(const struct replies *q);

#endif
