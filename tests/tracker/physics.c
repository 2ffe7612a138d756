/* SPDX-License-Identifier: Apache-2.0
 *
 * Closed forms over hashed slots of time: whether the door opens in this half hour, or the compressor fails in these
 * three days, is a hash of the tracker's key and the slot's number. */
#include "tests/tracker/physics.h"

#include <math.h>
#include <string.h>

#define DAY            86400.0
#define DOOR_SLOT      1800.0
#define DOOR_TAU       900.0 /* how fast the warm air of an opening is cooled away */
#define EXCURSION_SLOT (3.0 * DAY)
#define LANE_STAGES    5

enum draw {
	DRAW_KIND = 1,
	DRAW_SETPOINT,
	DRAW_SWING,
	DRAW_CYCLE,
	DRAW_DEFROST,
	DRAW_BATTERY,
	DRAW_PERIOD,
	DRAW_PHASE,
	DRAW_SIGNAL,
	DRAW_FROM,
	DRAW_TO,
	DRAW_DOOR,
	DRAW_DOOR_TIME,
	DRAW_DOOR_SIZE,
	DRAW_EXCURSION,
	DRAW_EXCURSION_TIME,
	DRAW_EXCURSION_SIZE,
	DRAW_NOISE,
	DRAW_RADIO,
	DRAW_GNSS_LAT,
	DRAW_GNSS_LON,
	DRAW_SHOCK
};

static const struct place factories[] = {{50.847, 4.349}, {48.137, 11.575}, {18.520, 73.857}, {55.676, 12.568}};
static const struct place clinics[] = {{-1.286, 36.817},  {6.524, 3.379},  {23.811, 90.412}, {-12.046, -77.043},
				       {14.716, -17.467}, {9.030, 38.740}, {27.717, 85.324}, {-33.925, 18.424}};

/* What each leg of a lane is like: how long a part of the period it takes, and how warm it is around the box. */
static const struct {
	double share, ambient, warming;
	double done; /* part of the distance covered at its end */
} stage_table[STAGES] = {
	[STAGE_FACTORY] = {0.25, 20, 0.0, 0.0}, [STAGE_TRUCK] = {0.08, 24, 0.6, 0.02},
	[STAGE_PLANE] = {0.12, 12, 0.3, 0.97},  [STAGE_VAN] = {0.05, 31, 1.1, 1.0},
	[STAGE_CLINIC] = {0.50, 27, 0.2, 1.0},
};

/* splitmix64's finisher */
static uint64_t scramble(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

/* Uniform in [0, 1). */
static double draw(const struct physics *p, enum draw what, int64_t slot)
{
	uint64_t x = scramble(p->key + (uint64_t)what * 0x9e3779b97f4a7c15u);

	return (double)(scramble(x ^ (uint64_t)slot) >> 11) * 0x1p-53;
}

static double between(const struct physics *p, enum draw what, double least, double most)
{
	return least + (most - least) * draw(p, what, 0);
}

void physics_init(struct physics *p, uint64_t seed, const char *serial)
{
	uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */

	for (const char *c = serial; *c != '\0'; c++)
		hash = (hash ^ (uint8_t)*c) * 0x100000001b3u;
	memset(p, 0, sizeof(*p));
	p->key = scramble(hash ^ scramble(seed + 1));
	p->travels = draw(p, DRAW_KIND, 0) < 0.4;
	p->from = factories[(size_t)(draw(p, DRAW_FROM, 0) * sizeof(factories) / sizeof(factories[0]))];
	p->to = clinics[(size_t)(draw(p, DRAW_TO, 0) * sizeof(clinics) / sizeof(clinics[0]))];
	p->setpoint = between(p, DRAW_SETPOINT, 4.2, 5.4);
	p->swing = between(p, DRAW_SWING, 0.3, 0.9);
	p->cycle = between(p, DRAW_CYCLE, 1500, 3300);
	p->defrost_every = between(p, DRAW_DEFROST, 8, 14) * 3600;
	p->battery_days = between(p, DRAW_BATTERY, 120, 300);
	p->lane_period = between(p, DRAW_PERIOD, 4, 8) * DAY;
	p->phase = between(p, DRAW_PHASE, 0, 1e7);
	p->signal = between(p, DRAW_SIGNAL, -108, -78);
}

/* The stage at `t` and how far into it, 0..1. */
static enum stage stage_at(const struct physics *p, double t, double *part)
{
	double x = fmod(t + p->phase, p->lane_period) / p->lane_period;

	*part = 0;
	if (!p->travels)
		return STAGE_CLINIC;
	for (int s = 0; s < STAGES; s++) {
		*part = x / stage_table[s].share;
		if (*part < 1)
			return (enum stage)s;
		x -= stage_table[s].share;
	}
	return STAGE_CLINIC;
}

enum stage physics_stage(const struct physics *p, double t)
{
	double part;

	return stage_at(p, t, &part);
}

static double ambient(const struct physics *p, double t)
{
	return stage_table[physics_stage(p, t)].ambient + 4 * sin(2 * M_PI * (fmod(t, DAY) / DAY - 0.4));
}

/* Slow cooling, quick warming: a sawtooth with rounded ends. */
static double compressor(const struct physics *p, double t)
{
	double x = fmod(t + p->phase, p->cycle) / p->cycle;

	return p->swing * (x < 0.35 ? -cos(M_PI * x / 0.35) : cos(M_PI * (x - 0.35) / 0.65)) * -1;
}

static double defrost(const struct physics *p, double t)
{
	double since = fmod(t + p->phase / 3, p->defrost_every);

	return since < 1500 ? 1.1 * sin(M_PI * since / 1500) : 0;
}

/* When the door opens in this slot, in seconds since 1970; below 0: it stays shut. It is opened in working hours. */
static double door_opens(const struct physics *p, int64_t slot)
{
	double start = (double)slot * DOOR_SLOT;
	double hour = fmod(start, DAY) / 3600;
	double chance = hour >= 6 && hour < 17 ? 0.35 : 0.02;

	if (draw(p, DRAW_DOOR, slot) >= chance)
		return -1;
	return start + draw(p, DRAW_DOOR_TIME, slot) * (DOOR_SLOT - 300);
}

static double door_warmth(const struct physics *p, double t)
{
	int64_t slot = (int64_t)floor(t / DOOR_SLOT);
	double sum = 0;

	for (int64_t s = slot - 3; s <= slot; s++) {
		double opened = door_opens(p, s);
		if (opened < 0 || opened > t)
			continue;
		double rise = (0.4 + 1.2 * draw(p, DRAW_DOOR_SIZE, s)) * fmin((t - opened) / 60, 1);
		sum += rise * exp(-(t - opened) / DOOR_TAU);
	}
	return sum;
}

static bool door_open(const struct physics *p, double t)
{
	int64_t slot = (int64_t)floor(t / DOOR_SLOT);
	double opened = door_opens(p, slot);

	return opened >= 0 && t >= opened && t < opened + 30 + 210 * draw(p, DRAW_DOOR_SIZE, slot);
}

/* One slot in nine has an event: mostly the cooling fails for 2 to 14 hours, sometimes a thermostat freezes the load.
 * Ramps up over a third of it, holds, and falls. */
static double excursion(const struct physics *p, double t, bool *failed)
{
	int64_t slot = (int64_t)floor(t / EXCURSION_SLOT);
	double chance = draw(p, DRAW_EXCURSION, slot);
	double length = 3600 * (2 + 12 * draw(p, DRAW_EXCURSION_SIZE, slot));
	double start = ((double)slot + 0.1 + 0.5 * draw(p, DRAW_EXCURSION_TIME, slot)) * EXCURSION_SLOT;
	double x = (t - start) / length;

	*failed = false;
	if (chance >= 0.11 || x < 0 || x > 1)
		return 0;
	double shape = fmin(1, fmin(x, 1 - x) * 3);
	*failed = chance < 0.08;
	return shape * (*failed ? 4 + 10 * draw(p, DRAW_EXCURSION_SIZE, slot) : -7);
}

double physics_temperature(const struct physics *p, double t)
{
	bool failed;
	double away = excursion(p, t, &failed);
	double noise = (draw(p, DRAW_NOISE, (int64_t)(t * 10)) - 0.5) * 0.2;
	double body = p->setpoint + stage_table[physics_stage(p, t)].warming + door_warmth(p, t) + noise;

	if (failed)
		return fmin(body + away, ambient(p, t));
	return body + away + compressor(p, t) + defrost(p, t);
}

static struct place position(const struct physics *p, double t)
{
	double part, before, x;
	enum stage s = stage_at(p, t, &part);
	int64_t minute = (int64_t)(t / 60);

	if (!p->travels)
		return p->to;
	before = s > STAGE_FACTORY ? stage_table[s - 1].done : 0;
	x = before + (stage_table[s].done - before) * part;
	return (struct place){
		p->from.lat + (p->to.lat - p->from.lat) * x + (draw(p, DRAW_GNSS_LAT, minute) - 0.5) * 2e-4,
		p->from.lon + (p->to.lon - p->from.lon) * x + (draw(p, DRAW_GNSS_LON, minute) - 0.5) * 2e-4};
}

static double rounded(double value, double step_inverse)
{
	double r = round(value * step_inverse) / step_inverse;

	return r == 0 ? 0 : r; /* no negative zero */
}

static size_t measure_slow(const struct physics *p, double t, struct measure *out)
{
	enum stage stage = physics_stage(p, t);
	struct place at = position(p, t);
	double used = fmod((t + p->phase) / DAY, p->battery_days * 0.8) / p->battery_days;
	double radio = p->signal + 12 * (draw(p, DRAW_RADIO, (int64_t)(t / 60)) - 0.5);
	bool failed;
	size_t n = 0;

	excursion(p, t, &failed);
	out[n++] = (struct measure){.quantity = Q_BATT, .value = rounded(100 * (1 - used), 1)};
	out[n++] = (struct measure){.quantity = Q_HUM, .value = rounded(48 + 10 * sin(t / 7000 + p->phase), 1)};
	if (stage == STAGE_PLANE)
		return n; /* no radio, no position under a metal skin */
	out[n++] = (struct measure){.quantity = Q_RSRP, .value = rounded(radio, 1)};
	out[n++] = (struct measure){.quantity = Q_LAT, .value = rounded(at.lat, 1e5)};
	out[n++] = (struct measure){.quantity = Q_LON, .value = rounded(at.lon, 1e5)};
	out[n++] =
		(struct measure){.quantity = Q_ACC, .value = rounded(4 + 20 * draw(p, DRAW_GNSS_LAT, (int64_t)t), 1)};
	if (stage == STAGE_FACTORY || stage == STAGE_CLINIC)
		out[n++] = (struct measure){.quantity = Q_POWER, .value = !failed};
	return n;
}

size_t physics_measure(const struct physics *p, int64_t ts, bool all, struct measure out[QUANTITIES])
{
	double t = (double)ts / 1e6;
	enum stage stage = physics_stage(p, t);
	bool open = stage != STAGE_PLANE && door_open(p, t);
	size_t n = 0;

	memset(out, 0, QUANTITIES * sizeof(*out));
	out[n++] = (struct measure){.quantity = Q_TEMP, .value = rounded(physics_temperature(p, t), 10)};
	if (all || open)
		out[n++] = (struct measure){.quantity = Q_DOOR, .value = open};
	if (open)
		out[n++] = (struct measure){.quantity = Q_LUX,
					    .value = rounded(120 + 300 * draw(p, DRAW_DOOR_SIZE, (int64_t)t), 1)};
	if (stage == STAGE_TRUCK || stage == STAGE_VAN)
		out[n++] = (struct measure){.quantity = Q_SHOCK,
					    .value = rounded(9 * draw(p, DRAW_SHOCK, (int64_t)t), 10)};
	if (all)
		n += measure_slow(p, t, out + n);
	return n;
}
