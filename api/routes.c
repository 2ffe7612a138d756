/* SPDX-License-Identifier: Apache-2.0
 *
 * What the API offers, row by row. Parameters stand in the order of the statement's. */
#include "api/routes.h"

#include "api/api.h"
#include "schema/queries.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

#define QUERY(name_, type_, ...)                                                                                       \
	{                                                                                                              \
		.name = name_, .in = PARAM_QUERY, .type = type_, __VA_ARGS__                                           \
	}
#define PAGE(type_of)                                                                                                  \
	QUERY("limit", PARAM_INT, .min = 1, .max = 1000, .fallback = "100", .help = "at most so many " type_of),       \
		QUERY("cursor", PARAM_CURSOR, .help = "`next` of the page before")
#define SERIAL                                                                                                         \
	{                                                                                                              \
		.name = "serial", .in = PARAM_PATH, .type = PARAM_SERIAL, .help = "the device's serial number"         \
	}
#define PARAMS(table) .params = (table), .param_count = COUNT(table)
#define FIELDS(table) .fields = (table), .field_count = COUNT(table)

static const struct param devices_params[] = {PAGE("devices")};

static const struct param device_params[] = {SERIAL};

static const struct param readings_params[] = {
	SERIAL,
	QUERY("from", PARAM_TIME, .help = "measured at or after; absent: from the first one"),
	QUERY("to", PARAM_TIME, .help = "measured before; absent: up to the last one"),
	PAGE("readings"),
};

const struct route routes[] = {
	{.method = "GET", .path = "/healthz", .summary = "The process is alive", .act = api_health},
	{.method = "GET", .path = "/readyz", .summary = "The database is reachable", .act = api_ready},

	{.method = "GET",
	 .path = "/v1/devices",
	 .summary = "Devices by serial number, with their latest state",
	 .role = "viewer",
	 PARAMS(devices_params),
	 .statement = &stmt_api_devices},
	{.method = "GET",
	 .path = "/v1/devices/{serial}",
	 .summary = "One device, what it is made of and its latest state",
	 .role = "viewer",
	 PARAMS(device_params),
	 .statement = &stmt_api_device},
	{.method = "GET",
	 .path = "/v1/devices/{serial}/readings",
	 .summary = "What a device measured, oldest first",
	 .role = "viewer",
	 PARAMS(readings_params),
	 .statement = &stmt_api_readings},
};
const size_t route_count = COUNT(routes);
