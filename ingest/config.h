/* SPDX-License-Identifier: Apache-2.0
 *
 * What coldfleet-ingest can be told: the [ingest] section of the configuration. */
#ifndef COLDFLEET_INGEST_CONFIG_H
#define COLDFLEET_INGEST_CONFIG_H

#include "core/config.h"
#include "core/service.h"
#include "ingest/pack.h"

struct ingest_config {
	struct service_config service; /* first: core/service.h */
	char database[CONFIG_TEXT_MAX];
	int64_t lanes;
	int64_t first_lane;
	bool leave;
	int64_t batch_messages;
	int64_t batch_readings;
	char mqtt_host[CONFIG_TEXT_MAX];
	int64_t mqtt_port;
	char mqtt_username[CONFIG_TEXT_MAX];
	char mqtt_password_file[CONFIG_TEXT_MAX];
	char mqtt_ca[CONFIG_TEXT_MAX];
	char mqtt_cert[CONFIG_TEXT_MAX];
	char mqtt_key[CONFIG_TEXT_MAX];
	char client_id[CONFIG_TEXT_MAX];
	char share_group[CONFIG_TEXT_MAX];
	double session_expiry;
	double keepalive;
	int64_t max_pack_bytes;
	int64_t max_pack_samples;
	double max_age;
	double max_ahead;
};

extern const struct config_item ingest_config_items[];
extern const size_t ingest_config_item_count;

struct pack_limits ingest_pack_limits(const struct ingest_config *c);

/* What the table alone cannot say. */
bool ingest_config_check(const struct ingest_config *c, struct err *e);

/* Reads the first line of the password file into `out`; an empty path gives an empty password. */
bool ingest_password(const struct ingest_config *c, char *out, size_t size, struct err *e);

#endif
