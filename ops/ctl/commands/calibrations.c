/* SPDX-License-Identifier: Apache-2.0
 *
 * Calibration records of probes. */
#include "ops/ctl/commands/table.h"

#include "ops/ctl/ctl.h"

static const struct option calibration_options[] = {
	{"probe", OPTION_INT, TO_QUERY, "probe", "N", "only of this probe"},
	PAGE,
};

static const struct option due_options[] = {
	{"before", OPTION_WHEN, TO_QUERY, "due_before", "TIME", "not valid any more then, such as +30d (default: all)"},
	PAGE,
};

static const struct option void_options[] = {
	{"reason", OPTION_TEXT, TO_BODY, "reason", "TEXT", "why the record is void; required"},
};

static const struct column calibration_columns[] = {
	{"ID", "id", CELL_NUMBER},
	{"SERIAL", "serial", CELL_TEXT},
	{"PROBE", "probe", CELL_NUMBER},
	{"STATE", "state", CELL_TEXT},
	{"CERTIFICATE", "certificate", CELL_TEXT},
	{"LABORATORY", "laboratory", CELL_TEXT},
	{"CALIBRATED", "calibrated_on", CELL_TEXT},
	{"VALID UNTIL", "valid_until", CELL_TEXT},
	{"FROM °C", "lower_c", CELL_TENTHS},
	{"TO °C", "upper_c", CELL_TENTHS},
};

static const struct command rows[] = {
	{.name = "calibrations list",
	 .args = "SERIAL",
	 .help = "Calibration records of a device's probes, the latest first",
	 .method = "GET",
	 .path = "/v1/devices/{serial}/calibrations",
	 OPTIONS(calibration_options),
	 COLUMNS(calibration_columns),
	 .run = run_list},
	{.name = "calibrations due",
	 .args = "",
	 .help = "The newest calibration of each probe, those that are due first first",
	 .method = "GET",
	 .path = "/v1/calibrations",
	 OPTIONS(due_options),
	 COLUMNS(calibration_columns),
	 .run = run_list},
	{.name = "calibrations show",
	 .args = "ID",
	 .help = "One calibration record with its points",
	 .method = "GET",
	 .path = "/v1/calibrations/{id}",
	 .run = run_show},
	{.name = "calibrations put",
	 .args = "FILE",
	 .help = "Record certificates from a file of JSON objects, each with the serial of its device",
	 .method = "POST",
	 .path = "/v1/devices/{serial}/calibrations",
	 .run = run_calibrations_put},
	{.name = "calibrations void",
	 .args = "ID",
	 .help = "Void a calibration record, with a reason",
	 .method = "POST",
	 .path = "/v1/calibrations/{id}:void",
	 OPTIONS(void_options),
	 .run = run_act},
};
const struct part commands_calibrations = PART_OF(rows);
