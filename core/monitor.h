/* SPDX-License-Identifier: Apache-2.0
 *
 * The window on a daemon for its operators: /metrics (Prometheus text), /healthz (the loop turns) and /readyz (every
 * part is up, else 503 and why), on a loopback port or a Unix socket. */
#ifndef COLDFLEET_CORE_MONITOR_H
#define COLDFLEET_CORE_MONITOR_H

#include <event2/event.h>

#include "core/err.h"

struct monitor;
struct service;

/* `where` is "127.0.0.1:PORT", "[::1]:PORT" or "unix:/PATH" (a stale socket there is replaced); other addresses are
 * refused, since nothing here asks who is looking. */
struct monitor *monitor_new(struct service *s, const char *where, struct err *e);
void monitor_free(struct monitor **m);

#endif
