/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of routes have in common: a subject each, with its parameters, fields and rows. Parameters stand in
 * the order of the statement's. */
#ifndef COLDFLEET_API_ROUTES_TABLE_H
#define COLDFLEET_API_ROUTES_TABLE_H

#include "api/router.h"
#include "core/join.h"

extern const struct part routes_service;
extern const struct part routes_devices;
extern const struct part routes_groups;
extern const struct part routes_telemetry;
extern const struct part routes_exchange;
extern const struct part routes_commands;
extern const struct part routes_alarms;
extern const struct part routes_calibrations;
extern const struct part routes_catalogue;
extern const struct part routes_shipments;
extern const struct part routes_access;

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

static const struct param device_params[] = {SERIAL};

#define REASON                                                                                                         \
	{                                                                                                              \
		.name = "reason", .type = FIELD_TEXT, .min = 1, .max = 500, .help = "why; kept in the history"         \
	}

static const struct field model_fields[] = {
	{.name = "manufacturer", .type = FIELD_TEXT, .required = true, .min = 1, .max = 100, .help = "who makes it"},
	{.name = "name", .type = FIELD_TEXT, .required = true, .min = 1, .max = 100, .help = "what its maker calls it"},
};

#define PART(name_, need, null_, table, help_)                                                                         \
	{                                                                                                              \
		.name = name_, .type = FIELD_OBJECT, .required = need, .nullable = null_, FIELDS(table), .help = help_ \
	}
#define WHY QUERY("reason", PARAM_TEXT, .min = 1, .max = 500, .help = "why; kept in the history")
#define NUMBER(of)                                                                                                     \
	{                                                                                                              \
		.name = "id", .in = PARAM_PATH, .type = PARAM_INT, .min = 1, .max = INT32_MAX, .help = of              \
	}
#define TEXT(name_, need, most, help_)                                                                                 \
	{                                                                                                              \
		.name = name_, .type = FIELD_TEXT, .required = need, .min = 1, .max = most, .help = help_              \
	}
#define CELSIUS(name_, help_)                                                                                          \
	{                                                                                                              \
		.name = name_, .type = FIELD_NUMBER, .nullable = true, .min = -273.15, .max = 1000, .help = help_      \
	}

#endif
