/* SPDX-License-Identifier: Apache-2.0
 *
 * Files of loggers. */
#include "ops/ctl/commands/table.h"

#include "ops/ctl/ctl.h"

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

static const struct command rows[] = {
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
};
const struct part commands_loggers = PART_OF(rows);
