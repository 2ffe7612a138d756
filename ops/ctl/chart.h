/* SPDX-License-Identifier: Apache-2.0
 *
 * A series of values over time as a few lines of a terminal. */
#ifndef COLDFLEET_CTL_CHART_H
#define COLDFLEET_CTL_CHART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct chart;

struct chart *chart_new(void);
void chart_free(struct chart **c);
void chart_add(struct chart *c, double seconds, double value);

/* Values in one column are averaged; where nothing was measured the column stays blank, so that a gap is seen as one.
 * `width` and `height` count characters of the plot itself. Nothing without a value. */
void chart_print(const struct chart *c, const char *title, size_t width, size_t height, bool utf8, FILE *to);

#endif
