/* SPDX-License-Identifier: Apache-2.0
 *
 * Which serial is which device: a hash table for a million devices, 16 bytes a slot plus the serial's own bytes. It
 * only grows, as devices are never deleted. */
#ifndef COLDFLEET_INGEST_DEVICES_H
#define COLDFLEET_INGEST_DEVICES_H

#include <stddef.h>
#include <stdint.h>

struct devices;

struct devices *devices_new(void);
void devices_free(struct devices **d);

/* Adds the device, or gives a known serial its new id. `len` 1..255, `id` above 0. */
void devices_put(struct devices *d, const char *serial, size_t len, int32_t id);
/* The id, or 0 for a serial that is not known. */
int32_t devices_find(const struct devices *d, const char *serial, size_t len);

size_t devices_count(const struct devices *d);
size_t devices_bytes(const struct devices *d); /* memory held, in all */

#endif
