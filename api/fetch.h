/* SPDX-License-Identifier: Apache-2.0
 *
 * One document over HTTPS, again and again, without ever holding up the loop: libcurl on libevent. */
#ifndef COLDFLEET_API_FETCH_H
#define COLDFLEET_API_FETCH_H

#include <stdbool.h>
#include <stddef.h>

#include <event2/event.h>

struct fetch;

struct fetch_options {
	const char *url;
	const char *ca; /* PEM; empty: those of the system */
	size_t most;    /* bytes; a longer answer is a failure */
	long timeout;   /* seconds for all of it */
};

/* `bytes` NULL: it failed, `why` says how. */
typedef void fetch_done(const char *bytes, size_t len, const char *why, void *arg);

struct fetch *fetch_new(struct event_base *base, const struct fetch_options *options, fetch_done *done, void *arg);
void fetch_free(struct fetch **f);
void fetch_start(struct fetch *f); /* nothing while one is under way */
bool fetch_busy(const struct fetch *f);

#endif
