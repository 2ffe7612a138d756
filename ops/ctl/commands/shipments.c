/* SPDX-License-Identifier: Apache-2.0
 *
 * Shipments, what watches them, and excursions. */
#include "ops/ctl/commands/table.h"

#include "ops/ctl/ctl.h"

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

static const struct option leg_options[] = {
	{"started", OPTION_WHEN, TO_BODY, "started_at", "TIME", "when it began, such as now or -2h"},
	{"ended", OPTION_WHEN, TO_BODY, "ended_at", "TIME", "when it ended"},
	REASON,
	IF_MATCH,
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

static const struct command rows[] = {
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
	{.name = "shipments leg",
	 .args = "ID LEG",
	 .help = "Say when a leg of it began or ended, or correct it",
	 .method = "PATCH",
	 .path = "/v1/shipments/{id}/legs/{leg}",
	 .if_match = true,
	 OPTIONS(leg_options),
	 .run = run_act},
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
};
const struct part commands_shipments = PART_OF(rows);
