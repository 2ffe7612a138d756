/* SPDX-License-Identifier: Apache-2.0
 *
 * The rows of the configuration table that every daemon with a connection to the broker has. */
#ifndef COLDFLEET_BROKER_BRIDGE_MQTT_CONFIG_H
#define COLDFLEET_BROKER_BRIDGE_MQTT_CONFIG_H

#include "broker-bridge/mqtt.h"
#include "core/config.h"

struct mqtt_config {
	char host[CONFIG_TEXT_MAX];
	int64_t port;
	char username[CONFIG_TEXT_MAX];
	char password_file[CONFIG_TEXT_MAX];
	char ca[CONFIG_TEXT_MAX];
	char cert[CONFIG_TEXT_MAX];
	char key[CONFIG_TEXT_MAX];
	char client_id[CONFIG_TEXT_MAX];
	char share_group[CONFIG_TEXT_MAX];
	double session_expiry; /* seconds */
	double keepalive;      /* seconds */
	char password[256];    /* no row of its own: mqtt_config_check() reads it from password_file */
};

/* Fails when share_group cannot be a group's name or the password cannot be read; `section` is for the words. */
bool mqtt_config_check(struct mqtt_config *c, const char *section, struct err *e);
/* Only the password, for those who share no subscription. */
bool mqtt_config_password(struct mqtt_config *c, const char *section, struct err *e);
void mqtt_config_forget(struct mqtt_config *c); /* the password */

/* Options of one connection, borrowed from `c`; the rest is the caller's to fill in. */
struct mqtt_options mqtt_config_options(const struct mqtt_config *c, const char *name, const char *client_id);

/* "$share/GROUP/FILTER" */
void mqtt_config_shared(const struct mqtt_config *c, const char *filter, char *out, size_t size);

#define MQTT_CONFIG_ROW(section, name, member, type, values, field, fallback, min, max, secret, help)                  \
	{                                                                                                              \
		section "." name, type, offsetof(values, field) + offsetof(struct mqtt_config, member), fallback, min, \
			max, false, secret, help                                                                       \
	}

/* `values` is the daemon's struct of values, `field` its struct mqtt_config. */
#define MQTT_CONFIG_ITEMS(section, values, field, user, client, client_help, group_help)                               \
	MQTT_CONFIG_ROW(section, "mqtt_host", host, CONFIG_TEXT, values, field, "/run/mosquitto/coldfleet.sock", 0, 0, \
			false, "broker: the path of a Unix socket, or a name or address"),                             \
		MQTT_CONFIG_ROW(section, "mqtt_port", port, CONFIG_INT, values, field, "0", 0, 65535, false,           \
				"broker's port; 0 for a Unix socket"),                                                 \
		MQTT_CONFIG_ROW(section, "mqtt_username", username, CONFIG_TEXT, values, field, user, 0, 0, false,     \
				"user name at the broker; empty: none"),                                               \
		MQTT_CONFIG_ROW(section, "mqtt_password_file", password_file, CONFIG_TEXT, values, field, "", 0, 0,    \
				false, "file whose first line is the password at the broker"),                         \
		MQTT_CONFIG_ROW(section, "mqtt_ca", ca, CONFIG_TEXT, values, field, "", 0, 0, false,                   \
				"PEM file of the authority that signed the broker's certificate; empty: no TLS"),      \
		MQTT_CONFIG_ROW(section, "mqtt_cert", cert, CONFIG_TEXT, values, field, "", 0, 0, false,               \
				"PEM file of the client certificate"),                                                 \
		MQTT_CONFIG_ROW(section, "mqtt_key", key, CONFIG_TEXT, values, field, "", 0, 0, false,                 \
				"PEM file of the client certificate's key"),                                           \
		MQTT_CONFIG_ROW(section, "client_id", client_id, CONFIG_TEXT, values, field, client, 0, 0, false,      \
				client_help),                                                                          \
		MQTT_CONFIG_ROW(                                                                                       \
			section, "share_group", share_group, CONFIG_TEXT, values, field, "", 0, 0, true,               \
			"name of the shared subscription, required: something random, the same for " group_help        \
			". Whoever knows it can take messages away (openssl rand -hex 16)"),                           \
		MQTT_CONFIG_ROW(section, "session_expiry", session_expiry, CONFIG_SECONDS, values, field, "7d", 60,    \
				4294967294.0, false, "how long the broker keeps the messages of a lane that is gone"), \
		MQTT_CONFIG_ROW(section, "keepalive", keepalive, CONFIG_SECONDS, values, field, "30s", 5, 3600, false, \
				"MQTT keep alive")

#endif
