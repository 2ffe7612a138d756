/* SPDX-License-Identifier: Apache-2.0
 *
 * What coldfleet-bridge can be told: the [bridge] section of the configuration. */
#ifndef COLDFLEET_BROKER_BRIDGE_BRIDGE_CONFIG_H
#define COLDFLEET_BROKER_BRIDGE_BRIDGE_CONFIG_H

#include "broker-bridge/mqtt_config.h"
#include "core/config.h"
#include "core/service.h"

struct bridge_config {
	struct service_config service; /* first: core/service.h */
	char database[CONFIG_TEXT_MAX];
	int64_t lanes;
	bool leave;
	int64_t batch_replies;
	int64_t window;
	int64_t claim;
	double look_every;
	int64_t presence;
	struct mqtt_config mqtt;
};

extern const struct config_item bridge_config_items[];
extern const size_t bridge_config_item_count;

#endif
