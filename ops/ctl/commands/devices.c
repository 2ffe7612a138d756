/* SPDX-License-Identifier: Apache-2.0
 *
 * Devices: the fleet, registration in bulk, one device, its tags and configuration. */
#include "ops/ctl/commands/table.h"

#include "ops/ctl/ctl.h"

#define DEVICE_FILTERS                                                                                                 \
	{"state", OPTION_TEXT, TO_QUERY, "state", "WORD,WORD", "in one of these states, such as active"},              \
		{"model", OPTION_TEXT, TO_QUERY, "model", "NAME,NAME", "of one of these models"},                      \
		{"firmware", OPTION_TEXT, TO_QUERY, "firmware", "VERSION,VERSION", "with one of these versions"},      \
		{"tag", OPTION_TEXT, TO_QUERY, "tag", "TAG,TAG", "with all of these tags"},                            \
		{"group", OPTION_TEXT, TO_QUERY, "group", "NAME", "of this group"},                                    \
		{"q", OPTION_TEXT, TO_QUERY, "q", "BEGINNING", "serial, IMEI or ICCID begin with it"},                 \
		{"silent-for", OPTION_SPAN, TO_QUERY, "silent_for", "SPAN", "not heard for so long"},                  \
		{"battery-below", OPTION_INT, TO_QUERY, "battery_below", "PERCENT", "with less battery"},              \
		{"bbox", OPTION_TEXT, TO_QUERY, "bbox", "W,S,E,N", "last seen in this box of degrees"},                \
		{"in-excursion", OPTION_TEXT,  TO_QUERY,                                                               \
		 "in_excursion", "true|false", "with an open excursion, or none"},                                     \
	{                                                                                                              \
		"incomplete", OPTION_TEXT, TO_QUERY, "incomplete", "true|false", "that miss samples, or none"          \
	}

static const struct option device_options[] = {
	DEVICE_FILTERS,
	{"sort", OPTION_TEXT, TO_QUERY, "sort", "serial|-serial|last_seen|-last_seen|battery|-battery",
	 "in this order"},
	PAGE,
};

static const struct option export_options[] = {
	DEVICE_FILTERS,
	{"format", OPTION_TEXT, TO_QUERY, "format", "ndjson|csv", "how to write it"},
};

static const struct column device_columns[] = {
	{"SERIAL", "serial", CELL_TEXT},
	{"STATE", "state", CELL_TEXT},
	{"MODEL", "model.name", CELL_TEXT},
	{"FIRMWARE", "firmware", CELL_TEXT},
	{"°C", "latest.temperature_c", CELL_TENTHS},
	{"BATTERY %", "latest.battery_pct", CELL_NUMBER},
	{"DBM", "latest.rsrp_dbm", CELL_NUMBER},
	{"COMPLETE", "latest.complete_through", CELL_NUMBER},
	{"GAPS", "latest.gaps", CELL_NUMBER},
	{"HEARD", "latest.received_at", CELL_AGO},
	{"TAGS", "tags", CELL_TEXT},
};

static const struct option import_options[] = {
	{"format", OPTION_TEXT, TO_COMMAND, NULL, "ndjson|csv", "how it is written (else by the name: .csv or not)"},
	{"no-wait", OPTION_FLAG, TO_COMMAND, NULL, NULL, "do not wait until it is done"},
	{"reason", OPTION_TEXT, TO_QUERY, "reason", "TEXT", "why; kept in the history"},
};

static const struct option rows_options[] = {
	{"result", OPTION_TEXT, TO_QUERY, "result", "created|unchanged|failed", "only rows with this result"},
	PAGE,
};

static const struct column rows_columns[] = {
	{"LINE", "line", CELL_NUMBER},
	{"SERIAL", "serial", CELL_TEXT},
	{"RESULT", "result", CELL_TEXT},
	{"DETAIL", "detail", CELL_TEXT},
};

static const struct option config_options[] = {
	{"replace", OPTION_FLAG, TO_COMMAND, NULL, NULL, "start from nothing instead of what is wanted now"},
	{"reason", OPTION_TEXT, TO_COMMAND, "reason", "TEXT", "why; kept in the history"},
};

static const struct column config_columns[] = {
	{"VERSION", "version", CELL_NUMBER},
	{"SINCE", "at", CELL_TEXT},
	{"BY", "actor", CELL_TEXT},
	{"REASON", "reason", CELL_TEXT},
	{"CONFIGURATION", "config", CELL_TEXT},
};

static const struct column history_columns[] = {
	{"AT", "at", CELL_TEXT},         {"WHAT", "object", CELL_TEXT}, {"FIELD", "field", CELL_TEXT},
	{"OLD", "old", CELL_TEXT},       {"NEW", "new", CELL_TEXT},     {"BY", "actor", CELL_TEXT},
	{"REASON", "reason", CELL_TEXT},
};

static const struct command rows[] = {
	{.name = "devices list",
	 .args = "",
	 .help = "Devices and what they said last",
	 .method = "GET",
	 .path = "/v1/devices",
	 OPTIONS(device_options),
	 COLUMNS(device_columns),
	 .run = run_list},
	{.name = "devices show",
	 .args = "SERIAL",
	 .help = "One device: model, module, SIM, what it reports of itself, latest state",
	 .method = "GET",
	 .path = "/v1/devices/{serial}",
	 .run = run_show},
	{.name = "devices create",
	 .args = "SERIAL NAME=VALUE...",
	 .help = "Register a device",
	 .method = "POST",
	 .path = "/v1/devices",
	 .fields = "serial",
	 OPTIONS(create_options),
	 .run = run_act},
	{.name = "devices export",
	 .args = "",
	 .help = "All devices, or those of a filter, into a file",
	 .method = "GET",
	 .path = "/v1/devices:export",
	 OPTIONS(export_options),
	 .run = run_export},
	{.name = "devices import",
	 .args = "FILE",
	 .help = "Register many devices from a file of NDJSON or CSV",
	 .method = "POST",
	 .path = "/v1/devices:import",
	 OPTIONS(import_options),
	 .run = run_import},
	{.name = "devices set",
	 .args = "SERIAL NAME=VALUE...",
	 .help = "Change what is known about a device",
	 .method = "PATCH",
	 .path = "/v1/devices/{serial}",
	 .if_match = true,
	 OPTIONS(set_options),
	 .run = run_act},
	{.name = "devices decommission",
	 .args = "SERIAL",
	 .help = "Take a device out of service for good (needs --reason)",
	 .method = "POST",
	 .path = "/v1/devices/{serial}/decommission",
	 OPTIONS(create_options),
	 .run = run_act},
	{.name = "devices tag",
	 .args = "SERIAL [TAG...]",
	 .help = "Give a device these tags and no other",
	 .method = "PUT",
	 .path = "/v1/devices/{serial}/tags",
	 .fields = "tags...",
	 .if_match = true,
	 OPTIONS(set_options),
	 .run = run_act},
	{.name = "devices history",
	 .args = "SERIAL",
	 .help = "What was changed of a device, the latest first",
	 .method = "GET",
	 .path = "/v1/devices/{serial}/history",
	 OPTIONS(list_options),
	 COLUMNS(history_columns),
	 .run = run_list},
	{.name = "config get",
	 .args = "SERIAL",
	 .help = "Desired and reported configuration, and where they differ",
	 .method = "GET",
	 .path = "/v1/devices/{serial}/config",
	 .run = run_show},
	{.name = "config set",
	 .args = "SERIAL NAME=VALUE...",
	 .help = "Change the desired configuration",
	 .method = "PUT",
	 .path = "/v1/devices/{serial}/config",
	 .if_match = true,
	 OPTIONS(config_options),
	 .run = run_config_set},
	{.name = "config history",
	 .args = "SERIAL",
	 .help = "Versions of the desired configuration, the latest first",
	 .method = "GET",
	 .path = "/v1/devices/{serial}/config/history",
	 OPTIONS(list_options),
	 COLUMNS(config_columns),
	 .run = run_list},
	{.name = "fleet",
	 .args = "",
	 .help = "The fleet on one page: counts by state, model, firmware, battery, last heard",
	 .method = "GET",
	 .path = "/v1/fleet/summary",
	 .run = run_fleet},
	{.name = "operations show",
	 .args = "ID",
	 .help = "An import and how far it is",
	 .method = "GET",
	 .path = "/v1/operations/{id}",
	 .run = run_show},
	{.name = "operations rows",
	 .args = "ID",
	 .help = "The rows of an import and what became of each",
	 .method = "GET",
	 .path = "/v1/operations/{id}/rows",
	 OPTIONS(rows_options),
	 COLUMNS(rows_columns),
	 .run = run_list},
};
const struct part commands_devices = PART_OF(rows);
