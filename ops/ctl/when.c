/* SPDX-License-Identifier: Apache-2.0
 *
 * Spans and moments: a table of units, and one sign for before or after now. */
#include "ops/ctl/when.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "api/url.h"

#define SPAN_MAX (INT64_C(100) * 366 * 86400)

static const struct {
	char unit;
	int64_t seconds;
} unit_table[] = {{'w', 604800}, {'d', 86400}, {'h', 3600}, {'m', 60}, {'s', 1}};
#define UNITS (sizeof(unit_table) / sizeof(unit_table[0]))

bool span_parse(const char *text, int64_t *seconds, struct err *e)
{
	const char *at = text;
	int64_t total = 0;
	size_t unit = 0;
	bool ok = *text != '\0';

	while (ok && *at != '\0') {
		const char *number = at;
		int64_t n = 0;
		for (; isdigit((unsigned char)*at) && n <= SPAN_MAX; at++)
			n = n * 10 + (*at - '0');
		while (unit < UNITS && unit_table[unit].unit != *at)
			unit++;
		ok = at > number && unit < UNITS && n <= SPAN_MAX;
		total += ok ? n * unit_table[unit++].seconds : 0;
		at += ok;
	}
	if (!ok || total > SPAN_MAX)
		return err_set(e, ERR_CONFIG, "'%s': expected a span such as 90s, 15m, 1h30m, 7d or 2w", text);
	*seconds = total;
	return true;
}

void span_text(int64_t seconds, char *to, size_t size)
{
	size_t unit = 1;

	while (unit < UNITS - 1 && (seconds == 0 || seconds % unit_table[unit].seconds != 0))
		unit++;
	snprintf(to, size, "%lld%c", (long long)(seconds / unit_table[unit].seconds), unit_table[unit].unit);
}

static void write_utc(time_t at, char to[WHEN_MAX])
{
	struct tm tm;

	gmtime_r(&at, &tm);
	strftime(to, WHEN_MAX, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

bool when_parse(const char *text, time_t now, char to[WHEN_MAX], struct err *e)
{
	size_t len = strlen(text);
	int64_t seconds;

	if (strcmp(text, "now") == 0) {
		write_utc(now, to);
		return true;
	}
	if ((text[0] == '-' || text[0] == '+') && span_parse(text + 1, &seconds, NULL)) {
		time_t at = text[0] == '-' ? now - seconds : now + seconds;
		write_utc(at > 0 ? at : 0, to);
		return true;
	}
	if (len == 10)
		snprintf(to, WHEN_MAX, "%sT00:00:00Z", text);
	else if (len < WHEN_MAX)
		snprintf(to, WHEN_MAX, "%s", text);
	else
		to[0] = '\0';
	return url_time(to) ||
	       err_set(e, ERR_CONFIG, "'%s': expected -24h, +30d, now, 2026-11-22 or 2026-11-22T08:00:00Z", text);
}

double when_seconds(const char *rfc3339)
{
	struct tm tm = {0};
	double fraction = 0;
	const char *rest = strptime(rfc3339, "%Y-%m-%dT%H:%M:%S", &tm);

	if (rest == NULL)
		return NAN;
	if (*rest == '.') {
		double scale = 0.1;
		for (rest++; isdigit((unsigned char)*rest); rest++, scale /= 10)
			fraction += (*rest - '0') * scale;
	}
	return strcmp(rest, "Z") == 0 ? (double)timegm(&tm) + fraction : NAN;
}

void when_ago(const char *rfc3339, time_t now, char *to, size_t size)
{
	double at = when_seconds(rfc3339);

	if (isnan(at)) {
		snprintf(to, size, "%s", rfc3339);
		return;
	}
	/* A second ahead is no more than rounding. */
	double ago = floor((double)now - at);
	ago = ago >= -1 && ago < 0 ? 0 : ago;
	/* Two of a unit before it is used: "90m" says more than "1h". Weeks are left out, days are what people count.
	 */
	size_t unit = 1;
	while (unit < UNITS - 1 && fabs(ago) < 2 * (double)unit_table[unit].seconds)
		unit++;
	snprintf(to, size, "%.0f%c", trunc(ago / (double)unit_table[unit].seconds), unit_table[unit].unit);
}
