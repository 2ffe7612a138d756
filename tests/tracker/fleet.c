/* SPDX-License-Identifier: Apache-2.0
 *
 * A member is a device with its physics and a timer, which first starts the device and then takes its samples. */
#include "tests/tracker/fleet.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "core/log.h"
#include "tests/tracker/diary.h"
#include "tests/tracker/epoch.h"
#include "tests/tracker/physics.h"

#define SLOW_EVERY 6 /* samples between two measurements of battery, position and the like */
#define FILES_EACH 3 /* socket, libmosquitto's socket pair; with --flash and --diary one more each */
#define FILES_BASE 64
#define PATH_BYTES 4096

struct member {
	struct fleet *fleet;
	struct device *device;
	struct mcu *mcu;
	struct diary *diary;
	struct physics physics;
	struct script_part script;
	struct event *timer;
	bool started, finished;
	int64_t phase; /* microseconds into the interval */
	int64_t next;  /* moment of the next sample, microseconds since 1970 */
	int64_t measured;
};

struct fleet {
	struct fleet_options o;
	int64_t began; /* microseconds since 1970 */
	struct member *members;
	size_t count, finished;
	size_t stored; /* members that are finished and done */
	void (*changed)(void *arg);
	void *arg;
};

static int64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* How much the time of samples is behind: at first the backfill, when that is to be lived through. */
static int64_t behind_us(const struct fleet *f)
{
	double behind = f->o.backfill * 1e6 - (double)(now_us() - f->began) * (f->o.speed - 1);

	return f->o.speed > 1 && behind > 0 ? (int64_t)behind : 0;
}

static int64_t interval_us(const struct fleet *f)
{
	return (int64_t)(f->o.interval * 1e6);
}

static void measure(struct member *m, int64_t ts)
{
	struct measure measures[QUANTITIES];
	bool all = ts / interval_us(m->fleet) % SLOW_EVERY == 0;
	size_t n = physics_measure(&m->physics, ts, all, measures);

	if (m->fleet->o.script != NULL)
		measures[0] = (struct measure){.quantity = Q_TEMP, .value = script_temperature(m->script, ts)};
	diary_write(m->diary, device_flash(m->device), ts, measures, n);
	flash_append(device_flash(m->device), ts, measures, n);
}

/* The first moment of the tracker's grid that is later than `after`. */
static int64_t next_moment(const struct member *m, int64_t after)
{
	int64_t interval = interval_us(m->fleet);

	return ((after - m->phase) / interval + 1) * interval + m->phase;
}

static void arm(struct member *m)
{
	int64_t behind = behind_us(m->fleet), wait = m->next - (now_us() - behind);
	struct timeval tv = {.tv_sec = 0};

	if (behind > 0)
		wait = (int64_t)((double)wait / m->fleet->o.speed);
	if (wait > 0)
		tv = (struct timeval){.tv_sec = (time_t)(wait / 1000000), .tv_usec = (suseconds_t)(wait % 1000000)};
	evtimer_add(m->timer, &tv);
}

static void finish(struct member *m)
{
	if (m->finished)
		return;
	m->finished = true;
	m->fleet->finished++;
	if (m->started)
		evtimer_del(m->timer);
	device_flush(m->device);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct member *m = arg;

	(void)fd;
	(void)what;
	if (!m->started) {
		m->started = true;
		device_start(m->device);
		if (m->finished)
			return;
		m->next = next_moment(m, m->fleet->o.speed > 1 ? m->fleet->began - (int64_t)(m->fleet->o.backfill * 1e6)
							       : now_us());
		arm(m);
		return;
	}
	if (mcu_measures(m->mcu)) {
		measure(m, m->next);
		m->measured++;
	}
	m->next += interval_us(m->fleet);
	device_measured(m->device);
	if (m->fleet->o.count > 0 && m->measured >= m->fleet->o.count)
		finish(m);
	else
		arm(m);
}

static void on_device(struct device *d, enum device_event event, void *arg)
{
	struct member *m = arg;

	(void)event;
	if (flash_fault(device_flash(d)) != NULL)
		log_error(device_serial(d), "flash: %s", flash_fault(device_flash(d)));
	if (m->finished && device_done(d) && m->fleet->finished == m->fleet->count)
		m->fleet->changed(m->fleet->arg);
}

/* What a tracker that was on all the time would have: from the start of the backfill, or from its last sample on. */
static void backfill(struct member *m)
{
	const struct fleet *f = m->fleet;
	int64_t now = now_us(), after = now - (int64_t)(f->o.backfill * 1e6);
	int64_t last = flash_last_ts(device_flash(m->device));
	int64_t running = mcu_state(m->mcu)->running_since * 1000000;

	if (last > after)
		after = last;
	if (running > after)
		after = running;
	for (int64_t ts = next_moment(m, after);
	     f->o.backfill > 0 && f->o.speed <= 1 && mcu_measures(m->mcu) && ts <= now; ts += interval_us(f))
		measure(m, ts);
	device_flush(m->device);
}

static bool begin_epoch(const struct fleet *f, struct flash *flash, const struct mcu *mcu, struct err *e)
{
	int64_t starts = mcu_state(mcu)->boot_count;

	if (f->o.epoch == EPOCH_UNKNOWN || flash_epoch(flash) != EPOCH_UNKNOWN)
		return true;
	if (f->o.epoch != EPOCH_OF_STARTS)
		flash_set_epoch(flash, f->o.epoch);
	else if (starts <= EPOCH_RUN_MAX)
		flash_set_epoch(flash, (int32_t)starts);
	else
		return err_set(e, ERR_INVALID, "--epoch: %" PRId64 " starts, expected at most %d", starts,
			       EPOCH_RUN_MAX);
	return true;
}

static struct flash *open_flash(const struct fleet *f, const char *serial, struct err *e)
{
	char path[PATH_BYTES];

	if (f->o.flash == NULL)
		return flash_new(f->o.capacity, false);
	mkdir(f->o.flash, 0755);
	if (snprintf(path, sizeof(path), "%s/%s.flash", f->o.flash, serial) < (int)sizeof(path))
		return flash_open(path, f->o.capacity, e);
	err_set(e, ERR_INVALID, "--flash: the folder's name is too long");
	return NULL;
}

static struct mcu *open_mcu(const struct fleet *f, const char *serial, struct err *e)
{
	char base[PATH_BYTES];

	if (f->o.flash == NULL)
		return mcu_open(NULL, f->o.trust, e);
	if (snprintf(base, sizeof(base), "%s/%s", f->o.flash, serial) < (int)sizeof(base))
		return mcu_open(base, f->o.trust, e);
	err_set(e, ERR_INVALID, "--flash: the folder's name is too long");
	return NULL;
}

static bool locate(double *latitude, double *longitude, void *arg)
{
	const struct member *m = arg;
	struct measure measures[QUANTITIES];
	size_t n = physics_measure(&m->physics, now_us(), true, measures), found = 0;

	for (size_t i = 0; i < n; i++) {
		if (measures[i].quantity != Q_LAT && measures[i].quantity != Q_LON)
			continue;
		*(measures[i].quantity == Q_LAT ? latitude : longitude) = measures[i].value;
		found++;
	}
	return found == 2;
}

/* Between two samples of its grid. */
static bool measure_now(void *arg)
{
	struct member *m = arg;

	if (!mcu_measures(m->mcu))
		return false;
	measure(m, now_us() - behind_us(m->fleet));
	return true;
}

static bool add(struct fleet *f, struct event_base *base, const char *serial, struct err *e)
{
	struct member *m = &f->members[f->count];
	struct device_options o = f->o.device;
	struct flash *flash = open_flash(f, serial, e);

	if (flash == NULL)
		return false;
	o.serial = serial;
	m->fleet = f;
	m->mcu = open_mcu(f, serial, e);
	if (m->mcu == NULL || !begin_epoch(f, flash, m->mcu, e)) {
		mcu_free(&m->mcu);
		flash_free(&flash);
		return false;
	}
	o.mcu = m->mcu;
	o.locate = locate;
	o.measure = measure_now;
	m->device = device_new(base, &o, flash, on_device, m, e);
	if (m->device == NULL) {
		mcu_free(&m->mcu);
		return false;
	}
	if (f->o.diary != NULL && (m->diary = diary_open(f->o.diary, serial, e)) == NULL) {
		device_free(&m->device);
		mcu_free(&m->mcu);
		return false;
	}
	m->timer = evtimer_new(base, on_timer, m);
	if (m->timer == NULL)
		abort();
	f->count++;
	physics_init(&m->physics, f->o.seed, serial);
	if (f->o.script != NULL)
		m->script = script_of(f->o.script, serial);
	m->phase = (int64_t)(fmod(m->physics.phase, 1e4) * 1e6) % interval_us(f);
	backfill(m);
	return true;
}

struct fleet *fleet_new(struct event_base *base, const struct fleet_options *options, const struct serials *serials,
			void (*changed)(void *arg), void *arg, struct err *e)
{
	struct fleet *f = calloc(1, sizeof(*f));

	if (f == NULL || (f->members = calloc(serials->count, sizeof(*f->members))) == NULL)
		abort();
	f->o = *options;
	f->began = now_us();
	f->changed = changed;
	f->arg = arg;
	size_t files = FILES_EACH + (options->flash != NULL ? 1u : 0u) + (options->diary != NULL ? 1u : 0u);
	bool ok = link_files(serials->count * files + FILES_BASE, e);
	for (size_t i = 0; ok && i < serials->count; i++)
		ok = add(f, base, serials->names[i], e);
	if (!ok)
		fleet_free(&f);
	return f;
}

void fleet_free(struct fleet **f)
{
	if (*f == NULL)
		return;
	for (size_t i = 0; i < (*f)->count; i++) {
		device_free(&(*f)->members[i].device);
		event_free((*f)->members[i].timer);
		mcu_free(&(*f)->members[i].mcu);
		diary_close(&(*f)->members[i].diary);
	}
	free((*f)->members);
	free(*f);
	*f = NULL;
}

/* Evenly, each with a jitter of up to one step. */
void fleet_start(struct fleet *f)
{
	double step = f->o.start_over / (double)f->count;

	for (size_t i = 0; i < f->count; i++) {
		struct member *m = &f->members[i];
		double at = ((double)i + fmod(m->physics.phase, 1)) * step;
		struct timeval tv = {.tv_sec = (time_t)at, .tv_usec = (suseconds_t)((at - (double)(time_t)at) * 1e6)};
		evtimer_add(m->timer, &tv);
	}
}

void fleet_finish(struct fleet *f)
{
	for (size_t i = 0; i < f->count; i++)
		finish(&f->members[i]);
}

bool fleet_done(const struct fleet *f)
{
	for (size_t i = 0; i < f->count; i++)
		if (!f->members[i].finished || !device_done(f->members[i].device))
			return false;
	return true;
}

static void add_commands(struct command_counts *sum, struct command_counts c)
{
	sum->received += c.received;
	sum->accepted += c.accepted;
	sum->succeeded += c.succeeded;
	sum->failed += c.failed;
	sum->rejected += c.rejected;
	sum->foreign += c.foreign;
	sum->repeated += c.repeated;
}

struct fleet_counts fleet_counts(const struct fleet *f)
{
	struct fleet_counts sum = {.trackers = f->count};

	for (size_t i = 0; i < f->count; i++) {
		const struct member *m = &f->members[i];
		const struct device_counts *c = device_counts(m->device);
		const struct flash *flash = device_flash(m->device);
		sum.up += device_up(m->device);
		sum.waiting += flash_used(flash);
		sum.disabled += mcu_state(m->mcu)->disabled;
		add_commands(&sum.commands, device_commands(m->device));
		sum.overwritten += flash_overwritten(flash);
		sum.devices.packs += c->packs;
		sum.devices.resent += c->resent;
		sum.devices.acked += c->acked;
		sum.devices.refused += c->refused;
		sum.devices.receipts += c->receipts;
		sum.devices.bad_receipts += c->bad_receipts;
		sum.devices.asked += c->asked;
		sum.devices.lost += c->lost;
		sum.devices.stored += c->stored;
		sum.devices.connects += c->connects;
		sum.devices.statuses += c->statuses;
	}
	sum.measured = sum.devices.stored + sum.waiting + sum.overwritten;
	return sum;
}
