/* SPDX-License-Identifier: Apache-2.0
 *
 * Files of loggers, and cce-interop in both directions. */
#include "api/routes/table.h"

#include "api/cce.h"
#include "api/logger_file.h"
#include "schema/queries.h"

static const struct param logger_import_params[] = {
	SERIAL,
	QUERY("zone", PARAM_TEXT, .min = 1, .max = 64,
	      .help = "zone of the device's clock, for the file has none: UTC, Africa/Accra, +02:00"),
	QUERY("reason", PARAM_TEXT, .min = 1, .max = 500, .help = "why; kept with the file"),
};

static const struct route_reader logger_reader = {"text/plain", false, logger_file_read};

static const struct param cce_export_params[] = {
	SERIAL,
	QUERY("from", PARAM_TIME, .help = "measured at or after; absent: from the first one"),
	QUERY("to", PARAM_TIME, .help = "measured before; absent: up to the last one"),
	QUERY("limit", PARAM_INT, .min = 1, .max = 2000, .fallback = "1000",
	      .help = "at most so many records, the oldest; go on behind meta.lastRecordAt"),
};

static const struct route_reader cce_reader = {"application/json", true, cce_read};
static const struct param logger_files_params[] = {SERIAL, PAGE("files")};

static const struct route rows[] = {
	{.method = "GET",
	 .path = "/v1/devices/{serial}/logger-files",
	 .summary = "Files that were imported of a data logger, with what it found itself, the latest first",
	 .role = "viewer",
	 PARAMS(logger_files_params),
	 .statement = &stmt_api_logger_files},
	{.method = "POST",
	 .path = "/v1/devices/{serial}/logger-files",
	 .summary = "Import a file of a Q-tag or Fridge-tag logger: kept as it is, its samples as readings",
	 .role = "operator",
	 PARAMS(logger_import_params),
	 .reader = &logger_reader,
	 .statement = &stmt_api_logger_import},
	{.method = "GET",
	 .path = "/v1/devices/{serial}/cce",
	 .summary = "What a device measured as a transfer of cce-interop 0.8.1 (WHO PQS E006/DS01)",
	 .role = "viewer",
	 PARAMS(cce_export_params),
	 .statement = &stmt_api_cce_export},
	{.method = "POST",
	 .path = "/v1/ems",
	 .summary = "Take a transfer of cce-interop: kept as it is, its temperatures as readings",
	 .role = "operator",
	 .reader = &cce_reader,
	 .statement = &stmt_api_cce_import},
};
const struct part routes_exchange = PART_OF(rows);
