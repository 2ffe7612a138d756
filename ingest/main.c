/* SPDX-License-Identifier: Apache-2.0
 *
 * coldfleet-ingest: telemetry from the broker into PostgreSQL. A service, a directory of devices, and lanes. */
#include <stdlib.h>

#include "broker-bridge/mqtt.h"
#include "core/log.h"
#include "core/service.h"
#include "ingest/config.h"
#include "ingest/directory.h"
#include "ingest/drain.h"
#include "ingest/lane.h"
#include "ingest/metrics.h"
#include "ingest/replay.h"

static const char object[] = "coldfleet-ingest";

struct ingest {
	struct ingest_config config;
	struct service *service;
	struct directory *directory;
	struct replay *replay;
	struct drain *drain; /* NULL: there is no ring */
	struct lane **lanes;
	size_t lane_count;
	size_t online;
	size_t stopped;
	bool drain_stopped;
	size_t part_devices, part_lanes, part_drain;
	struct event *gauges;
};

static void on_directory(enum directory_event event, void *arg)
{
	struct ingest *in = arg;
	if (event != DIRECTORY_LOADED)
		return;
	service_part_up(in->service, in->part_devices, true);
	replay_start(in->replay);
	if (in->drain != NULL)
		drain_directory_loaded(in->drain);
	for (size_t i = 0; i < in->lane_count; i++)
		lane_directory_loaded(in->lanes[i]);
}

static void stopped_if_all_are(struct ingest *in)
{
	if (in->stopped == in->lane_count && (in->drain == NULL || in->drain_stopped))
		service_stopped(in->service);
}

static void on_drain(enum drain_event event, void *arg)
{
	struct ingest *in = arg;
	service_part_up(in->service, in->part_drain, event == DRAIN_ONLINE);
	if (event == DRAIN_STOPPED) {
		in->drain_stopped = true;
		stopped_if_all_are(in);
	}
}

static void on_lane(struct lane *lane, enum lane_event event, void *arg)
{
	struct ingest *in = arg;
	(void)lane;
	switch (event) {
	case LANE_ONLINE:
		in->online++;
		break;
	case LANE_OFFLINE:
		in->online--;
		break;
	case LANE_STOPPED:
		in->stopped++;
		stopped_if_all_are(in);
		break;
	}
	metric_set(service_metrics(in->service), M_LANES_ONLINE, (double)in->online);
	service_part_up(in->service, in->part_lanes, in->online == in->lane_count);
}

static void on_stop(void *arg)
{
	struct ingest *in = arg;
	if (in->drain != NULL)
		drain_stop(in->drain);
	for (size_t i = 0; i < in->lane_count; i++)
		lane_stop(in->lanes[i]);
}

static void on_gauges(evutil_socket_t fd, short what, void *arg)
{
	struct ingest *in = arg;
	const struct devices *devices = directory_devices(in->directory);
	(void)fd, (void)what;
	metric_set(service_metrics(in->service), M_DEVICES, (double)devices_count(devices));
	metric_set(service_metrics(in->service), M_DEVICES_BYTES, (double)devices_bytes(devices));
}

static bool add_drain(struct ingest *in, struct err *e)
{
	const struct drain_options options = {
		.config = &in->config, .directory = in->directory, .metrics = service_metrics(in->service)};
	in->part_drain = service_part(in->service, "the ring (its file, broker or database)");
	in->drain = drain_new(service_base(in->service), &options, on_drain, in, e);
	return in->drain != NULL;
}

/* With a ring one lane is enough: it takes the statuses, and what earlier lanes of its name were given. */
static bool add_lanes(struct ingest *in, struct err *e)
{
	size_t count = in->config.ring[0] != '\0' && !in->config.leave ? 1 : (size_t)in->config.lanes;
	in->lanes = calloc(count, sizeof(struct lane *));
	if (in->lanes == NULL)
		abort();
	for (; in->lane_count < count; in->lane_count++) {
		struct lane_options options = {.number = (unsigned)((size_t)in->config.first_lane + in->lane_count),
					       .config = &in->config,
					       .directory = in->directory,
					       .metrics = service_metrics(in->service)};
		in->lanes[in->lane_count] = lane_new(service_base(in->service), &options, on_lane, in, e);
		if (in->lanes[in->lane_count] == NULL)
			return false;
	}
	return true;
}

static bool ingest_init(struct ingest *in, struct err *e)
{
	struct event_base *base = service_base(in->service);
	static const struct timeval second = {.tv_sec = 1};
	if (!mqtt_config_check(&in->config.mqtt, "ingest", e))
		return false;
	in->part_devices = service_part(in->service, "the device directory");
	in->part_lanes = service_part(in->service, "a lane (broker or database)");
	in->directory = directory_new(base, in->config.database, on_directory, in);
	in->replay = replay_new(base, &in->config, in->directory, service_metrics(in->service));
	in->gauges = event_new(base, -1, EV_PERSIST, on_gauges, in);
	if (in->gauges == NULL)
		abort();
	event_add(in->gauges, &second);
	if (!add_lanes(in, e) || (in->config.ring[0] != '\0' && !in->config.leave && !add_drain(in, e)))
		return false;
	service_on_stop(in->service, on_stop, in);
	directory_start(in->directory);
	if (in->drain != NULL)
		drain_start(in->drain);
	for (size_t i = 0; i < in->lane_count; i++)
		lane_start(in->lanes[i]);
	return true;
}

static void ingest_fini(struct ingest *in)
{
	drain_free(&in->drain);
	for (size_t i = 0; i < in->lane_count; i++)
		lane_free(&in->lanes[i]);
	free(in->lanes);
	if (in->gauges != NULL)
		event_free(in->gauges);
	replay_free(&in->replay);
	directory_free(&in->directory);
	mqtt_config_forget(&in->config.mqtt);
	service_free(&in->service);
}

int main(int argc, char **argv)
{
	static struct ingest in;
	const struct service_spec spec = {
		.name = object,
		.summary = "takes telemetry from the broker into PostgreSQL, acknowledging after the commit",
		.items = ingest_config_items,
		.item_count = ingest_config_item_count,
		.values = &in.config,
		.values_size = sizeof(in.config),
		.metrics = ingest_metric_defs,
		.metric_count = INGEST_METRICS,
	};
	struct err e = {0};
	enum service_start start = service_new(&spec, argc, argv, &in.service);
	if (start != SERVICE_RUN)
		return start == SERVICE_EXIT_OK ? 0 : 2;
	mqtt_library_init();
	int status = 2;
	if (ingest_init(&in, &e))
		status = service_run(in.service);
	else
		log_error(object, "%s", e.detail);
	ingest_fini(&in);
	mqtt_library_cleanup();
	return status;
}
