/* SPDX-License-Identifier: Apache-2.0
 *
 * Columns of equal time, filled from below in eighths of a character (whole ones in ASCII). */
#include "ops/ctl/chart.h"

#include <math.h>
#include <stdlib.h>

#include "ops/ctl/when.h"

#define LABEL 9 /* "-123.45 " */

struct point {
	double seconds, value;
};

struct chart {
	struct point *points;
	size_t count, room;
};

struct chart *chart_new(void)
{
	struct chart *c = calloc(1, sizeof(*c));
	if (c == NULL)
		abort();
	return c;
}

void chart_free(struct chart **c)
{
	if (*c == NULL)
		return;
	free((*c)->points);
	free(*c);
	*c = NULL;
}

void chart_add(struct chart *c, double seconds, double value)
{
	if (!isfinite(seconds) || !isfinite(value))
		return;
	if (c->count == c->room) {
		c->room = c->room > 0 ? c->room * 2 : 1024;
		c->points = reallocarray(c->points, c->room, sizeof(c->points[0]));
		if (c->points == NULL)
			abort();
	}
	c->points[c->count++] = (struct point){seconds, value};
}

static void bounds(const struct chart *c, struct point *least, struct point *most)
{
	*least = *most = c->points[0];
	for (size_t i = 1; i < c->count; i++) {
		const struct point *p = &c->points[i];
		least->seconds = fmin(least->seconds, p->seconds);
		least->value = fmin(least->value, p->value);
		most->seconds = fmax(most->seconds, p->seconds);
		most->value = fmax(most->value, p->value);
	}
}

/* The mean of each column, NAN where there is none. */
static double *means(const struct chart *c, size_t width, double first, double last)
{
	double *sums = calloc(width, 2 * sizeof(*sums));

	if (sums == NULL)
		abort();
	for (size_t i = 0; i < c->count; i++) {
		double at = last > first ? (c->points[i].seconds - first) / (last - first) * (double)width : 0;
		size_t column = at < (double)width ? (size_t)at : width - 1;
		sums[column] += c->points[i].value;
		sums[width + column] += 1;
	}
	for (size_t i = 0; i < width; i++)
		sums[i] = sums[width + i] > 0 ? sums[i] / sums[width + i] : NAN;
	return sums;
}

static const char *block(double filled, bool utf8)
{
	static const char *const eighths[] = {" ",
					      "\xe2\x96\x81",
					      "\xe2\x96\x82",
					      "\xe2\x96\x83",
					      "\xe2\x96\x84",
					      "\xe2\x96\x85",
					      "\xe2\x96\x86",
					      "\xe2\x96\x87",
					      "\xe2\x96\x88"};

	if (filled <= 0)
		return " ";
	if (filled >= 1)
		return utf8 ? eighths[8] : "#";
	if (!utf8)
		return filled > 0.5 ? "#" : ".";
	return eighths[1 + (size_t)(filled * 7)];
}

static void time_axis(double first, double last, size_t width, FILE *to)
{
	char left[32], right[32];
	time_t ends[] = {(time_t)first, (time_t)last};
	struct tm tm;

	strftime(left, sizeof(left), "%Y-%m-%d %H:%MZ", gmtime_r(&ends[0], &tm));
	strftime(right, sizeof(right), "%Y-%m-%d %H:%MZ", gmtime_r(&ends[1], &tm));
	fprintf(to, "%*s%-*s%s\n", LABEL, "", width > 36 ? (int)width - 17 : 19, left, right);
}

void chart_print(const struct chart *c, const char *title, size_t width, size_t height, bool utf8, FILE *to)
{
	struct point least, most;

	if (c->count == 0)
		return;
	bounds(c, &least, &most);
	double *columns = means(c, width, least.seconds, most.seconds);
	double span = most.value - least.value;
	fprintf(to, "%s: %.4g to %.4g, %zu values\n", title, least.value, most.value, c->count);
	for (size_t row = height; row-- > 0;) {
		if (row == height - 1 || row == 0)
			fprintf(to, "%*.4g ", LABEL - 1, row == 0 ? least.value : most.value);
		else
			fprintf(to, "%*s", LABEL, "");
		for (size_t i = 0; i < width; i++) {
			/* The lowest value is one eighth high: something was measured there. */
			double high = span > 0 ? (columns[i] - least.value) / span * (double)height : 0.5;
			fputs(isnan(high) ? " " : block(fmax(high, 0.1) - (double)row, utf8), to);
		}
		fputc('\n', to);
	}
	time_axis(least.seconds, most.seconds, width, to);
	free(columns);
}
