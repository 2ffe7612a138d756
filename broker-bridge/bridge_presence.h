/* SPDX-License-Identifier: Apache-2.0
 *
 * The serials of devices that were just heard: a bounded set. Who is not in it may still be there; it only saves
 * waiting.
 */
#ifndef COLDFLEET_BROKER_BRIDGE_BRIDGE_PRESENCE_H
#define COLDFLEET_BROKER_BRIDGE_BRIDGE_PRESENCE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/arena.h"
#include "core/pg_array.h"

struct presence;

struct presence *presence_new(size_t limit); /* serials at most */
void presence_free(struct presence **p);

/* `serial` is valid by topic_serial_valid(). False: the set is full, and the serial is not in it. */
bool presence_add(struct presence *p, const char *serial, size_t len);
void presence_remove(struct presence *p, const char *serial, size_t len);
bool presence_has(const struct presence *p, const char *serial, size_t len);
size_t presence_count(const struct presence *p);
void presence_clear(struct presence *p);
/* Adds all of `from`, as far as there is room, and empties it. */
void presence_move(struct presence *to, struct presence *from);
/* text[] of all serials, in no order; lives as long as the arena. */
struct pg_array presence_array(const struct presence *p, struct arena *arena);

#endif
