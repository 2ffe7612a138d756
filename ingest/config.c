/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of the [ingest] section. */
#include "ingest/config.h"

#define TEXT(name, fallback, help)                                                                                     \
	{                                                                                                              \
		"ingest." #name, CONFIG_TEXT, offsetof(struct ingest_config, name), fallback, 0, 0, false, false, help \
	}
#define NUMBER(name, type, fallback, min, max, reload, help)                                                           \
	{                                                                                                              \
		"ingest." #name, type, offsetof(struct ingest_config, name), fallback, min, max, reload, false, help   \
	}

const struct config_item ingest_config_items[] = {
	SERVICE_CONFIG_ITEMS("ingest", "127.0.0.1:9641"),
	TEXT(database, "postgresql:///coldfleet?user=coldfleet_ingest", "PostgreSQL, as a libpq URI or keywords"),
	TEXT(ring, "",
	     "file of the ring that the broker's plugin fills with telemetry (coldfleet-ring create); empty: telemetry "
	     "comes by the lanes' shared subscription"),
	NUMBER(lanes, CONFIG_INT, "1", 1, 64, false,
	       "connections to the broker that share the telemetry; with a ring there is one, for statuses"),
	NUMBER(connections, CONFIG_INT, "2", 1, 16, false,
	       "connections to the database of each lane, or of the ring. One stores all while it keeps up; then each "
	       "has "
	       "devices of its own"),
	NUMBER(first_lane, CONFIG_INT, "1", 1, 65535, false, "number of the first lane; part of its client id"),
	{"ingest.leave", CONFIG_BOOL, offsetof(struct ingest_config, leave), "no", 0, 0, false, false,
	 "yes: take the lanes out of service for good. Leave the shared subscription, store what still waits in their "
	 "sessions, end the sessions, exit"},
	NUMBER(batch_messages, CONFIG_INT, "4000", 1, 65535, false,
	       "messages after which a connection stores its batch; MQTT Receive Maximum of a lane is eight times as "
	       "much"),
	NUMBER(batch_readings, CONFIG_INT, "20000", 1, 1000000, true,
	       "readings after which a connection stores its batch"),
	NUMBER(batch_interval, CONFIG_SECONDS, "40ms", 0, 1, true,
	       "from one batch to the next one with less than a quarter of batch_readings: a few large ones cost less "
	       "than many small ones"),
	MQTT_CONFIG_ITEMS("ingest", struct ingest_config, mqtt, "@ingest", "coldfleet-ingest",
			  "client id; each lane appends -NUMBER. Two processes need two of them",
			  "all ingest processes"),
	NUMBER(max_pack_bytes, CONFIG_BYTES, "64KiB", 64, 1 << 24, true, "largest telemetry message that is decoded"),
	NUMBER(max_pack_samples, CONFIG_INT, "2048", 1, 65536, true, "most samples in one message"),
	NUMBER(max_status_bytes, CONFIG_BYTES, "4KiB", 64, 65536, true, "largest status that is decoded"),
	NUMBER(max_age, CONFIG_SECONDS, "400d", 60, 400 * 86400.0, true,
	       "readings older than this go to quarantine (reason clock)"),
	NUMBER(max_ahead, CONFIG_SECONDS, "10m", 1, 86400, true,
	       "readings further in the future than this go to quarantine (reason clock)"),
};
const size_t ingest_config_item_count = sizeof(ingest_config_items) / sizeof(ingest_config_items[0]);

struct pack_limits ingest_pack_limits(const struct ingest_config *c)
{
	return (struct pack_limits){.max_bytes = (size_t)c->max_pack_bytes,
				    .max_samples = (size_t)c->max_pack_samples,
				    .past_seconds = c->max_age,
				    .future_seconds = c->max_ahead,
				    .max_status_bytes = (size_t)c->max_status_bytes};
}
