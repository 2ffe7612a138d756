/* SPDX-License-Identifier: Apache-2.0
 *
 * coldfleet-bridge: signed commands from PostgreSQL to the trackers, their replies back. A service, the way down, and
 * lanes for the way up. */
#include <stdlib.h>

#include "broker-bridge/bridge_config.h"
#include "broker-bridge/bridge_down.h"
#include "broker-bridge/bridge_metrics.h"
#include "broker-bridge/bridge_up.h"
#include "core/log.h"
#include "core/service.h"

static const char object[] = "coldfleet-bridge";

struct bridge {
	struct bridge_config config;
	struct service *service;
	struct bridge_down *down;
	struct bridge_up **lanes;
	size_t lane_count;
	size_t online;
	size_t running; /* the way down and the lanes that have not stopped */
	size_t part_down, part_lanes;
};

static void one_stopped(struct bridge *b)
{
	if (--b->running == 0)
		service_stopped(b->service);
}

static void on_down(enum bridge_down_event event, void *arg)
{
	struct bridge *b = arg;
	if (event == BRIDGE_DOWN_STOPPED)
		one_stopped(b);
	else
		service_part_up(b->service, b->part_down, event == BRIDGE_DOWN_ONLINE);
}

static void on_up(enum bridge_up_event event, void *arg)
{
	struct bridge *b = arg;
	switch (event) {
	case BRIDGE_UP_ONLINE:
		b->online++;
		break;
	case BRIDGE_UP_OFFLINE:
		b->online--;
		break;
	case BRIDGE_UP_STOPPED:
		one_stopped(b);
		break;
	}
	metric_set(service_metrics(b->service), M_LANES_ONLINE, (double)b->online);
	service_part_up(b->service, b->part_lanes, b->online == b->lane_count);
}

static void on_stop(void *arg)
{
	struct bridge *b = arg;
	for (size_t i = 0; i < b->lane_count; i++)
		bridge_up_stop(b->lanes[i]);
	bridge_down_stop(b->down);
}

static bool bridge_init(struct bridge *b, struct err *e)
{
	struct event_base *base = service_base(b->service);
	struct metrics *metrics = service_metrics(b->service);
	size_t lanes = (size_t)b->config.lanes;
	if (!mqtt_config_check(&b->config.mqtt, "bridge", e))
		return false;
	b->part_down = service_part(b->service, "the way down (broker or database)");
	b->part_lanes = service_part(b->service, "a lane for replies (broker or database)");
	b->lanes = calloc(lanes, sizeof(struct bridge_up *));
	if (b->lanes == NULL)
		abort();
	b->down = bridge_down_new(base, &b->config, metrics, on_down, b, e);
	if (b->down == NULL)
		return false;
	for (; b->lane_count < lanes; b->lane_count++) {
		struct bridge_up **lane = &b->lanes[b->lane_count];
		*lane = bridge_up_new(base, (unsigned)b->lane_count + 1, &b->config, metrics, on_up, b, e);
		if (*lane == NULL)
			return false;
	}
	b->running = lanes + 1;
	service_on_stop(b->service, on_stop, b);
	for (size_t i = 0; i < lanes; i++)
		bridge_up_start(b->lanes[i]);
	bridge_down_start(b->down);
	return true;
}

static void bridge_fini(struct bridge *b)
{
	for (size_t i = 0; i < b->lane_count; i++)
		bridge_up_free(&b->lanes[i]);
	free(b->lanes);
	bridge_down_free(&b->down);
	mqtt_config_forget(&b->config.mqtt);
	service_free(&b->service);
}

int main(int argc, char **argv)
{
	static struct bridge b;
	const struct service_spec spec = {
		.name = object,
		.summary = "carries signed commands from PostgreSQL to the trackers and records what they reply",
		.items = bridge_config_items,
		.item_count = bridge_config_item_count,
		.values = &b.config,
		.values_size = sizeof(b.config),
		.metrics = bridge_metric_defs,
		.metric_count = BRIDGE_METRICS,
	};
	struct err e = {0};
	enum service_start start = service_new(&spec, argc, argv, &b.service);
	if (start != SERVICE_RUN)
		return start == SERVICE_EXIT_OK ? 0 : 2;
	mqtt_library_init();
	int status = 2;
	if (bridge_init(&b, &e))
		status = service_run(b.service);
	else
		log_error(object, "%s", e.detail);
	bridge_fini(&b);
	mqtt_library_cleanup();
	return status;
}
