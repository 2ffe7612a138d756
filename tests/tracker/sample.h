/* SPDX-License-Identifier: Apache-2.0
 *
 * What a tracker measures: a sample is one moment with its number; its measures are what the probes said then. */
#ifndef COLDFLEET_TRACKER_SAMPLE_H
#define COLDFLEET_TRACKER_SAMPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum quantity {
	Q_TEMP,
	Q_HUM,
	Q_LUX,
	Q_SHOCK,
	Q_BATT,
	Q_RSRP,
	Q_LAT,
	Q_LON,
	Q_ALT,
	Q_ACC,
	Q_NUMBERS, /* quantities below this one are numbers, from here on booleans */
	Q_DOOR = Q_NUMBERS,
	Q_TAMPER,
	Q_POWER,
	QUANTITIES
};

#define PROBES_MAX   256
#define MEASURES_MAX 500 /* of one sample */

struct measure {
	double value; /* booleans: 0 or 1 */
	uint16_t probe;
	uint16_t quantity; /* enum quantity */
};

/* The way of a sample out of the tracker. */
enum delivery {
	DELIVERY_WAITING, /* not yet in any message */
	DELIVERY_QUEUED,  /* in a message that is to be sent, or has no PUBACK yet */
	DELIVERY_SENT,    /* the broker has acknowledged it; the backend has not */
	DELIVERY_STORED,  /* covered by a receipt; only kept where asked for */
};

struct sample {
	int64_t ts;    /* microseconds since 1970 */
	int64_t acked; /* microseconds of the monotonic clock when DELIVERY_SENT began */
	int32_t seq;
	uint16_t count;
	uint8_t delivery; /* enum delivery */
	uint8_t tries;    /* how often it was sent again */
	struct measure measures[];
};

/* Numbers `first` to `last`, both included. */
struct range {
	int32_t first, last;
};

#endif
