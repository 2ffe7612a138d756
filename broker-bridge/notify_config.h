/* SPDX-License-Identifier: Apache-2.0
 *
 * What coldfleet-notify can be told: the [notify] section of the configuration. */
#ifndef COLDFLEET_BROKER_BRIDGE_NOTIFY_CONFIG_H
#define COLDFLEET_BROKER_BRIDGE_NOTIFY_CONFIG_H

#include "broker-bridge/mqtt_config.h"
#include "core/config.h"
#include "core/networks.h"
#include "core/service.h"

struct notify_config {
	struct service_config service; /* first: core/service.h */
	char database[CONFIG_TEXT_MAX];
	char source[CONFIG_TEXT_MAX];
	bool mqtt_on;
	int64_t window;
	int64_t window_each;
	double timeout; /* seconds */
	char allow[CONFIG_TEXT_MAX];
	bool allow_http;
	char ca[CONFIG_TEXT_MAX];
	double look_every; /* seconds */
	double evaluate_every;
	double rollup_every;
	double silence_every;
	double push_every;
	double keep; /* seconds */
	struct mqtt_config mqtt;
	struct networks allowed; /* no row of its own: notify_config_check() parses it */
};

extern const struct config_item notify_config_items[];
extern const size_t notify_config_item_count;

bool notify_config_check(struct notify_config *c, struct err *e);

/* How long what was taken from the database stays taken: longer than any attempt. */
double notify_lease(const struct notify_config *c);

#endif
