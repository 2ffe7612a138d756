/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of the [ingest] section. */
#include "ingest/config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

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
	NUMBER(lanes, CONFIG_INT, "2", 1, 64, false, "connections to the broker, each with its own to the database"),
	NUMBER(first_lane, CONFIG_INT, "1", 1, 65535, false, "number of the first lane; part of its client id"),
	{"ingest.leave", CONFIG_BOOL, offsetof(struct ingest_config, leave), "no", 0, 0, false, false,
	 "yes: take the lanes out of service for good. Leave the shared subscription, store what still waits in their "
	 "sessions, end the sessions, exit"},
	NUMBER(batch_messages, CONFIG_INT, "1000", 1, 65535, false,
	       "MQTT Receive Maximum: unacknowledged messages a lane takes, and so the largest batch"),
	NUMBER(batch_readings, CONFIG_INT, "20000", 1, 1000000, true, "readings after which a lane stores its batch"),
	TEXT(mqtt_host, "/run/mosquitto/coldfleet.sock", "broker: the path of a Unix socket, or a name or address"),
	NUMBER(mqtt_port, CONFIG_INT, "0", 0, 65535, false, "broker's port; 0 for a Unix socket"),
	TEXT(mqtt_username, "@ingest", "user name at the broker; empty: none"),
	TEXT(mqtt_password_file, "", "file whose first line is the password at the broker"),
	TEXT(mqtt_ca, "", "PEM file of the authority that signed the broker's certificate; empty: no TLS"),
	TEXT(mqtt_cert, "", "PEM file of the client certificate"),
	TEXT(mqtt_key, "", "PEM file of the client certificate's key"),
	TEXT(client_id, "coldfleet-ingest", "client id; each lane appends -NUMBER. Two processes need two of them"),
	{"ingest.share_group", CONFIG_TEXT, offsetof(struct ingest_config, share_group), "", 0, 0, false, true,
	 "name of the shared subscription, required: something random, the same for all ingest processes. Whoever "
	 "knows it can "
	 "take messages away (openssl rand -hex 16)"},
	NUMBER(session_expiry, CONFIG_SECONDS, "7d", 60, 4294967294.0, false,
	       "how long the broker keeps the messages of a lane that is gone"),
	NUMBER(keepalive, CONFIG_SECONDS, "30s", 5, 3600, false, "MQTT keep alive"),
	NUMBER(max_pack_bytes, CONFIG_BYTES, "64KiB", 64, 1 << 24, true, "largest telemetry message that is decoded"),
	NUMBER(max_pack_samples, CONFIG_INT, "2048", 1, 65536, true, "most samples in one message"),
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
				    .future_seconds = c->max_ahead};
}

bool ingest_config_check(const struct ingest_config *c, struct err *e)
{
	if (c->share_group[0] == '\0' || strpbrk(c->share_group, "/+#") != NULL)
		return err_set(e, ERR_CONFIG,
			       "ingest.share_group: expected a random name without / + and #, for example from openssl "
			       "rand -hex 16; "
			       "whoever knows it can take messages away");
	return true;
}

bool ingest_password(const struct ingest_config *c, char *out, size_t size, struct err *e)
{
	out[0] = '\0';
	if (c->mqtt_password_file[0] == '\0')
		return true;
	FILE *f = fopen(c->mqtt_password_file, "re");
	if (f == NULL)
		return err_set(e, ERR_CONFIG, "ingest.mqtt_password_file: %.120s: %s", c->mqtt_password_file,
			       strerror(errno));
	bool ok = fgets(out, (int)size, f) != NULL;
	fclose(f);
	out[strcspn(out, "\r\n")] = '\0';
	if (!ok || out[0] == '\0')
		return err_set(e, ERR_CONFIG, "ingest.mqtt_password_file: %.120s: the first line is empty",
			       c->mqtt_password_file);
	return true;
}
