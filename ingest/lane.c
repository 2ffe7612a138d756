/* SPDX-License-Identifier: Apache-2.0
 *
 * An intake, and turns that it fills. Acknowledgements leave when all that was taken is committed, and receipts with
 * them. */
#include "ingest/lane.h"

#include <stdio.h>
#include <stdlib.h>

#include "broker-bridge/intake.h"
#include "core/clock.h"
#include "core/log.h"
#include "ingest/metrics.h"
#include "ingest/receipt.h"
#include "ingest/turns.h"

struct lane {
	char name[16];
	struct lane_options options;
	lane_cb *cb;
	void *arg;
	struct intake *intake;
	struct turns *turns;
	size_t window; /* messages that may be taken and not acknowledged */
	size_t held;   /* that are */
};

/* ---- the intake's side ---- */

static bool take(const struct mqtt_message *message, void *arg)
{
	struct lane *lane = arg;
	turns_add(lane->turns, message, clock_now_us());
	lane->held++;
	/* Over TLS more may come after it was enough. */
	if (turns_full(lane->turns) && turns_room(lane->turns))
		turns_close(lane->turns, 0);
	return lane->held >= lane->window || !turns_room(lane->turns);
}

static size_t count(void *arg)
{
	const struct lane *lane = arg;
	return lane->held;
}

/* When the turn is full, reading goes on meanwhile. When it is not, the broker has nothing more: then it is better to
 * acknowledge soon, and receipts leave with the acknowledgements. */
static bool store(bool all, void *arg)
{
	struct lane *lane = arg;
	bool window_full = lane->held >= lane->window;
	if (turns_filled(lane->turns) == 0)
		return all || window_full;
	if (!all && !window_full && !turns_due(lane->turns, lane->options.config->batch_interval))
		return false;
	turns_close(lane->turns, 0);
	return true;
}

static bool busy(void *arg)
{
	const struct lane *lane = arg;
	return turns_busy(lane->turns) > 0;
}

static void clear(bool stored, void *arg)
{
	struct lane *lane = arg;
	if (!stored && lane->held > 0)
		metric_add(lane->options.metrics, M_LANE_DROPS, 1);
	turns_drop(lane->turns);
	lane->held = 0;
}

static void on_intake(enum intake_event event, void *arg)
{
	static const enum lane_event said[] = {
		[INTAKE_ONLINE] = LANE_ONLINE, [INTAKE_OFFLINE] = LANE_OFFLINE, [INTAKE_STOPPED] = LANE_STOPPED};
	struct lane *lane = arg;
	lane->cb(lane, said[event], lane->arg);
}

static const struct intake_calls intake_calls = {
	.take = take,
	.count = count,
	.store = store,
	.busy = busy,
	.clear = clear,
	.event = on_intake,
};

/* ---- the turns' side ---- */

static void open_if_ready(struct lane *lane)
{
	if (turns_up(lane->turns) && turns_busy(lane->turns) == 0 && directory_loaded(lane->options.directory))
		intake_open(lane->intake);
}

static void on_up(bool up, void *arg)
{
	struct lane *lane = arg;
	if (up)
		open_if_ready(lane);
	else
		intake_close(lane->intake);
}

static void on_receipts(const struct batch *batch, const struct receipt *receipts, size_t receipt_count, void *arg)
{
	struct lane *lane = arg;
	struct mqtt *mqtt = intake_mqtt(lane->intake);
	if (mqtt != NULL)
		receipts_send(mqtt, lane->name, batch, receipts, receipt_count, lane->options.metrics);
}

static void on_stored(uint64_t mark, void *arg)
{
	struct lane *lane = arg;
	(void)mark;
	if (turns_busy(lane->turns) == 0 && turns_filled(lane->turns) == 0)
		intake_stored(lane->intake, true);
}

static void on_failed(void *arg)
{
	struct lane *lane = arg;
	intake_stored(lane->intake, false);
	open_if_ready(lane);
}

static void on_ready(void *arg)
{
	struct lane *lane = arg;
	intake_look(lane->intake, turns_room(lane->turns));
	open_if_ready(lane);
}

static const struct turns_calls turns_calls = {
	.up = on_up,
	.receipts = on_receipts,
	.stored = on_stored,
	.failed = on_failed,
	.ready = on_ready,
};

/* ---- the interface ---- */

/* Some full turns, so that one can be read while the one before is committed. */
static size_t receive_maximum(const struct ingest_config *config)
{
	size_t window = 8 * (size_t)config->batch_messages;
	return window < UINT16_MAX ? window : UINT16_MAX;
}

struct lane *lane_new(struct event_base *base, const struct lane_options *options, lane_cb *cb, void *arg,
		      struct err *e)
{
	const struct ingest_config *config = options->config;
	char client_id[CONFIG_TEXT_MAX + 16], telemetry[CONFIG_TEXT_MAX + 64], status[CONFIG_TEXT_MAX + 64];
	struct lane *lane = calloc(1, sizeof(*lane));
	if (lane == NULL)
		abort();
	lane->options = *options;
	lane->cb = cb;
	lane->arg = arg;
	snprintf(lane->name, sizeof(lane->name), "lane-%u", options->number);
	snprintf(client_id, sizeof(client_id), "%s-%u", config->mqtt.client_id, options->number);
	mqtt_config_shared(&config->mqtt, "cf/v1/+/telemetry", telemetry, sizeof(telemetry));
	mqtt_config_shared(&config->mqtt, "cf/v1/+/status", status, sizeof(status));
	lane->window = receive_maximum(config);
	struct turns_options turns = {.name = lane->name,
				      .shards = config->ring[0] != '\0' ? 1 : (size_t)config->connections,
				      .config = config,
				      .directory = options->directory,
				      .metrics = options->metrics};
	lane->turns = turns_new(base, &turns, &turns_calls, lane);
	struct intake_options intake = {.mqtt = mqtt_config_options(&config->mqtt, lane->name, client_id),
					.filters = {telemetry, status},
					.leave = config->leave};
	if (config->ring[0] != '\0') {
		/* Telemetry comes another way; what this session was given of it before is still stored. */
		intake.filters[0] = status;
		intake.filters[1] = NULL;
		intake.unwanted = telemetry;
	}
	intake.mqtt.session_expiry = (uint32_t)config->mqtt.session_expiry;
	intake.mqtt.receive_maximum = (uint16_t)lane->window;
	lane->intake = intake_new(base, &intake, &intake_calls, lane, e);
	if (lane->intake == NULL)
		lane_free(&lane);
	return lane;
}

void lane_free(struct lane **lp)
{
	struct lane *lane = *lp;
	if (lane == NULL)
		return;
	intake_free(&lane->intake);
	turns_free(&lane->turns);
	free(lane);
	*lp = NULL;
}

void lane_start(struct lane *lane)
{
	turns_start(lane->turns);
}

void lane_directory_loaded(struct lane *lane)
{
	open_if_ready(lane);
}

void lane_stop(struct lane *lane)
{
	intake_stop(lane->intake);
}
