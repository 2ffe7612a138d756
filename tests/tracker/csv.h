/* SPDX-License-Identifier: Apache-2.0
 *
 * A recorded series from a CSV file: column `ts` and one column or more of measures under their database names
 * (`temperature_c`, `humidity_pct` ...), optionally `probe`. Rows of one moment become one sample, unless a probe
 * repeats: that starts a further sample, so no row is ever merged away. */
#ifndef COLDFLEET_TRACKER_CSV_H
#define COLDFLEET_TRACKER_CSV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "tests/tracker/sample.h"

struct series {
	struct sample **samples; /* ascending time; rows of equal time keep the order of the file */
	size_t count;
	size_t rows;
};

/* `name` is for messages: "x.csv line 7: temperature_c: expected a number, got 'abc'". Times carry a zone or are UTC.
 */
bool csv_parse(const char *text, size_t len, const char *name, struct series *out, struct err *e);
bool csv_read(const char *path, struct series *out, struct err *e);
void series_free(struct series *s);

/* Adds whole days. */
void series_shift(struct series *s, int64_t days);
/* The least number of days that puts the last sample into the day before `now` (microseconds), not into the future. */
int64_t series_shift_auto(const struct series *s, int64_t now);
/* A number that is the same for the same samples and, nearly always, differs for others. */
uint64_t series_fingerprint(const struct series *s);

/* RFC 3339, zone optional, fraction of up to 6 digits kept. */
bool time_parse(const char *text, size_t len, int64_t *us);

#endif
