/* SPDX-License-Identifier: Apache-2.0
 *
 * Shipments, what watches them, and excursions. */
#include "api/routes/table.h"

#include "schema/queries.h"

#define SHIPMENT_STATES "ready,shipping,delivered,closed,cancelled"
#define SHIPMENT        NUMBER("the shipment's number")
#define EXCURSION_STATE                                                                                                \
	QUERY("state", PARAM_WORD, .words = "standing,open,ended,merged,retracted", .fallback = "standing",            \
	      .help = "standing: open or ended")

static const struct param shipments_params[] = {
	PAGE("shipments"),
	QUERY("state", PARAM_WORD, .words = SHIPMENT_STATES, .help = "only those in this state"),
	QUERY("decision", PARAM_WORD, .words = "none,released,quarantined,rejected",
	      .help = "only those so decided on"),
	QUERY("device", PARAM_SERIAL, .help = "only those that this device watched"),
	QUERY("lot", PARAM_TEXT, .min = 1, .max = 64, .help = "only those with this lot, by number"),
	QUERY("reference", PARAM_TEXT, .min = 1, .max = 128, .help = "only the one with this reference"),
};

static const struct param shipment_params[] = {SHIPMENT};
static const struct param shipment_excursions_params[] = {SHIPMENT, PAGE("excursions"), EXCURSION_STATE};

static const struct field lane_fields[] = {
	TEXT("origin", true, 200, "where it begins"),
	TEXT("destination", true, 200, "where it ends"),
	TEXT("carrier", false, 200, "who carries"),
};

static const struct field lot_fields[] = {
	TEXT("product", true, 200, "the product, by name"),
	TEXT("number", true, 64, "the lot's number as its maker writes it"),
	{.name = "expires_on", .type = FIELD_DATE, .nullable = true, .help = "its expiry date"},
	{.name = "quantity",
	 .type = FIELD_INT,
	 .nullable = true,
	 .min = 1,
	 .max = INT32_MAX,
	 .help = "how many, in units of sale"},
};

#define SHIPMENT_TEXTS                                                                                                 \
	PART("lane", false, true, lane_fields, "from where to where with whom"),                                       \
		{.name = "ignore_s",                                                                                   \
		 .type = FIELD_INT,                                                                                    \
		 .min = 0,                                                                                             \
		 .max = 86400,                                                                                         \
		 .help = "readings are not judged for so long after the start, seconds; absent: 600"},                 \
		{.name = "geofenced",                                                                                  \
		 .type = FIELD_BOOL,                                                                                   \
		 .help = "its stages begin and end by the geofences of their places, unless people say it before"},    \
		{.name = "note", .type = FIELD_TEXT, .nullable = true, .min = 1, .max = 2000, .help = "what else"},    \
	{                                                                                                              \
		.name = "lots", .type = FIELD_OBJECTS, .max = 100, FIELDS(lot_fields), .help = "lots that it carries"  \
	}

static const struct field shipment_create_fields[] = {
	TEXT("reference", true, 128, "what logistics people call it"),
	SHIPMENT_TEXTS,
	{.name = "legs", .type = FIELD_OBJECTS, .max = 50, FIELDS(lane_fields), .help = "its stages, in order"},
	REASON,
};

static const struct field shipment_patch_fields[] = {
	TEXT("reference", false, 128, "what logistics people call it"),
	SHIPMENT_TEXTS,
	{.name = "started_at", .type = FIELD_TIME, .help = "when it really left"},
	{.name = "delivered_at", .type = FIELD_TIME, .help = "when it really arrived"},
	REASON,
};

static const struct param leg_params[] = {
	SHIPMENT,
	{.name = "leg", .in = PARAM_PATH, .type = PARAM_INT, .min = 1, .max = 50, .help = "which of its legs, from 1"},
};

static const struct field leg_fields[] = {
	{.name = "started_at", .type = FIELD_TIME, .nullable = true, .help = "when it began; null: it has not"},
	{.name = "ended_at", .type = FIELD_TIME, .nullable = true, .help = "when it ended; null: it has not"},
	REASON,
};

static const struct field shipment_step_fields[] = {
	{.name = "at", .type = FIELD_TIME, .help = "when, in measurement time; absent: now"},
	REASON,
};

static const struct field shipment_decide_fields[] = {
	{.name = "decision",
	 .type = FIELD_WORD,
	 .required = true,
	 .words = "released,quarantined,rejected",
	 .help = "what becomes of what it carries"},
	TEXT("reason", true, 2000, "why"),
};

static const struct param assignment_params[] = {
	SHIPMENT,
	{.name = "assignment",
	 .in = PARAM_PATH,
	 .type = PARAM_INT,
	 .min = 1,
	 .max = INT32_MAX,
	 .help = "the assignment's number"},
};

#define WATCH(need)                                                                                                    \
	{.name = "profile",                                                                                            \
	 .type = FIELD_TEXT,                                                                                           \
	 .required = need,                                                                                             \
	 .min = 1,                                                                                                     \
	 .max = 64,                                                                                                    \
	 .help = "by what it is judged"},                                                                              \
		{.name = "profile_version",                                                                            \
		 .type = FIELD_INT,                                                                                    \
		 .min = 1,                                                                                             \
		 .max = INT32_MAX,                                                                                     \
		 .help = "absent: the one that holds on its first day"},                                               \
		{.name = "role", .type = FIELD_WORD, .words = "product,ambient", .help = "ambient is never judged"},   \
		{.name = "from", .type = FIELD_TIME, .help = "when it begins to watch, in measurement time"},          \
		{.name = "to", .type = FIELD_TIME, .nullable = true, .help = "when it ends; null: it still does"},     \
	{                                                                                                              \
		.name = "sample_interval_s", .type = FIELD_INT, .min = 1, .max = 86400,                                \
		.help = "how often it measures, seconds; 600 unless said"                                              \
	}

static const struct field assignment_create_fields[] = {
	{.name = "serial", .type = FIELD_SERIAL, .required = true, .help = "the device"},
	{.name = "probe", .type = FIELD_INT, .min = 0, .max = 32767, .help = "which of its probes; absent: 0"},
	TEXT("lot", false, 64, "the lot's number; absent: the only one of the shipment"),
	TEXT("product", false, 200, "whose lot, where two products have one of this number"),
	WATCH(true),
	REASON,
};

static const struct field assignment_patch_fields[] = {
	WATCH(false),
	{.name = "withdrawn", .type = FIELD_BOOL, .help = "true: it never was"},
	TEXT("reason", true, 500, "why; kept with the version"),
};

static const struct param shipment_figures_params[] = {
	SHIPMENT,
	QUERY("device", PARAM_SERIAL, .help = "only of this device"),
	QUERY("lot", PARAM_TEXT, .min = 1, .max = 64, .help = "only of this lot, by number"),
	QUERY("from", PARAM_TIME, .help = "over what was measured at or after; absent: from the start"),
	QUERY("to", PARAM_TIME, .help = "over what was measured before; absent: until delivery"),
};

static const struct param shipment_report_params[] = {
	SHIPMENT,
	QUERY("format", PARAM_WORD, .words = "json,html", .help = "html: one document that prints, with charts"),
};

static const struct route_stream shipment_report_streams[] = {
	{"html", "text/html; charset=utf-8", &stmt_api_shipment_report_html},
};

static const struct route_stream shipment_epcis_streams[] = {
	{NULL, "application/ld+json", &stmt_api_shipment_epcis},
};

static const struct param excursions_params[] = {
	PAGE("excursions; maybe fewer, so go on until `next` is null"),
	EXCURSION_STATE,
	QUERY("kind", PARAM_TEXT, .min = 1, .max = 32, .help = "only of bands with this code"),
	QUERY("device", PARAM_SERIAL, .help = "only those of this device"),
	QUERY("lot", PARAM_TEXT, .min = 1, .max = 64, .help = "only those of lots with this number"),
	QUERY("shipment", PARAM_INT, .min = 1, .max = INT32_MAX, .help = "only those of this shipment, by number"),
	QUERY("since", PARAM_TIME, .help = "only those that began at or after"),
	QUERY("until", PARAM_TIME, .help = "only those that began before"),
};

static const struct param excursion_params[] = {
	{.name = "id",
	 .in = PARAM_PATH,
	 .type = PARAM_INT,
	 .min = 1,
	 .max = INT64_MAX,
	 .help = "the excursion's number"},
};

static const struct route rows[] = {
	{.method = "GET",
	 .path = "/v1/shipments",
	 .summary = "Shipments, the latest made first",
	 .role = "viewer",
	 PARAMS(shipments_params),
	 .statement = &stmt_api_shipments},
	{.method = "POST",
	 .path = "/v1/shipments",
	 .summary = "Make a shipment with its lots and legs",
	 .role = "operator",
	 FIELDS(shipment_create_fields),
	 .statement = &stmt_api_shipment_create},
	{.method = "GET",
	 .path = "/v1/shipments/{id}",
	 .summary = "One shipment, its lots, legs and assignments",
	 .role = "viewer",
	 PARAMS(shipment_params),
	 .statement = &stmt_api_shipment},
	{.method = "PATCH",
	 .path = "/v1/shipments/{id}",
	 .summary = "Edit a shipment, correct its times, add lots",
	 .role = "operator",
	 PARAMS(shipment_params),
	 FIELDS(shipment_patch_fields),
	 .if_match = true,
	 .statement = &stmt_api_shipment_patch},
	{.method = "PATCH",
	 .path = "/v1/shipments/{id}/legs/{leg}",
	 .summary = "Say when a leg of a shipment began or ended, or correct it",
	 .role = "operator",
	 PARAMS(leg_params),
	 FIELDS(leg_fields),
	 .if_match = true,
	 .statement = &stmt_api_leg_patch},
	{.method = "POST",
	 .path = "/v1/shipments/{id}:depart",
	 .summary = "A shipment leaves",
	 .role = "operator",
	 PARAMS(shipment_params),
	 FIELDS(shipment_step_fields),
	 .statement = &stmt_api_shipment_depart},
	{.method = "POST",
	 .path = "/v1/shipments/{id}:arrive",
	 .summary = "A shipment arrives",
	 .role = "operator",
	 PARAMS(shipment_params),
	 FIELDS(shipment_step_fields),
	 .statement = &stmt_api_shipment_arrive},
	{.method = "POST",
	 .path = "/v1/shipments/{id}:close",
	 .summary = "Close a shipment that is decided on",
	 .role = "operator",
	 PARAMS(shipment_params),
	 FIELDS(shipment_step_fields),
	 .statement = &stmt_api_shipment_close},
	{.method = "POST",
	 .path = "/v1/shipments/{id}:cancel",
	 .summary = "Cancel a shipment that has not arrived",
	 .role = "operator",
	 PARAMS(shipment_params),
	 FIELDS(shipment_step_fields),
	 .statement = &stmt_api_shipment_cancel},
	{.method = "POST",
	 .path = "/v1/shipments/{id}:decide",
	 .summary = "Decide what becomes of what a shipment carried",
	 .role = "approver",
	 PARAMS(shipment_params),
	 FIELDS(shipment_decide_fields),
	 .statement = &stmt_api_shipment_decide},
	{.method = "GET",
	 .path = "/v1/shipments/{id}/excursions",
	 .summary = "Excursions of a shipment, those that began last first",
	 .role = "viewer",
	 PARAMS(shipment_excursions_params),
	 .statement = &stmt_api_shipment_excursions},
	{.method = "GET",
	 .path = "/v1/shipments/{id}/figures",
	 .summary = "Time in and out of range, what is left, and mean kinetic temperature",
	 .role = "viewer",
	 PARAMS(shipment_figures_params),
	 .statement = &stmt_api_shipment_figures},
	{.method = "GET",
	 .path = "/v1/shipments/{id}/report",
	 .summary = "The report of a shipment, as JSON or as HTML that prints",
	 .role = "viewer",
	 PARAMS(shipment_report_params),
	 .statement = &stmt_api_shipment_report,
	 .streams = shipment_report_streams,
	 .stream_count = COUNT(shipment_report_streams)},
	{.method = "GET",
	 .path = "/v1/shipments/{id}/epcis",
	 .summary = "What happened to a shipment, as a GS1 EPCIS 2.0 document",
	 .role = "viewer",
	 PARAMS(shipment_params),
	 .streams = shipment_epcis_streams,
	 .stream_count = COUNT(shipment_epcis_streams)},
	{.method = "POST",
	 .path = "/v1/shipments/{id}/assignments",
	 .summary = "A probe of a device watches a lot of a shipment",
	 .role = "operator",
	 PARAMS(shipment_params),
	 FIELDS(assignment_create_fields),
	 .statement = &stmt_api_assignment_create},
	{.method = "GET",
	 .path = "/v1/shipments/{id}/assignments/{assignment}",
	 .summary = "One assignment and its versions",
	 .role = "viewer",
	 PARAMS(assignment_params),
	 .statement = &stmt_api_assignment},
	{.method = "PATCH",
	 .path = "/v1/shipments/{id}/assignments/{assignment}",
	 .summary = "Correct an assignment, as a new version",
	 .role = "operator",
	 PARAMS(assignment_params),
	 FIELDS(assignment_patch_fields),
	 .if_match = true,
	 .statement = &stmt_api_assignment_patch},
	{.method = "GET",
	 .path = "/v1/excursions",
	 .summary = "Excursions, those that began last first",
	 .role = "viewer",
	 PARAMS(excursions_params),
	 .statement = &stmt_api_excursions},
	{.method = "GET",
	 .path = "/v1/excursions/{id}",
	 .summary = "One excursion and everything that was said of it",
	 .role = "viewer",
	 PARAMS(excursion_params),
	 .statement = &stmt_api_excursion},
};
const struct part routes_shipments = PART_OF(rows);
