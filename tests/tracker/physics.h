/* SPDX-License-Identifier: Apache-2.0
 *
 * What a tracker would measure: a vaccine fridge with compressor cycle, defrost and door openings, or a shipment on
 * its lane from factory to clinic, and now and then an excursion. A pure function of seed, serial and time: the same
 * question always gets the same answer, so a restarted simulation contradicts nothing that it said before. */
#ifndef COLDFLEET_TRACKER_PHYSICS_H
#define COLDFLEET_TRACKER_PHYSICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/tracker/sample.h"

enum stage { STAGE_FACTORY, STAGE_TRUCK, STAGE_PLANE, STAGE_VAN, STAGE_CLINIC, STAGES };

struct place {
	double lat, lon;
};

/* The constants of one tracker, drawn once from seed and serial. */
struct physics {
	uint64_t key;
	bool travels;
	struct place from, to;
	double setpoint, swing;      /* degC */
	double cycle, defrost_every; /* seconds */
	double battery_days;         /* from 100 % to empty */
	double lane_period, phase;   /* seconds */
	double signal;               /* dBm */
};

void physics_init(struct physics *p, uint64_t seed, const char *serial);

/* `ts` in microseconds since 1970. With `all` the slow quantities (battery, signal, humidity, position, power) are
 * measured too; without, only temperature, and an open door or light where there is one. Returns the number written. */
size_t physics_measure(const struct physics *p, int64_t ts, bool all, struct measure out[QUANTITIES]);

enum stage physics_stage(const struct physics *p, double t); /* seconds since 1970 */
double physics_temperature(const struct physics *p, double t);

#endif
