/* SPDX-License-Identifier: Apache-2.0
 *
 * A telemetry message that is encoded once and then patched in place: number, time and one digit of each temperature.
 * Full ones have humidity and battery, which stay as they are, in each sample. That is what makes a load generator
 * cheaper than what it loads. Pure. */
#ifndef COLDFLEET_TRACKER_TEMPLATE_H
#define COLDFLEET_TRACKER_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/tracker/encode.h"

#define TEMPLATE_SAMPLES_MAX 1000
#define TEMPLATE_STEP_US     10 /* between two samples; a double holds today's time to a quarter of a microsecond */

struct template;

/* Temperatures are of so many whole degrees Celsius, 0 or more, and some tenths. */
struct template *template_new(enum encoding encoding, int32_t epoch, size_t samples, bool full, int degrees);
void template_free(struct template **t);
/* Number and time (microseconds since 1970) of the first sample; the others follow at TEMPLATE_STEP_US. */
void template_patch(struct template *t, int32_t seq, int64_t ts);
const uint8_t *template_bytes(const struct template *t, size_t *len);

#endif
