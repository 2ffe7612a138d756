/* SPDX-License-Identifier: Apache-2.0
 *
 * What a device told: readings, gaps, and messages that could not be stored. */
#include "ops/ctl/commands/table.h"

#include "ops/ctl/ctl.h"

static const struct option readings_options[] = {
	{"from", OPTION_WHEN, TO_QUERY, "from", "TIME", "measured at or after, such as -24h"},
	{"to", OPTION_WHEN, TO_QUERY, "to", "TIME", "measured before"},
	{"bucket", OPTION_TEXT, TO_QUERY, "bucket", "5m|1h|1d", "min, mean and max of so much time"},
	{"format", OPTION_TEXT, TO_QUERY, "format", "json|ndjson|csv", "as the API writes it instead of a table"},
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

static const struct option gaps_options[] = {
	{"state", OPTION_TEXT, TO_QUERY, "state", "open|closed|all", "which ones (default open)"},
	PAGE,
};

static const struct column gaps_columns[] = {
	{"EPOCH", "epoch", CELL_NUMBER},     {"FROM", "seq_from", CELL_NUMBER},
	{"TO", "seq_to", CELL_NUMBER},       {"MISSING", "missing.count", CELL_NUMBER},
	{"LOST", "lost.count", CELL_NUMBER}, {"FIRST SEEN", "first_seen", CELL_TEXT},
	{"ASKED", "asked", CELL_NUMBER},     {"ASKED AT", "asked_at", CELL_TEXT},
	{"CLOSED", "closed_at", CELL_TEXT},
};

static const struct option quarantine_options[] = {
	{"reason", OPTION_TEXT, TO_QUERY, "reason", "WORD", "only those with this reason, such as clock or syntax"},
	{"serial", OPTION_TEXT, TO_QUERY, "serial", "SERIAL", "only those of this device"},
	PAGE,
};

static const struct column quarantine_columns[] = {
	{"ID", "id", CELL_NUMBER},
	{"SERIAL", "serial", CELL_TEXT},
	{"REASON", "reason", CELL_TEXT},
	{"SEEN", "seen", CELL_NUMBER},
	{"LAST", "last_received_at", CELL_AGO},
	{"BYTES", "payload_bytes", CELL_NUMBER},
	{"DETAIL", "detail", CELL_TEXT},
};

static const struct command rows[] = {
	{.name = "readings",
	 .args = "SERIAL",
	 .help = "What a device measured, oldest first",
	 .method = "GET",
	 .path = "/v1/devices/{serial}/readings",
	 OPTIONS(readings_options),
	 COLUMNS(readings_columns),
	 .run = run_readings},
	{.name = "gaps",
	 .args = "SERIAL",
	 .help = "Sample numbers of a device that were passed over",
	 .method = "GET",
	 .path = "/v1/devices/{serial}/gaps",
	 OPTIONS(gaps_options),
	 COLUMNS(gaps_columns),
	 .run = run_list},
	{.name = "quarantine list",
	 .args = "",
	 .help = "Messages that could not be stored as readings, the latest first",
	 .method = "GET",
	 .path = "/v1/quarantine",
	 OPTIONS(quarantine_options),
	 COLUMNS(quarantine_columns),
	 .run = run_list},
	{.name = "quarantine show",
	 .args = "ID",
	 .help = "One of these messages, with its payload in base64",
	 .method = "GET",
	 .path = "/v1/quarantine/{id}",
	 .run = run_show},
	{.name = "quarantine replay",
	 .args = "ID",
	 .help = "Have one of these messages read anew",
	 .method = "POST",
	 .path = "/v1/quarantine/{id}:replay",
	 .run = run_act},
};
const struct part commands_telemetry = PART_OF(rows);
