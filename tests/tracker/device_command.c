/* SPDX-License-Identifier: Apache-2.0
 *
 * What the controller does to a device: its status, its silence, and the acts of commands. */
#include <string.h>

#include "core/log.h"
#include "tests/tracker/device_internal.h"
#include "tests/tracker/status.h"

bool device_speaks(const struct device *d)
{
	return d->o.mcu == NULL || mcu_speaks(d->o.mcu);
}

bool device_knows_time(const struct device *d)
{
	return d->o.faults == NULL || !d->o.faults->no_clock;
}

void device_tell_status(struct device *d)
{
	char text[STATUS_BYTES];
	struct err e;
	const struct report r = {.serial = d->serial,
				 .mcu = d->o.mcu != NULL ? mcu_state(d->o.mcu) : NULL,
				 .uptime = (double)(device_clock_us(CLOCK_MONOTONIC) - d->started) / 1e6,
				 .clock = device_knows_time(d) ? device_clock_us(CLOCK_REALTIME) : -1};
	struct mqtt_publish p = {.topic = d->status,
				 .payload = text,
				 .qos = 1,
				 .content_type = "application/json",
				 .response_topic = d->receipt};

	if (r.mcu == NULL || !device_up(d))
		return; /* the next connection tells it */
	p.payload_len = status_write(&r, text);
	d->status_uptime = r.uptime;
	if (mqtt_publish(d->mqtt, &p, NULL, &e))
		d->counts.statuses++;
	else
		log_debug(d->serial, "status: %s", e.detail);
	evtimer_del(d->status_timer);
	device_arm(d->status_timer, d->status_wait);
}

void device_status_stored(struct device *d, const struct receipt *r)
{
	if (d->o.mcu != NULL && r->uptime >= d->status_uptime && r->boot == (int32_t)mcu_state(d->o.mcu)->boot_count)
		evtimer_del(d->status_timer);
}

static bool publish_reply(const uint8_t *bytes, size_t len, int *mid, void *arg)
{
	struct device *d = arg;
	struct err e;
	struct mqtt_publish p = {
		.topic = d->reply, .payload = bytes, .payload_len = len, .qos = 1, .content_type = COMMAND_REPLY_TYPE};

	return device_up(d) && mqtt_publish(d->mqtt, &p, mid, &e);
}

static bool tell_place(double *latitude, double *longitude, void *arg)
{
	struct device *d = arg;

	return d->o.locate != NULL && d->o.locate(latitude, longitude, d->arg);
}

static bool report_now(void *arg)
{
	struct device *d = arg;

	if (d->o.measure == NULL || !d->o.measure(d->arg))
		return false;
	device_flush(d);
	return true;
}

static bool resend_range(int64_t epoch, int64_t first, int64_t last, size_t *sent, void *arg)
{
	struct device *d = arg;
	struct range samples = {flash_first(d->flash), flash_next(d->flash) - 1};

	*sent = 0;
	if (epoch >= 0 && epoch != flash_epoch(d->flash))
		return false;
	if (first > samples.first)
		samples.first = first < samples.last ? (int32_t)first : samples.last + 1;
	if (last < samples.last)
		samples.last = last < samples.first ? samples.first - 1 : (int32_t)last;
	for (int32_t seq = samples.first; seq <= samples.last; seq++)
		*sent += flash_get(d->flash, seq) != NULL;
	if (*sent > 0)
		device_send(d, samples, JOB_RESEND);
	return true;
}

/* What was held back goes out when the tracker speaks again. */
static void controller_changed(void *arg)
{
	struct device *d = arg;

	device_tell_status(d);
	if (!device_speaks(d) || d->commander == NULL)
		return;
	device_flush(d);
	device_pump(d);
	if (d->state == DEV_SENDING && flash_used(d->flash) > 0)
		device_ask_later(d);
}

static void restart(void *arg)
{
	struct device *d = arg;

	d->started = device_clock_us(CLOCK_MONOTONIC);
	if (device_up(d))
		mqtt_drop(d->mqtt, "the controller starts anew");
}

const struct command_hooks device_hooks = {.publish = publish_reply,
					   .locate = tell_place,
					   .report = report_now,
					   .resend = resend_range,
					   .changed = controller_changed,
					   .reboot = restart};
