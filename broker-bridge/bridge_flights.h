/* SPDX-License-Identifier: Apache-2.0
 *
 * Commands that were handed to the broker and are not yet acknowledged, found again by MQTT packet id. Bounded: that is
 * the window. */
#ifndef COLDFLEET_BROKER_BRIDGE_BRIDGE_FLIGHTS_H
#define COLDFLEET_BROKER_BRIDGE_BRIDGE_FLIGHTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker-bridge/topic.h"

struct flights;

struct flight {
	uint8_t command_id[16];
	int32_t generation;
	uint8_t serial_len;
	char serial[TOPIC_SERIAL_MAX];
	int64_t sent_at; /* microseconds, by any clock of the caller's */
};

struct flights *flights_new(size_t window); /* 1..65535 */
void flights_free(struct flights **f);

size_t flights_count(const struct flights *f);
/* False: the window is full, or `mid` (1..65535) is in flight already. */
bool flights_add(struct flights *f, int mid, const struct flight *flight);
/* Takes it out; false when there is none of that packet id. */
bool flights_take(struct flights *f, int mid, struct flight *out);
void flights_clear(struct flights *f);

#endif
