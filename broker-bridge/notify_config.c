/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of the [notify] section. */
#include "broker-bridge/notify_config.h"

#define ROW(name, type, fallback, min, max, reload, help)                                                              \
	{                                                                                                              \
		"notify." #name, type, offsetof(struct notify_config, name), fallback, min, max, reload, false, help   \
	}
#define MQTT(name, member, type, fallback, min, max, help)                                                             \
	MQTT_CONFIG_ROW("notify", name, member, type, struct notify_config, mqtt, fallback, min, max, false, help)

const struct config_item notify_config_items[] = {
	SERVICE_CONFIG_ITEMS("notify", "127.0.0.1:9645"),
	ROW(database, CONFIG_TEXT, "postgresql:///coldfleet?user=coldfleet_notify", 0, 0, false,
	    "PostgreSQL, as a libpq URI or keywords"),
	ROW(source, CONFIG_TEXT, "coldfleet", 0, 0, false,
	    "what CloudEvents name as their source, a URI reference: receivers know an event by source and id"),
	ROW(window, CONFIG_INT, "64", 1, 1000, false, "most deliveries under way at once"),
	ROW(window_each, CONFIG_INT, "8", 1, 1000, true, "most of them taken at once for the same webhook"),
	ROW(timeout, CONFIG_SECONDS, "10s", 0.1, 300, true, "how long a webhook may take to answer"),
	ROW(allow, CONFIG_TEXT, "", 0, 0, false,
	    "networks besides the public Internet that webhooks may be in, such as 10.1.0.0/16, fd00::/8. Private, "
	    "loopback and link-local addresses are refused otherwise, whatever their name"),
	ROW(allow_http, CONFIG_BOOL, "no", 0, 0, false, "yes: webhooks may be spoken to in clear text"),
	ROW(ca, CONFIG_TEXT, "", 0, 0, false,
	    "PEM file of authorities that webhooks' certificates may be signed by; empty: those of the system"),
	ROW(look_every, CONFIG_SECONDS, "1s", 0.05, 60, true,
	    "how often to look for what is due: devices that tell of tampering, an open door and the like (less often, "
	    "up to 3 s, when a look takes long), attempts to be made again, alarms that escalate"),
	ROW(evaluate_every, CONFIG_SECONDS, "250ms", 0.02, 60, true,
	    "how often to look for devices to evaluate for excursions"),
	ROW(rollup_every, CONFIG_SECONDS, "60s", 0.1, 3600, true,
	    "how often to look for devices whose temperatures by hour and day are to be computed"),
	ROW(silence_every, CONFIG_SECONDS, "60s", 0.1, 3600, true,
	    "how often to look for devices that should have been heard"),
	ROW(push_every, CONFIG_SECONDS, "5m", 0.1, 900, true,
	    "how often what devices have measured is made into transfers for webhooks of format cce, whose receivers "
	    "want "
	    "alarms within 15 minutes"),
	ROW(keep, CONFIG_SECONDS, "30d", 86400, 315360000, true,
	    "how long notices, transfers and what became of them are kept; alarms and readings stay"),
	{"notify.mqtt", CONFIG_BOOL, offsetof(struct notify_config, mqtt_on), "yes", 0, 0, false, false,
	 "no: alarms are not published on MQTT"},
	MQTT("mqtt_host", host, CONFIG_TEXT, "/run/mosquitto/coldfleet.sock", 0, 0,
	     "broker: the path of a Unix socket, or a name or address"),
	MQTT("mqtt_port", port, CONFIG_INT, "0", 0, 65535, "broker's port; 0 for a Unix socket"),
	MQTT("mqtt_username", username, CONFIG_TEXT, "@notify", 0, 0, "user name at the broker; empty: none"),
	MQTT("mqtt_password_file", password_file, CONFIG_TEXT, "", 0, 0,
	     "file whose first line is the password at the broker"),
	MQTT("mqtt_ca", ca, CONFIG_TEXT, "", 0, 0,
	     "PEM file of the authority that signed the broker's certificate; empty: no TLS"),
	MQTT("mqtt_cert", cert, CONFIG_TEXT, "", 0, 0, "PEM file of the client certificate"),
	MQTT("mqtt_key", key, CONFIG_TEXT, "", 0, 0, "PEM file of the client certificate's key"),
	MQTT("client_id", client_id, CONFIG_TEXT, "coldfleet-notify", 0, 0,
	     "client id. Two processes need two of them"),
	MQTT("keepalive", keepalive, CONFIG_SECONDS, "30s", 5, 3600, "MQTT keep alive"),
};
const size_t notify_config_item_count = sizeof(notify_config_items) / sizeof(notify_config_items[0]);

bool notify_config_check(struct notify_config *c, struct err *e)
{
	if (!networks_parse(c->allow, &c->allowed, e))
		return err_prefix(e, "notify.allow: ");
	return !c->mqtt_on || mqtt_config_password(&c->mqtt, "notify", e);
}

double notify_lease(const struct notify_config *c)
{
	return 2 * c->timeout + 1;
}
