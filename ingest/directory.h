/* SPDX-License-Identifier: Apache-2.0
 *
 * Keeps the device table of this process in step with fleet.device: loads it at start, then pulls what changed since
 * the last pull whenever NOTIFY says that something did, once a minute in any case, and when asked. One connection of
 * its own; it also has the database do its upkeep (partitions ahead, retention) once an hour. */
#ifndef COLDFLEET_INGEST_DIRECTORY_H
#define COLDFLEET_INGEST_DIRECTORY_H

#include <stdbool.h>

#include <event2/event.h>

#include "ingest/devices.h"

struct directory;

enum directory_event { DIRECTORY_LOADED, DIRECTORY_LOST };
typedef void directory_cb(enum directory_event event, void *arg);

struct directory *directory_new(struct event_base *base, const char *conninfo, directory_cb *cb, void *arg);
void directory_free(struct directory **d);
void directory_start(struct directory *d);

/* Complete at least once, and so good to serve from even while the connection is down. */
bool directory_loaded(const struct directory *d);
const struct devices *directory_devices(const struct directory *d);

/* Calls `done` after a pull that began after this call: a device registered before it is then known. `ok` is false
 * when the connection is down or breaks. At most 64 may wait. */
typedef void directory_done_cb(bool ok, void *arg);
void directory_refresh(struct directory *d, directory_done_cb *done, void *arg);

#endif
