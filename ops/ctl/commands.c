/* SPDX-License-Identifier: Apache-2.0
 *
 * What coldfleetctl can do. Everything else about a command follows from its row. */
#include "ops/ctl/ctl.h"

#define COUNT(a)   (sizeof(a) / sizeof((a)[0]))
#define OPTIONS(a) a, COUNT(a)
#define COLUMNS(a) a, COUNT(a)

#define PAGE                                                                                                           \
	{"limit", OPTION_INT, TO_COMMAND, NULL, "N", "show at most so many (default 100)"},                            \
	{                                                                                                              \
		"all", OPTION_FLAG, TO_COMMAND, NULL, NULL, "show all there are"                                       \
	}

const struct option common_options[] = {
	{"api", OPTION_TEXT, TO_COMMAND, NULL, "URL",
	 "where the API is (COLDFLEET_API): https://…, unix:/PATH, http:// here"},
	{"ca", OPTION_TEXT, TO_COMMAND, NULL, "FILE", "certificates to trust instead of the system's (COLDFLEET_CA)"},
	{"token-file", OPTION_TEXT, TO_COMMAND, NULL, "FILE", "file with the token, instead of COLDFLEET_TOKEN"},
	{"timeout", OPTION_TEXT, TO_COMMAND, NULL, "SPAN", "how long one request may take (default 30s)"},
	{"json", OPTION_FLAG, TO_COMMAND, NULL, NULL, "print what the API answered, byte for byte"},
	{"no-color", OPTION_FLAG, TO_COMMAND, NULL, NULL, "no colours (also: NO_COLOR)"},
	{"help", OPTION_FLAG, TO_COMMAND, NULL, NULL, "say what there is"},
	{"version", OPTION_FLAG, TO_COMMAND, NULL, NULL, "say which version this is"},
};
const size_t common_option_count = COUNT(common_options);

static const struct option list_options[] = {PAGE};

static const struct column device_columns[] = {
	{"SERIAL", "serial", CELL_TEXT},
	{"STATE", "state", CELL_TEXT},
	{"MODEL", "model.name", CELL_TEXT},
	{"°C", "latest.temperature_c", CELL_TENTHS},
	{"BATTERY %", "latest.battery_pct", CELL_NUMBER},
	{"DBM", "latest.rsrp_dbm", CELL_NUMBER},
	{"GAPS", "latest.gaps", CELL_NUMBER},
	{"HEARD", "latest.received_at", CELL_AGO},
};

static const struct option readings_options[] = {
	{"from", OPTION_WHEN, TO_QUERY, "from", "TIME", "measured at or after, such as -24h"},
	{"to", OPTION_WHEN, TO_QUERY, "to", "TIME", "measured before"},
	{"format", OPTION_TEXT, TO_COMMAND, NULL, "table|json|ndjson", "how to print (default table)"},
	{"chart", OPTION_FLAG, TO_COMMAND, NULL, NULL, "draw the temperature instead"},
	PAGE,
};

static const struct column readings_columns[] = {
	{"MEASURED", "ts", CELL_TEXT},
	{"PROBE", "probe", CELL_NUMBER},
	{"SEQ", "seq", CELL_NUMBER},
	{"°C", "temperature_c", CELL_TENTHS},
	{"%RH", "humidity_pct", CELL_NUMBER},
	{"LUX", "light_lux", CELL_NUMBER},
	{"M/S²", "shock_ms2", CELL_NUMBER},
	{"BATTERY %", "battery_pct", CELL_NUMBER},
	{"DBM", "rsrp_dbm", CELL_NUMBER},
	{"LATITUDE", "latitude", CELL_NUMBER},
	{"LONGITUDE", "longitude", CELL_NUMBER},
	{"DOOR OPEN", "door_open", CELL_TEXT},
	{"TAMPERED", "tampered", CELL_TEXT},
	{"MAINS", "mains_power", CELL_TEXT},
	{"FLAGS", "flags", CELL_TEXT},
	{"EXTRA", "extra", CELL_TEXT},
};

const struct command commands[] = {
	{"devices list", "", "GET", "/v1/devices", OPTIONS(list_options), COLUMNS(device_columns),
	 "Devices and what they said last", run_list},
	{"devices show", "SERIAL", "GET", "/v1/devices/{serial}", NULL, 0, NULL, 0,
	 "One device: model, module, SIM, latest state", run_show},
	{"readings", "SERIAL", "GET", "/v1/devices/{serial}/readings", OPTIONS(readings_options),
	 COLUMNS(readings_columns), "What a device measured, oldest first", run_readings},
	{"health", "", "GET", "/readyz", NULL, 0, NULL, 0, "Is the API alive and ready? Needs no token", run_health},
};
const size_t command_count = COUNT(commands);
