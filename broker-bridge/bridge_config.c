/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of the [bridge] section. */
#include "broker-bridge/bridge_config.h"

#define NUMBER(name, type, fallback, min, max, reload, help)                                                           \
	{                                                                                                              \
		"bridge." #name, type, offsetof(struct bridge_config, name), fallback, min, max, reload, false, help   \
	}

const struct config_item bridge_config_items[] = {
	SERVICE_CONFIG_ITEMS("bridge", "127.0.0.1:9643"),
	{"bridge.database", CONFIG_TEXT, offsetof(struct bridge_config, database),
	 "postgresql:///coldfleet?user=coldfleet_bridge", 0, 0, false, false, "PostgreSQL, as a libpq URI or keywords"},
	NUMBER(lanes, CONFIG_INT, "1", 1, 16, false,
	       "connections to the broker that take replies, each with its own to the database"),
	{"bridge.leave", CONFIG_BOOL, offsetof(struct bridge_config, leave), "no", 0, 0, false, false,
	 "yes: take the bridge out of service for good. Send nothing, leave the shared subscription, store what still "
	 "waits in the sessions of its lanes, end the sessions, exit"},
	NUMBER(batch_replies, CONFIG_INT, "500", 1, 65535, false,
	       "MQTT Receive Maximum: unacknowledged replies a lane takes, and so the largest batch"),
	NUMBER(window, CONFIG_INT, "1000", 1, 10000, false,
	       "commands that may be on their way to the broker at once: taken from the database, not yet "
	       "acknowledged"),
	NUMBER(claim, CONFIG_INT, "250", 1, 10000, true, "most commands taken from the database at once"),
	NUMBER(look_every, CONFIG_SECONDS, "5s", 0.1, 3600, true,
	       "while a command is under way: how often to look whether a device was heard without saying hello"),
	NUMBER(presence, CONFIG_INT, "65536", 64, 1 << 24, false,
	       "most devices remembered as just heard while commands wait"),
	MQTT_CONFIG_ITEMS("bridge", struct bridge_config, mqtt, "@bridge", "coldfleet-bridge",
			  "client id; connections append -down and -NUMBER. Two processes need two of them",
			  "all bridges"),
};
const size_t bridge_config_item_count = sizeof(bridge_config_items) / sizeof(bridge_config_items[0]);
