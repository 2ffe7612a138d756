/* SPDX-License-Identifier: Apache-2.0
 *
 * What a tracker has ever measured, a line a sample: the witness that a test asks what must be in the database. A
 * sample is written down before it goes to flash. Killed in between the tracker takes the number once more: of two
 * lines with one number the later one counts. */
#ifndef COLDFLEET_TRACKER_DIARY_H
#define COLDFLEET_TRACKER_DIARY_H

#include "core/err.h"
#include "tests/tracker/flash.h"

struct diary;

/* DIR/SERIAL.samples, with DIR made when missing; what is in it stays. NULL with `e`. */
struct diary *diary_open(const char *dir, const char *serial, struct err *e);
void diary_close(struct diary **d);

/* One JSON object and a newline: epoch, seq, ts (microseconds) of the flash's next sample, and each measure by name
 * (probe 0 only). Nothing without a diary; a diary that cannot be written ends the process, as a witness that is silent
 * is none. */
void diary_write(struct diary *d, const struct flash *f, int64_t ts, const struct measure *measures, size_t count);

#endif
