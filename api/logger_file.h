/* SPDX-License-Identifier: Apache-2.0
 *
 * The text files that Berlinger's Q-tag and Fridge-tag loggers give: an indented tree of what the device is, what it
 * was set to and what it found, then a table of samples. What this file does not know is kept by its path, so nothing
 * that the device says is lost; what it knows is checked to the last character. */
#ifndef COLDFLEET_API_LOGGER_FILE_H
#define COLDFLEET_API_LOGGER_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/err.h"

#define LOGGER_SAMPLES_MAX 65536

/* `json`, to be freed, becomes an object. All values are texts as they stand in the file, times as
 * "2022-11-08T04:49" without a zone, for the file has none:
 *   format    "q-tag" or "fridge-tag"
 *   device, serial, firmware
 *   facts     what the tree says besides the following, by path: {"Conf/Logging Interval": "10"}
 *   limits    [{number, type?, limit_c, minutes}]: what the device alarms by
 *   verdicts  [{number, date?, minutes, started_at?, alarm_at?, ended_at?, extreme_c?, extreme_at?, ambient_c?}]: time
 *             that it counted against a limit, of a stretch of the run or of a day
 *   spans     [{date?, min_c?, min_at?, max_c?, max_at?, mean_c?, mkt_c?}]: its own figures, of the run or of a day
 *   markers   [text]
 *   ts, c, x  of each sample: when, what (null: the device has no value), "x" when it says that it is out of limits
 * ERR_INVALID names the line and what was expected there. */
bool logger_file_read(const char *bytes, size_t len, char **json, struct err *e);

#endif
