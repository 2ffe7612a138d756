/* SPDX-License-Identifier: Apache-2.0
 *
 * What coldfleet-ingest can be told: the [ingest] section of the configuration. */
#ifndef COLDFLEET_INGEST_CONFIG_H
#define COLDFLEET_INGEST_CONFIG_H

#include "broker-bridge/mqtt_config.h"
#include "core/config.h"
#include "core/service.h"
#include "ingest/pack.h"

struct ingest_config {
	struct service_config service; /* first: core/service.h */
	char database[CONFIG_TEXT_MAX];
	char ring[CONFIG_TEXT_MAX];
	int64_t lanes;
	int64_t connections;
	int64_t first_lane;
	bool leave;
	int64_t batch_messages;
	int64_t batch_readings;
	double batch_interval;
	struct mqtt_config mqtt;
	int64_t max_pack_bytes;
	int64_t max_pack_samples;
	int64_t max_status_bytes;
	double max_age;
	double max_ahead;
};

extern const struct config_item ingest_config_items[];
extern const size_t ingest_config_item_count;

struct pack_limits ingest_pack_limits(const struct ingest_config *c);

#endif
