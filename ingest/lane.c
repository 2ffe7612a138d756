/* SPDX-License-Identifier: Apache-2.0
 *
 * An intake and a store, and the directory of devices between them: a batch with serials that nobody knew waits for the
 * directory first. After the commit the receipts leave with the acknowledgements. */
#include "ingest/lane.h"

#include <stdio.h>
#include <stdlib.h>

#include "broker-bridge/intake.h"
#include "core/clock.h"
#include "core/log.h"
#include "ingest/metrics.h"
#include "ingest/receipt.h"
#include "ingest/store.h"

struct lane {
	char name[16];
	char store_name[24];
	struct lane_options options;
	lane_cb *cb;
	void *arg;
	struct intake *intake;
	struct store *store;
	struct batch batch;
	int64_t batch_closed_at;        /* when the last message of the batch had come */
	const struct receipt *receipts; /* of the batch just stored, while it is being acknowledged */
	size_t receipt_count;
	bool store_up;
};

/* ---- the batch ---- */

static bool take(const struct mqtt_message *message, void *arg)
{
	struct lane *lane = arg;
	const struct ingest_config *config = lane->options.config;
	struct pack_limits limits = ingest_pack_limits(config);
	batch_add(&lane->batch, message, clock_now_us(), directory_devices(lane->options.directory), &limits);
	return lane->batch.count >= (size_t)config->batch_messages ||
	       lane->batch.readings >= (size_t)config->batch_readings;
}

static size_t count(void *arg)
{
	const struct lane *lane = arg;
	return lane->batch.count;
}

static void clear(bool stored, void *arg)
{
	struct lane *lane = arg;
	if (!stored && lane->batch.count > 0)
		metric_add(lane->options.metrics, M_LANE_DROPS, 1);
	batch_reset(&lane->batch);
}

/* ---- storing ---- */

static void on_stored(bool ok, const struct receipt *receipts, size_t receipt_count, void *arg)
{
	struct lane *lane = arg;
	if (!intake_storing(lane->intake))
		return; /* let go meanwhile */
	if (ok) {
		metric_add(lane->options.metrics, M_BATCHES, 1);
		metric_observe(lane->options.metrics, M_COMMIT_SECONDS,
			       (double)(clock_now_us() - lane->batch_closed_at) / 1e6);
	}
	lane->receipts = receipts;
	lane->receipt_count = receipt_count;
	intake_stored(lane->intake, ok);
	lane->receipt_count = 0;
}

static void on_resolved(bool ok, void *arg)
{
	struct lane *lane = arg;
	/* A batch that was let go, or another one by now that knows all its devices: this answer is not for it. */
	if (!intake_storing(lane->intake) || lane->batch.unresolved == 0)
		return;
	if (!ok) {
		intake_stored(lane->intake, false);
		return;
	}
	batch_resolve(&lane->batch, directory_devices(lane->options.directory));
	store_batch(lane->store, &lane->batch, on_stored, lane);
}

static void store(void *arg)
{
	struct lane *lane = arg;
	lane->batch_closed_at = clock_now_us();
	if (lane->batch.unresolved == 0)
		store_batch(lane->store, &lane->batch, on_stored, lane);
	else
		directory_refresh(lane->options.directory, on_resolved, lane);
}

/* ---- receipts ---- */

static void acknowledge(struct mqtt *mqtt, void *arg)
{
	struct lane *lane = arg;
	receipts_send(mqtt, lane->name, &lane->batch, lane->receipts, lane->receipt_count, lane->options.metrics);
}

/* ---- events ---- */

static void on_intake(enum intake_event event, void *arg)
{
	static const enum lane_event said[] = {
		[INTAKE_ONLINE] = LANE_ONLINE, [INTAKE_OFFLINE] = LANE_OFFLINE, [INTAKE_STOPPED] = LANE_STOPPED};
	struct lane *lane = arg;
	lane->cb(lane, said[event], lane->arg);
}

static void open_if_ready(struct lane *lane)
{
	if (lane->store_up && directory_loaded(lane->options.directory))
		intake_open(lane->intake);
}

static void on_store(enum store_event event, void *arg)
{
	struct lane *lane = arg;
	lane->store_up = event == STORE_UP;
	if (lane->store_up)
		open_if_ready(lane);
	else
		intake_close(lane->intake);
}

/* ---- the interface ---- */

static const struct intake_calls calls = {
	.take = take,
	.count = count,
	.store = store,
	.acknowledge = acknowledge,
	.clear = clear,
	.event = on_intake,
};

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
	snprintf(lane->store_name, sizeof(lane->store_name), "lane-%u-db", options->number);
	snprintf(client_id, sizeof(client_id), "%s-%u", config->mqtt.client_id, options->number);
	mqtt_config_shared(&config->mqtt, "cf/v1/+/telemetry", telemetry, sizeof(telemetry));
	mqtt_config_shared(&config->mqtt, "cf/v1/+/status", status, sizeof(status));
	batch_init(&lane->batch);
	lane->store = store_new(base, lane->store_name, config->database, options->metrics, on_store, lane);
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
	intake.mqtt.receive_maximum = (uint16_t)config->batch_messages;
	lane->intake = intake_new(base, &intake, &calls, lane, e);
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
	store_free(&lane->store);
	batch_fini(&lane->batch);
	free(lane);
	*lp = NULL;
}

void lane_start(struct lane *lane)
{
	store_start(lane->store);
}

void lane_directory_loaded(struct lane *lane)
{
	open_if_ready(lane);
}

void lane_stop(struct lane *lane)
{
	intake_stop(lane->intake);
}
