/* SPDX-License-Identifier: Apache-2.0
 *
 * What coldfleetctl can do. Everything else about a command follows from its row. */
#include "ops/ctl/ctl.h"

#define COUNT(a)   (sizeof(a) / sizeof((a)[0]))
#define OPTIONS(a) .options = (a), .option_count = COUNT(a)
#define COLUMNS(a) .columns = (a), .column_count = COUNT(a)

#define PAGE                                                                                                           \
	{"limit", OPTION_INT, TO_COMMAND, NULL, "N", "show at most so many (default 100)"},                            \
	{                                                                                                              \
		"all", OPTION_FLAG, TO_COMMAND, NULL, NULL, "show all there are"                                       \
	}
#define REASON                                                                                                         \
	{                                                                                                              \
		"reason", OPTION_TEXT, TO_BODY, "reason", "TEXT", "why; kept in the history"                           \
	}
#define IF_MATCH                                                                                                       \
	{                                                                                                              \
		"if-match", OPTION_TEXT, TO_COMMAND, NULL, "ETAG", "only if it is as it was shown with this ETag"      \
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
	{                                                                                                              \
		"in-excursion", OPTION_TEXT, TO_QUERY, "in_excursion", "true|false", "with an open excursion, or none" \
	}

static const struct option list_options[] = {PAGE};
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
	{"GAPS", "latest.gaps", CELL_NUMBER},
	{"HEARD", "latest.received_at", CELL_AGO},
	{"TAGS", "tags", CELL_TEXT},
};

static const struct option create_options[] = {REASON};
static const struct option set_options[] = {REASON, IF_MATCH};

static const struct option logger_import_options[] = {
	{"serial", OPTION_TEXT, TO_COMMAND, NULL, "SERIAL", "the device that the file is of"},
	{"zone", OPTION_TEXT, TO_QUERY, "zone", "ZONE", "zone of the device's clock: UTC, Africa/Accra, +02:00"},
	{"reason", OPTION_TEXT, TO_QUERY, "reason", "TEXT", "why; kept with the file"},
};
static const struct column logger_columns[] = {
	{"FILE", "id", CELL_NUMBER},
	{"FORMAT", "format", CELL_TEXT},
	{"PRINTED", "printed_serial", CELL_TEXT},
	{"SAMPLES", "samples", CELL_NUMBER},
	{"MISSING", "missing", CELL_NUMBER},
	{"FROM", "first_at", CELL_TEXT},
	{"TO", "last_at", CELL_TEXT},
	{"SHA-256", "sha256", CELL_TEXT},
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
	{"CLOSED", "closed_at", CELL_TEXT},
};

static const struct option alarm_options[] = {
	{"state", OPTION_TEXT, TO_QUERY, "state", "WORD,WORD", "raised, escalated, acknowledged or cleared"},
	{"kind", OPTION_TEXT, TO_QUERY, "kind", "WORD", "only of this kind, such as door or excursion"},
	{"device", OPTION_TEXT, TO_QUERY, "device", "SERIAL", "only of this device"},
	{"shipment", OPTION_INT, TO_QUERY, "shipment", "NUMBER", "only of this shipment"},
	PAGE,
};

static const struct column alarm_columns[] = {
	{"ID", "id", CELL_NUMBER},
	{"KIND", "kind", CELL_TEXT},
	{"STATE", "state", CELL_TEXT},
	{"DEVICE", "device", CELL_TEXT},
	{"RAISED", "raised_at", CELL_TEXT},
	{"CLEARED", "cleared_at", CELL_TEXT},
	{"BY", "acknowledged_by", CELL_TEXT},
	{"REASON", "acknowledged_why", CELL_TEXT},
};

static const struct option alarm_ack_options[] = {
	{"reason", OPTION_TEXT, TO_BODY, "reason", "TEXT", "what is known or done about it; required"},
};

static const struct option rule_options[] = {
	{"kind", OPTION_TEXT, TO_QUERY, "kind", "WORD", "only of this kind of alarm, such as door or battery"},
	{"device", OPTION_TEXT, TO_QUERY, "device", "SERIAL", "of each kind the one that counts for this device"},
	PAGE,
};

static const struct column rule_columns[] = {
	{"ID", "id", CELL_NUMBER},           {"KIND", "kind", CELL_TEXT},
	{"MODEL", "model.name", CELL_TEXT},  {"GROUP", "group", CELL_NUMBER},
	{"DEVICE", "device", CELL_TEXT},     {"ON", "enabled", CELL_TEXT},
	{"AFTER S", "after_s", CELL_NUMBER}, {"BELOW", "below", CELL_NUMBER},
	{"QUIET S", "quiet_s", CELL_NUMBER}, {"ESCALATES S", "escalate_after_s", CELL_NUMBER},
	{"WAKE S", "wake_s", CELL_NUMBER},
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

static const struct option token_options[] = {
	{"groups", OPTION_TEXT, TO_NUMBERS, "groups", "ID,ID", "it sees the devices of these groups alone"},
	{"expires", OPTION_WHEN, TO_BODY, "expires_at", "TIME", "when it ends, such as +90d"},
	REASON,
};

/* Calls without a body take the reason as a parameter. */
static const struct option why_options[] = {
	{"reason", OPTION_TEXT, TO_QUERY, "reason", "TEXT", "why; kept in the history"},
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

static const struct column group_columns[] = {
	{"ID", "id", CELL_NUMBER},
	{"NAME", "name", CELL_TEXT},
	{"MEMBERS", "members", CELL_NUMBER},
	{"FILTER", "filter", CELL_TEXT},
	{"DESCRIPTION", "description", CELL_TEXT},
};

static const struct option audit_options[] = {
	{"actor", OPTION_TEXT, TO_QUERY, "actor", "NAME", "only what this token, subject or role did"},
	{"action", OPTION_TEXT, TO_QUERY, "action", "WORD", "only this: created, changed, removed, approved ..."},
	{"kind", OPTION_TEXT, TO_QUERY, "kind", "WORD", "only what was done to objects such as device or token"},
	{"id", OPTION_TEXT, TO_QUERY, "id", "ID", "only to the one with this serial, number or name"},
	{"device", OPTION_TEXT, TO_QUERY, "device", "SERIAL", "only what concerns this device"},
	{"since", OPTION_WHEN, TO_QUERY, "since", "TIME", "at or after, such as -24h"},
	{"until", OPTION_WHEN, TO_QUERY, "until", "TIME", "before"},
	PAGE,
};

static const struct option audit_export_options[] = {
	{"after", OPTION_INT, TO_QUERY, "after", "NUMBER", "go on after the last entry of the export before"},
};

static const struct option audit_verify_options[] = {
	{"key", OPTION_TEXT, TO_COMMAND, NULL, "FILE,FILE", "public keys (PEM) that may have signed checkpoints"},
	{"checkpoints", OPTION_TEXT, TO_COMMAND, NULL, "FILE", "the signer's file of checkpoints, or a copy of it"},
	{"after", OPTION_INT, TO_COMMAND, NULL, "NUMBER", "the export was made with --after NUMBER"},
};

static const struct column audit_columns[] = {
	{"NUMBER", "number", CELL_NUMBER}, {"AT", "at", CELL_TEXT},     {"BY", "actor", CELL_TEXT},
	{"ACTION", "action", CELL_TEXT},   {"KIND", "kind", CELL_TEXT}, {"ID", "id", CELL_TEXT},
	{"OLD", "old", CELL_TEXT},         {"NEW", "new", CELL_TEXT},   {"REASON", "reason", CELL_TEXT},
};

static const struct option stream_options[] = {
	{"device", OPTION_TEXT, TO_QUERY, "device", "SERIAL", "only of this device"},
	{"group", OPTION_TEXT, TO_QUERY, "group", "NAME", "only of the devices in this group"},
	{"type", OPTION_TEXT, TO_QUERY, "type", "TYPE,TYPE", "only of these types, such as device.lifecycle"},
	{"count", OPTION_INT, TO_COMMAND, NULL, "N", "end after so many events"},
};

static const struct column token_columns[] = {
	{"ID", "id", CELL_NUMBER},
	{"NAME", "name", CELL_TEXT},
	{"ROLE", "role", CELL_TEXT},
	{"GROUPS", "groups", CELL_TEXT},
	{"USED", "last_used_at", CELL_AGO},
	{"EXPIRES", "expires_at", CELL_TEXT},
	{"REVOKED", "revoked_at", CELL_TEXT},
	{"MADE BY", "created_by", CELL_TEXT},
};

#define WISH                                                                                                           \
	{"reason", OPTION_TEXT, TO_BODY, "reason", "TEXT", "why; kept with the request"},                              \
		{"not-before", OPTION_WHEN, TO_BODY, "not_before", "TIME", "no device does it before"},                \
		{"expires", OPTION_WHEN, TO_BODY, "expires_at", "TIME", "no device begins it after, such as +7d"},     \
	{                                                                                                              \
		"shipment", OPTION_TEXT, TO_BODY, "shipment_override", "NAME",                                         \
			"the active shipment in spite of which a device is halted"                                     \
	}

static const struct option wish_options[] = {WISH};
static const struct option disable_options[] = {
	{"mode", OPTION_TEXT, TO_BODY, "arguments.mode", "radio-off|halt", "stop sending, or measuring too"},
	{"until", OPTION_WHEN, TO_SECONDS, "arguments.until", "TIME", "then it goes on by itself"},
	WISH,
};
static const struct option resend_options[] = {
	{"first", OPTION_INT, TO_BODY, "arguments.first", "NUMBER", "from this sample on"},
	{"last", OPTION_INT, TO_BODY, "arguments.last", "NUMBER", "up to this sample"},
	{"epoch", OPTION_INT, TO_BODY, "arguments.epoch", "NUMBER", "of this epoch; else of the present one"},
	WISH,
};
static const struct option many_options[] = {
	{"serials", OPTION_TEXT, TO_LIST, "target.serials", "SERIAL,SERIAL", "these devices"},
	{"group", OPTION_TEXT, TO_BODY, "target.group", "NAME", "the devices of this group"},
	{"rate", OPTION_INT, TO_BODY, "rate", "N", "at most so many devices a second"},
	WISH,
};
static const struct option commands_options[] = {
	{"device", OPTION_TEXT, TO_QUERY, "device", "SERIAL", "of this device"},
	{"state", OPTION_TEXT, TO_QUERY, "state", "WORD,WORD", "in one of these states, such as waiting"},
	{"operation", OPTION_TEXT, TO_QUERY, "operation", "NAME", "of this operation"},
	{"request", OPTION_TEXT, TO_QUERY, "request", "ID", "of this request"},
	{"since", OPTION_WHEN, TO_QUERY, "since", "TIME", "asked for since"},
	PAGE,
};
static const struct option requests_options[] = {
	{"state", OPTION_TEXT, TO_QUERY, "state", "awaiting_approval|active|paused|refused|cancelled", "in this state"},
	PAGE,
};
static const struct option decide_options[] = {
	REASON,
	{"yes", OPTION_FLAG, TO_COMMAND, NULL, NULL, "do not ask: what it is about has been read"},
};

static const struct column command_columns[] = {
	{"ID", "id", CELL_TEXT},       {"SERIAL", "serial", CELL_TEXT},     {"OPERATION", "operation", CELL_TEXT},
	{"STATE", "state", CELL_TEXT}, {"ASKED", "requested_at", CELL_AGO}, {"BY", "requested_by", CELL_TEXT},
	{"SENT", "sent_at", CELL_AGO}, {"ENDED", "ended_at", CELL_AGO},     {"DETAIL", "detail", CELL_TEXT},
};
static const struct column request_columns[] = {
	{"ID", "id", CELL_TEXT},
	{"OPERATION", "operation", CELL_TEXT},
	{"DEVICES", "device_count", CELL_NUMBER},
	{"STATE", "state", CELL_TEXT},
	{"ASKED", "requested_at", CELL_AGO},
	{"BY", "requested_by", CELL_TEXT},
	{"REASON", "reason", CELL_TEXT},
};

static const struct option shipments_options[] = {
	{"state", OPTION_TEXT, TO_QUERY, "state", "ready|shipping|delivered|closed|cancelled", "only in this state"},
	{"decision", OPTION_TEXT, TO_QUERY, "decision", "none|released|quarantined|rejected",
	 "only those so decided on"},
	{"device", OPTION_TEXT, TO_QUERY, "device", "SERIAL", "only those that this device watched"},
	{"lot", OPTION_TEXT, TO_QUERY, "lot", "NUMBER", "only those with this lot"},
	{"reference", OPTION_TEXT, TO_QUERY, "reference", "TEXT", "only the one with this reference"},
	PAGE,
};

static const struct column shipment_columns[] = {
	{"ID", "id", CELL_NUMBER},
	{"REFERENCE", "reference", CELL_TEXT},
	{"STATE", "state", CELL_TEXT},
	{"FROM", "lane.origin", CELL_TEXT},
	{"TO", "lane.destination", CELL_TEXT},
	{"DEVICES", "devices", CELL_NUMBER},
	{"EXCURSIONS", "excursions.standing", CELL_NUMBER},
	{"ALARMED", "excursions.alarmed", CELL_NUMBER},
	{"DECISION", "decision.decision", CELL_TEXT},
	{"LEFT", "started_at", CELL_AGO},
	{"ARRIVED", "delivered_at", CELL_AGO},
};

static const struct option shipment_create_options[] = {
	{"product", OPTION_TEXT, TO_FIRST, "lots.product", "NAME",
	 "product of its first lot; products list has the names"},
	{"lot", OPTION_TEXT, TO_FIRST, "lots.number", "NUMBER", "that lot, as its maker writes it"},
	{"expires", OPTION_TEXT, TO_FIRST, "lots.expires_on", "DATE", "its expiry date"},
	{"quantity", OPTION_INT, TO_FIRST, "lots.quantity", "N", "how many of it, in units of sale"},
	{"origin", OPTION_TEXT, TO_BODY, "lane.origin", "PLACE", "from where"},
	{"destination", OPTION_TEXT, TO_BODY, "lane.destination", "PLACE", "where to"},
	{"carrier", OPTION_TEXT, TO_BODY, "lane.carrier", "NAME", "with whom"},
	{"ignore", OPTION_INT, TO_BODY, "ignore_s", "SECONDS",
	 "readings are not judged for so long after the start (default 600)"},
	{"note", OPTION_TEXT, TO_BODY, "note", "TEXT", "what else"},
	REASON,
};

static const struct option assign_options[] = {
	{"probe", OPTION_INT, TO_BODY, "probe", "N", "which of its probes (default 0)"},
	{"lot", OPTION_TEXT, TO_BODY, "lot", "NUMBER", "which lot it watches (default: the only one)"},
	{"product", OPTION_TEXT, TO_BODY, "product", "NAME", "whose lot, where two products have one of this number"},
	{"profile-version", OPTION_INT, TO_BODY, "profile_version", "N",
	 "default: the one that holds on the first day"},
	{"role", OPTION_TEXT, TO_BODY, "role", "product|ambient", "ambient is never judged"},
	{"from", OPTION_WHEN, TO_BODY, "from", "TIME", "when it begins to watch (default: now)"},
	{"to", OPTION_WHEN, TO_BODY, "to", "TIME", "when it ends"},
	{"interval", OPTION_INT, TO_BODY, "sample_interval_s", "SECONDS", "how often it measures (default 600)"},
	REASON,
};

static const struct option step_options[] = {
	{"at", OPTION_WHEN, TO_BODY, "at", "TIME", "when it really was (default: now)"},
	REASON,
};

static const struct option figures_options[] = {
	{"device", OPTION_TEXT, TO_QUERY, "device", "SERIAL", "only of this device"},
	{"lot", OPTION_TEXT, TO_QUERY, "lot", "NUMBER", "only of this lot"},
	{"from", OPTION_WHEN, TO_QUERY, "from", "TIME", "over what was measured at or after"},
	{"to", OPTION_WHEN, TO_QUERY, "to", "TIME", "over what was measured before"},
};

static const struct option report_options[] = {
	{"format", OPTION_TEXT, TO_QUERY, "format", "html|json", "as a document into a file; html prints, with charts"},
};

#define EXCURSION_STATE                                                                                                \
	{                                                                                                              \
		"state", OPTION_TEXT, TO_QUERY, "state", "standing|open|ended|merged|retracted",                       \
			"in this state (default standing: open or ended)"                                              \
	}

static const struct option shipment_excursions_options[] = {EXCURSION_STATE, PAGE};

static const struct option excursions_options[] = {
	EXCURSION_STATE,
	{"kind", OPTION_TEXT, TO_QUERY, "kind", "CODE", "only of bands with this code"},
	{"device", OPTION_TEXT, TO_QUERY, "device", "SERIAL", "only of this device"},
	{"lot", OPTION_TEXT, TO_QUERY, "lot", "NUMBER", "only of lots with this number"},
	{"shipment", OPTION_INT, TO_QUERY, "shipment", "ID", "only of this shipment"},
	{"since", OPTION_WHEN, TO_QUERY, "since", "TIME", "that began at or after, such as -24h"},
	{"until", OPTION_WHEN, TO_QUERY, "until", "TIME", "that began before"},
	PAGE,
};

static const struct column excursion_columns[] = {
	{"ID", "id", CELL_NUMBER},           {"STATE", "state", CELL_TEXT},      {"KIND", "kind", CELL_TEXT},
	{"SHIPMENT", "shipment", CELL_TEXT}, {"LOT", "lot", CELL_TEXT},          {"SERIAL", "serial", CELL_TEXT},
	{"PROBE", "probe", CELL_NUMBER},     {"MIN °C", "min_c", CELL_TENTHS},   {"MAX °C", "max_c", CELL_TENTHS},
	{"OUT S", "out_s", CELL_NUMBER},     {"BEGAN", "started_at", CELL_TEXT}, {"ALARM", "alarm_at", CELL_TEXT},
};

static const struct column product_columns[] = {
	{"ID", "id", CELL_NUMBER},
	{"NAME", "name", CELL_TEXT},
	{"MANUFACTURER", "manufacturer", CELL_TEXT},
	{"FROZEN", "frozen", CELL_TEXT},
};

static const struct column profile_columns[] = {
	{"NAME", "name", CELL_TEXT},
	{"VERSION", "version", CELL_NUMBER},
	{"TITLE", "title", CELL_TEXT},
	{"PRODUCT", "product", CELL_TEXT},
	{"FROM °C", "storage_lower_c", CELL_TENTHS},
	{"TO °C", "storage_upper_c", CELL_TENTHS},
};

const struct command commands[] = {
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
	{.name = "loggers import",
	 .args = "FILE",
	 .help = "Import a file of a Q-tag or Fridge-tag logger",
	 .method = "POST",
	 .path = "/v1/devices/{serial}/logger-files",
	 OPTIONS(logger_import_options),
	 .run = run_logger_import},
	{.name = "loggers list",
	 .args = "SERIAL",
	 .help = "Files that were imported of a logger",
	 .method = "GET",
	 .path = "/v1/devices/{serial}/logger-files",
	 OPTIONS(list_options),
	 COLUMNS(logger_columns),
	 .run = run_list},
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
	{.name = "alarms list",
	 .args = "",
	 .help = "Alarms, the latest first",
	 .method = "GET",
	 .path = "/v1/alarms",
	 OPTIONS(alarm_options),
	 COLUMNS(alarm_columns),
	 .run = run_list},
	{.name = "alarms ack",
	 .args = "ID",
	 .help = "Acknowledge an alarm, with a reason",
	 .method = "POST",
	 .path = "/v1/alarms/{id}:acknowledge",
	 OPTIONS(alarm_ack_options),
	 .run = run_act},
	{.name = "rules list",
	 .args = "",
	 .help = "Rules of alarms: for all devices, a model, a group or a device",
	 .method = "GET",
	 .path = "/v1/alarm-rules",
	 OPTIONS(rule_options),
	 COLUMNS(rule_columns),
	 .run = run_list},
	{.name = "rules show",
	 .args = "ID",
	 .help = "One rule of alarms",
	 .method = "GET",
	 .path = "/v1/alarm-rules/{id}",
	 .run = run_show},
	{.name = "rules create",
	 .args = "KIND NAME=VALUE...",
	 .help = "Make one with device=SERIAL, group:=ID or model.manufacturer= and model.name=",
	 .method = "POST",
	 .path = "/v1/alarm-rules",
	 .fields = "kind",
	 OPTIONS(create_options),
	 .run = run_act},
	{.name = "rules set",
	 .args = "ID NAME=VALUE...",
	 .help = "Change one, such as after_s:=900 or enabled:=false",
	 .method = "PATCH",
	 .path = "/v1/alarm-rules/{id}",
	 .if_match = true,
	 OPTIONS(set_options),
	 .run = run_act},
	{.name = "rules delete",
	 .args = "ID",
	 .help = "Delete one: what is said for more devices counts again",
	 .method = "DELETE",
	 .path = "/v1/alarm-rules/{id}",
	 OPTIONS(why_options),
	 .run = run_act},
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
	{.name = "disable",
	 .args = "SERIAL",
	 .help = "Turn a tracker off until it is enabled: somebody else has to approve",
	 .method = "POST",
	 .path = "/v1/devices/{serial}/commands",
	 .preset = "operation=disable",
	 OPTIONS(disable_options),
	 .run = run_ask},
	{.name = "enable",
	 .args = "SERIAL",
	 .help = "Undo a disable: somebody else has to approve",
	 .method = "POST",
	 .path = "/v1/devices/{serial}/commands",
	 .preset = "operation=enable",
	 OPTIONS(wish_options),
	 .run = run_ask},
	{.name = "locate",
	 .args = "SERIAL",
	 .help = "Have a tracker say where it is",
	 .method = "POST",
	 .path = "/v1/devices/{serial}/commands",
	 .preset = "operation=locate",
	 OPTIONS(wish_options),
	 .run = run_ask},
	{.name = "report-now",
	 .args = "SERIAL",
	 .help = "Have a tracker send what it has",
	 .method = "POST",
	 .path = "/v1/devices/{serial}/commands",
	 .preset = "operation=report-now",
	 OPTIONS(wish_options),
	 .run = run_ask},
	{.name = "reboot",
	 .args = "SERIAL",
	 .help = "Have a tracker start anew",
	 .method = "POST",
	 .path = "/v1/devices/{serial}/commands",
	 .preset = "operation=reboot",
	 OPTIONS(wish_options),
	 .run = run_ask},
	{.name = "resend",
	 .args = "SERIAL",
	 .help = "Have a tracker send samples again (needs --first and --last)",
	 .method = "POST",
	 .path = "/v1/devices/{serial}/commands",
	 .preset = "operation=resend",
	 OPTIONS(resend_options),
	 .run = run_ask},
	{.name = "commands make",
	 .args = "OPERATION [NAME=VALUE...]",
	 .help = "A command to many devices; arguments.NAME=VALUE, target.filter.NAME=VALUE",
	 .method = "POST",
	 .path = "/v1/commands",
	 .fields = "operation",
	 OPTIONS(many_options),
	 .run = run_ask},
	{.name = "commands list",
	 .args = "",
	 .help = "Commands to devices, the latest first",
	 .method = "GET",
	 .path = "/v1/commands",
	 OPTIONS(commands_options),
	 COLUMNS(command_columns),
	 .run = run_list},
	{.name = "commands show",
	 .args = "ID",
	 .help = "One command, its history, and what the device replied",
	 .method = "GET",
	 .path = "/v1/commands/{id}",
	 .run = run_show},
	{.name = "commands cancel",
	 .args = "ID",
	 .help = "Cancel a command that is not sent",
	 .method = "POST",
	 .path = "/v1/commands/{id}:cancel",
	 OPTIONS(create_options),
	 .run = run_act},
	{.name = "requests list",
	 .args = "",
	 .help = "Requests for commands, the latest first",
	 .method = "GET",
	 .path = "/v1/requests",
	 OPTIONS(requests_options),
	 COLUMNS(request_columns),
	 .run = run_list},
	{.name = "requests show",
	 .args = "ID",
	 .help = "One request, the decisions on it, and how far it is",
	 .method = "GET",
	 .path = "/v1/requests/{id}",
	 .run = run_show},
	{.name = "requests cancel",
	 .args = "ID",
	 .help = "Cancel the commands of a request that are not sent",
	 .method = "POST",
	 .path = "/v1/requests/{id}:cancel",
	 OPTIONS(create_options),
	 .run = run_act},
	{.name = "requests pause",
	 .args = "ID",
	 .help = "Hold the commands of a request that are not sent",
	 .method = "POST",
	 .path = "/v1/requests/{id}:pause",
	 OPTIONS(create_options),
	 .run = run_act},
	{.name = "requests resume",
	 .args = "ID",
	 .help = "Let a paused request go on",
	 .method = "POST",
	 .path = "/v1/requests/{id}:resume",
	 OPTIONS(create_options),
	 .run = run_act},
	{.name = "approve",
	 .args = "REQUEST",
	 .help = "Approve what somebody else has asked for, after looking at it",
	 .method = "POST",
	 .path = "/v1/requests/{id}:approve",
	 OPTIONS(decide_options),
	 .run = run_decide},
	{.name = "refuse",
	 .args = "REQUEST",
	 .help = "Refuse what somebody else has asked for",
	 .method = "POST",
	 .path = "/v1/requests/{id}:refuse",
	 OPTIONS(decide_options),
	 .run = run_decide},
	{.name = "watch",
	 .args = "REQUEST",
	 .help = "How far a request is, until all of its devices have ended",
	 .method = "GET",
	 .path = "/v1/requests/{id}",
	 .run = run_watch},
	{.name = "groups list",
	 .args = "",
	 .help = "Groups of devices",
	 .method = "GET",
	 .path = "/v1/groups",
	 OPTIONS(list_options),
	 COLUMNS(group_columns),
	 .run = run_list},
	{.name = "groups show",
	 .args = "ID",
	 .help = "One group",
	 .method = "GET",
	 .path = "/v1/groups/{id}",
	 .run = run_show},
	{.name = "groups create",
	 .args = "NAME [NAME=VALUE...]",
	 .help = "Make a group: static, or dynamic with filter.NAME=VALUE",
	 .method = "POST",
	 .path = "/v1/groups",
	 .fields = "name",
	 OPTIONS(create_options),
	 .run = run_act},
	{.name = "groups set",
	 .args = "ID NAME=VALUE...",
	 .help = "Change a group",
	 .method = "PATCH",
	 .path = "/v1/groups/{id}",
	 .if_match = true,
	 OPTIONS(set_options),
	 .run = run_act},
	{.name = "groups delete",
	 .args = "ID",
	 .help = "Delete a group, not its devices",
	 .method = "DELETE",
	 .path = "/v1/groups/{id}",
	 OPTIONS(why_options),
	 .run = run_act},
	{.name = "groups add",
	 .args = "ID SERIAL",
	 .help = "Put a device into a static group",
	 .method = "PUT",
	 .path = "/v1/groups/{id}/members/{serial}",
	 OPTIONS(why_options),
	 .run = run_act},
	{.name = "groups remove",
	 .args = "ID SERIAL",
	 .help = "Take a device out of a static group",
	 .method = "DELETE",
	 .path = "/v1/groups/{id}/members/{serial}",
	 OPTIONS(why_options),
	 .run = run_act},
	{.name = "stream",
	 .args = "",
	 .help = "What happens, as it happens, until it is interrupted",
	 .method = "GET",
	 .path = "/v1/stream",
	 OPTIONS(stream_options),
	 .run = run_stream},
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
	{.name = "shipments list",
	 .args = "",
	 .help = "Shipments, the latest made first",
	 .method = "GET",
	 .path = "/v1/shipments",
	 OPTIONS(shipments_options),
	 COLUMNS(shipment_columns),
	 .run = run_list},
	{.name = "shipments show",
	 .args = "ID",
	 .help = "One shipment, its lots, legs and assignments",
	 .method = "GET",
	 .path = "/v1/shipments/{id}",
	 .run = run_show},
	{.name = "shipments create",
	 .args = "REFERENCE [KEY=VALUE...]",
	 .help = "Make a shipment",
	 .method = "POST",
	 .path = "/v1/shipments",
	 .fields = "reference",
	 OPTIONS(shipment_create_options),
	 .run = run_act},
	{.name = "shipments assign",
	 .args = "ID SERIAL PROFILE",
	 .help = "A device watches a lot of it, judged by a profile",
	 .method = "POST",
	 .path = "/v1/shipments/{id}/assignments",
	 .fields = "serial profile",
	 OPTIONS(assign_options),
	 .run = run_act},
	{.name = "shipments ship",
	 .args = "ID",
	 .help = "It leaves",
	 .method = "POST",
	 .path = "/v1/shipments/{id}:depart",
	 OPTIONS(step_options),
	 .run = run_act},
	{.name = "shipments deliver",
	 .args = "ID",
	 .help = "It arrives",
	 .method = "POST",
	 .path = "/v1/shipments/{id}:arrive",
	 OPTIONS(step_options),
	 .run = run_act},
	{.name = "shipments close",
	 .args = "ID",
	 .help = "Close one that is decided on",
	 .method = "POST",
	 .path = "/v1/shipments/{id}:close",
	 OPTIONS(step_options),
	 .run = run_act},
	{.name = "shipments cancel",
	 .args = "ID",
	 .help = "Cancel one that has not arrived",
	 .method = "POST",
	 .path = "/v1/shipments/{id}:cancel",
	 OPTIONS(step_options),
	 .run = run_act},
	{.name = "shipments decide",
	 .args = "ID DECISION",
	 .help = "Decide what becomes of what it carried: released, quarantined or rejected",
	 .method = "POST",
	 .path = "/v1/shipments/{id}:decide",
	 .fields = "decision",
	 OPTIONS(create_options),
	 .run = run_act},
	{.name = "shipments excursions",
	 .args = "ID",
	 .help = "Its excursions, those that began last first",
	 .method = "GET",
	 .path = "/v1/shipments/{id}/excursions",
	 OPTIONS(shipment_excursions_options),
	 COLUMNS(excursion_columns),
	 .run = run_list},
	{.name = "shipments figures",
	 .args = "ID",
	 .help = "Time in and out of range, what is left, and mean kinetic temperature",
	 .method = "GET",
	 .path = "/v1/shipments/{id}/figures",
	 OPTIONS(figures_options),
	 .run = run_show},
	{.name = "shipments report",
	 .args = "ID",
	 .help = "Its report, to read or into a file",
	 .method = "GET",
	 .path = "/v1/shipments/{id}/report",
	 OPTIONS(report_options),
	 .run = run_report},
	{.name = "shipments epcis",
	 .args = "ID",
	 .help = "What happened to it, as a GS1 EPCIS 2.0 document for partners",
	 .method = "GET",
	 .path = "/v1/shipments/{id}/epcis",
	 .run = run_export},
	{.name = "excursions list",
	 .args = "",
	 .help = "Excursions, those that began last first",
	 .method = "GET",
	 .path = "/v1/excursions",
	 OPTIONS(excursions_options),
	 COLUMNS(excursion_columns),
	 .run = run_list},
	{.name = "excursions show",
	 .args = "ID",
	 .help = "One excursion and everything that was said of it",
	 .method = "GET",
	 .path = "/v1/excursions/{id}",
	 .run = run_show},
	{.name = "products list",
	 .args = "",
	 .help = "Products that lots are of",
	 .method = "GET",
	 .path = "/v1/products",
	 OPTIONS(list_options),
	 COLUMNS(product_columns),
	 .run = run_list},
	{.name = "profiles list",
	 .args = "",
	 .help = "What products bear, by name",
	 .method = "GET",
	 .path = "/v1/profiles",
	 OPTIONS(list_options),
	 COLUMNS(profile_columns),
	 .run = run_list},
	{.name = "profiles show",
	 .args = "NAME",
	 .help = "One profile with its bands",
	 .method = "GET",
	 .path = "/v1/profiles/{name}",
	 .run = run_show},
	{.name = "audit list",
	 .args = "",
	 .help = "Who changed what, when and why, the latest first",
	 .method = "GET",
	 .path = "/v1/audit",
	 OPTIONS(audit_options),
	 COLUMNS(audit_columns),
	 .run = run_list},
	{.name = "audit export",
	 .args = "",
	 .help = "The whole audit trail with hashes and checkpoints, for audit verify",
	 .method = "GET",
	 .path = "/v1/audit:export",
	 OPTIONS(audit_export_options),
	 .run = run_export},
	{.name = "audit verify",
	 .args = "FILE",
	 .help = "Is an exported audit trail whole, unaltered and signed? Needs no API",
	 OPTIONS(audit_verify_options),
	 .run = run_audit_verify},
	{.name = "tokens list",
	 .args = "",
	 .help = "Tokens of people and programs",
	 .method = "GET",
	 .path = "/v1/tokens",
	 OPTIONS(list_options),
	 COLUMNS(token_columns),
	 .run = run_list},
	{.name = "tokens create",
	 .args = "NAME ROLE",
	 .help = "Make a token, which is shown this once",
	 .method = "POST",
	 .path = "/v1/tokens",
	 .fields = "name role",
	 OPTIONS(token_options),
	 .run = run_token_create},
	{.name = "tokens revoke",
	 .args = "ID",
	 .help = "End a token now",
	 .method = "DELETE",
	 .path = "/v1/tokens/{id}",
	 OPTIONS(why_options),
	 .run = run_act},
	{.name = "health",
	 .args = "",
	 .help = "Is the API alive and ready? Needs no token",
	 .method = "GET",
	 .path = "/readyz",
	 .run = run_health},
};
const size_t command_count = COUNT(commands);
