/* SPDX-License-Identifier: Apache-2.0
 *
 * Calibration records of probes. */
#include "api/routes/table.h"

#include "schema/queries.h"

#define CALIBRATION                                                                                                    \
	{                                                                                                              \
		.name = "id", .in = PARAM_PATH, .type = PARAM_INT, .min = 1, .max = INT32_MAX,                         \
		.help = "the record's number"                                                                          \
	}

static const struct param calibration_params[] = {CALIBRATION};

static const struct param calibrations_params[] = {
	PAGE("records; maybe fewer, so go on until `next` is null"),
	QUERY("due_before", PARAM_TIME, .help = "expired, or not valid any more at that moment; absent: all"),
};

static const struct param calibration_create_params[] = {SERIAL};

static const struct param device_calibrations_params[] = {
	SERIAL,
	PAGE("records"),
	QUERY("probe", PARAM_INT, .min = 0, .max = 32767, .help = "of this probe only"),
};

#define COMPARED_C(name_, help_)                                                                                       \
	{                                                                                                              \
		.name = name_, .type = FIELD_NUMBER, .required = true, .min = -273.15, .max = 1000, .help = help_      \
	}
#define SAID(name_, most, help_)                                                                                       \
	{                                                                                                              \
		.name = name_, .type = FIELD_TEXT, .nullable = true, .min = 1, .max = most, .help = help_              \
	}

static const struct field calibration_point_fields[] = {
	{.name = "status",
	 .type = FIELD_WORD,
	 .words = "as-found,as-left",
	 .help = "before an adjustment, or as the probe left the laboratory; absent: as-left"},
	COMPARED_C("reference_c", "the temperature as the reference has it"),
	COMPARED_C("indicated_c", "what the probe indicated"),
	{.name = "uncertainty_c",
	 .type = FIELD_NUMBER,
	 .required = true,
	 .min = 0.0001,
	 .max = 100,
	 .help = "expanded uncertainty of the difference"},
	{.name = "coverage_factor", .type = FIELD_NUMBER, .min = 1, .max = 10, .help = "its k; absent: 2"},
};

static const struct field calibration_fields[] = {
	{.name = "probe", .type = FIELD_INT, .min = 0, .max = 32767, .help = "which of the device's probes; absent: 0"},
	SAID("probe_serial", 64, "serial number of a probe that can be taken off"),
	TEXT("certificate", true, 100, "number of the certificate"),
	TEXT("laboratory", true, 200, "who calibrated"),
	SAID("accreditation", 200, "the laboratory's accreditation (ISO/IEC 17025)"),
	SAID("reference", 500, "what it was compared with, and to which standard that is traceable"),
	SAID("method", 500, "how: bath, dry block, procedure"),
	{.name = "calibrated_on", .type = FIELD_DATE, .required = true, .help = "day of the calibration"},
	{.name = "valid_until",
	 .type = FIELD_DATE,
	 .nullable = true,
	 .help = "last day on which it holds; it or interval_months"},
	{.name = "interval_months",
	 .type = FIELD_INT,
	 .nullable = true,
	 .min = 1,
	 .max = 120,
	 .help = "after how many months the next one is due"},
	{.name = "fitted_on",
	 .type = FIELD_DATE,
	 .nullable = true,
	 .help = "day from which on the probe is at this device, if later"},
	CELSIUS("lower_c", "lowest temperature that it covers; absent: the lowest as-left point"),
	CELSIUS("upper_c", "highest; absent: the highest as-left point"),
	{.name = "points",
	 .type = FIELD_OBJECTS,
	 .required = true,
	 .max = 100,
	 .fields = calibration_point_fields,
	 .field_count = COUNT(calibration_point_fields),
	 .help = "where the probe was compared, at least one as-left"},
	REASON,
};

static const struct field calibration_void_fields[] = {
	TEXT("reason", true, 2000, "why the record is void; kept with it"),
};

static const struct route rows[] = {
	{.method = "GET",
	 .path = "/v1/devices/{serial}/calibrations",
	 .summary = "Calibration records of a device's probes, void ones too, those that begin last first",
	 .role = "viewer",
	 PARAMS(device_calibrations_params),
	 .statement = &stmt_api_device_calibrations},
	{.method = "POST",
	 .path = "/v1/devices/{serial}/calibrations",
	 .summary = "Record what a calibration certificate says of a probe",
	 .role = "operator",
	 PARAMS(calibration_create_params),
	 FIELDS(calibration_fields),
	 .statement = &stmt_api_calibration_create},
	{.method = "GET",
	 .path = "/v1/calibrations",
	 .summary = "The newest calibration of each probe of devices in service, those that are due first first",
	 .role = "viewer",
	 PARAMS(calibrations_params),
	 .statement = &stmt_api_calibrations},
	{.method = "GET",
	 .path = "/v1/calibrations/{id}",
	 .summary = "One calibration record",
	 .role = "viewer",
	 PARAMS(calibration_params),
	 .statement = &stmt_api_calibration},
	{.method = "POST",
	 .path = "/v1/calibrations/{id}:void",
	 .summary = "Void a calibration record: it covers nothing, and never did",
	 .role = "approver",
	 PARAMS(calibration_params),
	 FIELDS(calibration_void_fields),
	 .statement = &stmt_api_calibration_void},
};
const struct part routes_calibrations = PART_OF(rows);
