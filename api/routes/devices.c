/* SPDX-License-Identifier: Apache-2.0
 *
 * Devices: the fleet, registration in bulk, one device, its tags and configuration. */
#include "api/routes/table.h"

#include "schema/queries.h"

#define FILTERS                                                                                                        \
	QUERY("state", PARAM_TEXT, .min = 1, .max = 100, .help = "in one of these states, with commas between"),       \
		QUERY("model", PARAM_TEXT, .min = 1, .max = 500, .help = "of one of these models, by name"),           \
		QUERY("firmware", PARAM_TEXT, .min = 1, .max = 500, .help = "with one of these firmware versions"),    \
		QUERY("tag", PARAM_TEXT, .min = 1, .max = 500, .help = "with all of these tags"),                      \
		QUERY("group", PARAM_TEXT, .min = 1, .max = 128, .help = "in this group, by name"),                    \
		QUERY("q", PARAM_TEXT, .min = 1, .max = 64, .help = "whose serial, IMEI or ICCID begins with this"),   \
		QUERY("silent_for", PARAM_TEXT, .min = 2, .max = 7,                                                    \
		      .help = "not heard for so long, like 30m, 12h or 7d"),                                           \
		QUERY("battery_below", PARAM_INT, .min = 1, .max = 100,                                                \
		      .help = "whose battery is below so many percent"),                                               \
		QUERY("bbox", PARAM_TEXT, .min = 7, .max = 64,                                                         \
		      .help = "last seen within west,south,east,north, degrees"),                                      \
		QUERY("in_excursion", PARAM_WORD, .words = "true,false",                                               \
		      .help = "with an open excursion, or without"),                                                   \
		QUERY("incomplete", PARAM_WORD, .words = "true,false",                                                 \
		      .help = "that miss samples, or none: see their gaps")

static const struct param devices_params[] = {
	PAGE("devices; maybe fewer, so go on until `next` is null"),
	QUERY("sort", PARAM_WORD, .words = "serial,-serial,last_seen,-last_seen,battery,-battery", .fallback = "serial",
	      .help = "the order, - for the reverse"),
	FILTERS,
};

static const struct param devices_export_params[] = {
	QUERY("format", PARAM_WORD, .words = "ndjson,csv", .fallback = "ndjson", .help = "how the rows are written"),
	FILTERS,
};

static const struct route_stream devices_export_streams[] = {
	{"csv", "text/csv; charset=utf-8", &stmt_api_devices_export_csv},
	{"ndjson", "application/x-ndjson", &stmt_api_devices_export_ndjson},
};

#define STATES "registered,active,disabled,quarantined,banned"

static const struct field module_fields[] = {
	{.name = "imei", .type = FIELD_DIGITS, .min = 15, .max = 15, .help = "15 digits with their check digit"},
	{.name = "manufacturer", .type = FIELD_TEXT, .nullable = true, .min = 1, .max = 100, .help = "who makes it"},
	{.name = "model",
	 .type = FIELD_TEXT,
	 .nullable = true,
	 .min = 1,
	 .max = 100,
	 .help = "what its maker calls it"},
	{.name = "firmware", .type = FIELD_TEXT, .nullable = true, .min = 1, .max = 64, .help = "its version"},
};

static const struct field sim_fields[] = {
	{.name = "iccid", .type = FIELD_DIGITS, .min = 18, .max = 20, .help = "number of the card or profile"},
	{.name = "imsi", .type = FIELD_DIGITS, .nullable = true, .min = 6, .max = 15, .help = "subscriber identity"},
	{.name = "apn", .type = FIELD_TEXT, .nullable = true, .min = 1, .max = 100, .help = "access point name"},
	{.name = "expected_prefix",
	 .type = FIELD_TEXT,
	 .nullable = true,
	 .min = 3,
	 .max = 43,
	 .help = "addresses that its access point gives out, like 10.20.0.0/16"},
};

#define REVISION                                                                                                       \
	{                                                                                                              \
		.name = "hardware_revision", .type = FIELD_TEXT, .nullable = true, .min = 1, .max = 64,                \
		.help = "as its maker writes it"                                                                       \
	}
#define STATE                                                                                                          \
	{                                                                                                              \
		.name = "state", .type = FIELD_WORD, .words = STATES, .help = "where it stands in its life"            \
	}

static const struct field device_create_fields[] = {
	{.name = "serial", .type = FIELD_SERIAL, .required = true, .help = "its serial number; never changes"},
	PART("model", true, false, model_fields, "what kind of tracker it is"),
	REVISION,
	STATE,
	PART("module", false, true, module_fields, "its radio module"),
	PART("sim", false, true, sim_fields, "its SIM"),
	REASON,
};

static const struct field device_patch_fields[] = {
	PART("model", false, false, model_fields, "what kind of tracker it is"),
	REVISION,
	STATE,
	PART("module", false, true, module_fields, "its radio module; null: none"),
	PART("sim", false, true, sim_fields, "its SIM; null: back into stock"),
	REASON,
};

static const struct field decommission_fields[] = {
	{.name = "reason",
	 .type = FIELD_TEXT,
	 .required = true,
	 .min = 1,
	 .max = 500,
	 .help = "why; kept in the history"},
};

#define OPERATION                                                                                                      \
	{                                                                                                              \
		.name = "id", .in = PARAM_PATH, .type = PARAM_TEXT, .min = 36, .max = 36,                              \
		.help = "the operation's number"                                                                       \
	}

static const struct param import_params[] = {
	QUERY("reason", PARAM_TEXT, .min = 1, .max = 500, .help = "why; kept in the history")};

static const struct param operation_params[] = {OPERATION};

static const struct param operation_rows_params[] = {
	OPERATION,
	QUERY("result", PARAM_WORD, .words = "created,unchanged,failed", .help = "only rows with this result"),
	PAGE("rows"),
};

static const struct param device_history_params[] = {SERIAL, PAGE("entries")};

static const struct field config_fields[] = {
	{.name = "config", .type = FIELD_OBJECT, .required = true, .help = "names and values, all of them"},
	REASON,
};

static const struct field tags_fields[] = {
	{.name = "tags", .type = FIELD_TEXTS, .required = true, .max = 32, .help = "all tags of the device"},
	REASON,
};

static const struct route rows[] = {
	{.method = "GET",
	 .path = "/v1/devices",
	 .summary = "Devices with their latest state, filtered and sorted",
	 .role = "viewer",
	 PARAMS(devices_params),
	 .statement = &stmt_api_devices},
	{.method = "GET",
	 .path = "/v1/devices:export",
	 .summary = "All devices that meet the filters, by serial number",
	 .role = "viewer",
	 PARAMS(devices_export_params),
	 .streams = devices_export_streams,
	 .stream_count = COUNT(devices_export_streams)},
	{.method = "POST",
	 .path = "/v1/devices:import",
	 .summary = "Register many devices: rows as NDJSON or CSV, done in the background",
	 .role = "operator",
	 PARAMS(import_params),
	 .rows = true,
	 .statement = &stmt_api_devices_import},
	{.method = "GET",
	 .path = "/v1/operations/{id}",
	 .summary = "Long work and how far it is",
	 .role = "viewer",
	 PARAMS(operation_params),
	 .statement = &stmt_api_operation},
	{.method = "GET",
	 .path = "/v1/operations/{id}/rows",
	 .summary = "The rows of an import and what became of each",
	 .role = "viewer",
	 PARAMS(operation_rows_params),
	 .statement = &stmt_api_operation_rows},
	{.method = "GET",
	 .path = "/v1/fleet/summary",
	 .summary = "How many devices there are of each kind, a moment ago",
	 .role = "viewer",
	 .statement = &stmt_api_fleet_summary},
	{.method = "GET",
	 .path = "/v1/devices/{serial}",
	 .summary = "One device, what it is made of and its latest state",
	 .role = "viewer",
	 PARAMS(device_params),
	 .statement = &stmt_api_device},
	{.method = "POST",
	 .path = "/v1/devices",
	 .summary = "Register a device",
	 .role = "operator",
	 FIELDS(device_create_fields),
	 .statement = &stmt_api_device_create},
	{.method = "PATCH",
	 .path = "/v1/devices/{serial}",
	 .summary = "Edit a device: what the body names is replaced, null takes it away",
	 .role = "operator",
	 PARAMS(device_params),
	 FIELDS(device_patch_fields),
	 .if_match = true,
	 .statement = &stmt_api_device_patch},
	{.method = "POST",
	 .path = "/v1/devices/{serial}/decommission",
	 .summary = "Take a device out of service for good",
	 .role = "operator",
	 PARAMS(device_params),
	 FIELDS(decommission_fields),
	 .statement = &stmt_api_device_decommission},
	{.method = "GET",
	 .path = "/v1/devices/{serial}/state",
	 .summary = "The latest of each channel of a device",
	 .role = "viewer",
	 PARAMS(device_params),
	 .statement = &stmt_api_device_state},
	{.method = "GET",
	 .path = "/v1/devices/{serial}/history",
	 .summary = "What was changed of a device, the latest first",
	 .role = "viewer",
	 PARAMS(device_history_params),
	 .statement = &stmt_api_device_history},
	{.method = "PUT",
	 .path = "/v1/devices/{serial}/tags",
	 .summary = "Give a device these tags and no other",
	 .role = "operator",
	 PARAMS(device_params),
	 FIELDS(tags_fields),
	 .if_match = true,
	 .statement = &stmt_api_tags_put},
	{.method = "GET",
	 .path = "/v1/devices/{serial}/config",
	 .summary = "Desired and reported configuration, and where they differ",
	 .role = "viewer",
	 PARAMS(device_params),
	 .statement = &stmt_api_config},
	{.method = "PUT",
	 .path = "/v1/devices/{serial}/config",
	 .summary = "A new version of the desired configuration",
	 .role = "config",
	 PARAMS(device_params),
	 FIELDS(config_fields),
	 .if_match = true,
	 .statement = &stmt_api_config_put},
	{.method = "GET",
	 .path = "/v1/devices/{serial}/config/history",
	 .summary = "Versions of the desired configuration, the latest first",
	 .role = "viewer",
	 PARAMS(device_history_params),
	 .statement = &stmt_api_config_history},
};
const struct part routes_devices = PART_OF(rows);
