/* SPDX-License-Identifier: Apache-2.0
 *
 * What a device told: readings, gaps, and messages that could not be stored. */
#include "api/routes/table.h"

#include "schema/queries.h"

static const struct param readings_params[] = {
	SERIAL,
	QUERY("from", PARAM_TIME, .help = "measured at or after; absent: from the first one"),
	QUERY("to", PARAM_TIME, .help = "measured before; absent: up to the last one"),
	QUERY("limit", PARAM_INT, .min = 1, .max = 1000,
	      .help = "JSON: at most so many readings or buckets, 100 without"),
	QUERY("cursor", PARAM_CURSOR, .help = "JSON: `next` of the page before"),
	QUERY("bucket", PARAM_WORD, .words = "5m,1h,1d",
	      .help = "count, min, mean and max of each probe in such a time"),
	QUERY("format", PARAM_WORD, .words = "json,ndjson,csv", .help = "json in pages, the others whole"),
};

static const struct route_stream readings_streams[] = {
	{"csv", "text/csv; charset=utf-8", &stmt_api_readings_csv},
	{"ndjson", "application/x-ndjson", &stmt_api_readings_ndjson},
};

static const struct param gaps_params[] = {
	SERIAL,
	PAGE("gaps"),
	QUERY("state", PARAM_WORD, .words = "open,closed,all", .fallback = "open", .help = "which ones"),
};

#define REASONS "empty,too-large,syntax,senml,content,clock,topic,unknown-device,conflict,refused"

static const struct param quarantine_params[] = {
	PAGE("messages"),
	QUERY("reason", PARAM_WORD, .words = REASONS, .help = "only those with this reason"),
	QUERY("serial", PARAM_SERIAL, .help = "only those of this device"),
};

static const struct param quarantined_params[] = {
	{.name = "id", .in = PARAM_PATH, .type = PARAM_INT, .min = 1, .max = INT64_MAX, .help = "the message's number"},
};

static const struct route rows[] = {
	{.method = "GET",
	 .path = "/v1/devices/{serial}/readings",
	 .summary = "What a device measured, oldest first",
	 .role = "viewer",
	 PARAMS(readings_params),
	 .statement = &stmt_api_readings,
	 .streams = readings_streams,
	 .stream_count = COUNT(readings_streams)},
	{.method = "GET",
	 .path = "/v1/devices/{serial}/gaps",
	 .summary = "Sample numbers of a device that were passed over",
	 .role = "viewer",
	 PARAMS(gaps_params),
	 .statement = &stmt_api_device_gaps},
	{.method = "GET",
	 .path = "/v1/quarantine",
	 .summary = "Messages that could not be stored as readings, the latest first",
	 .role = "viewer",
	 PARAMS(quarantine_params),
	 .statement = &stmt_api_quarantine},
	{.method = "GET",
	 .path = "/v1/quarantine/{id}",
	 .summary = "One of these messages, byte for byte",
	 .role = "viewer",
	 PARAMS(quarantined_params),
	 .statement = &stmt_api_quarantined},
	{.method = "POST",
	 .path = "/v1/quarantine/{id}:replay",
	 .summary = "Have one of these messages decoded anew",
	 .role = "operator",
	 PARAMS(quarantined_params),
	 .statement = &stmt_api_quarantine_replay},
};
const struct part routes_telemetry = PART_OF(rows);
