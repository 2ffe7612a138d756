/* SPDX-License-Identifier: Apache-2.0
 *
 * What the API offers, row by row. Parameters stand in the order of the statement's. */
#include "api/routes.h"

#include "api/api.h"
#include "schema/queries.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

#define PAGE(type_of)                                                                                                  \
	{"limit", PARAM_QUERY, PARAM_INT, 1, 1000, "100", "at most so many " type_of},                                 \
	{                                                                                                              \
		"cursor", PARAM_QUERY, PARAM_CURSOR, 0, 0, NULL, "`next` of the page before"                           \
	}
#define SERIAL                                                                                                         \
	{                                                                                                              \
		"serial", PARAM_PATH, PARAM_SERIAL, 0, 0, NULL, "the device's serial number"                           \
	}

static const struct param devices_params[] = {PAGE("devices")};

static const struct param device_params[] = {SERIAL};

static const struct param readings_params[] = {
	SERIAL,
	{"from", PARAM_QUERY, PARAM_TIME, 0, 0, NULL, "measured at or after; absent: from the first one"},
	{"to", PARAM_QUERY, PARAM_TIME, 0, 0, NULL, "measured before; absent: up to the last one"},
	PAGE("readings"),
};

const struct route routes[] = {
	{"GET", "/healthz", "The process is alive", NULL, NULL, 0, NULL, api_health},
	{"GET", "/readyz", "The database is reachable", NULL, NULL, 0, NULL, api_ready},
	{"GET", "/v1/devices", "Devices by serial number, with their latest state", "viewer", devices_params,
	 COUNT(devices_params), &stmt_api_devices, NULL},
	{"GET", "/v1/devices/{serial}", "One device, what it is made of and its latest state", "viewer", device_params,
	 COUNT(device_params), &stmt_api_device, NULL},
	{"GET", "/v1/devices/{serial}/readings", "What a device measured, oldest first", "viewer", readings_params,
	 COUNT(readings_params), &stmt_api_readings, NULL},
};
const size_t route_count = COUNT(routes);
