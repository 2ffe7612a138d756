/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads rows by the header's names, sorts them by time without disturbing rows of equal time, and groups them into
 * samples. */
#include "tests/tracker/csv.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COLUMNS_MAX 32
#define CELL_MAX    64
#define BYTES_MAX   (256u << 20)
#define DAY_US      (INT64_C(86400) * 1000000)
#define TIME_LEAST  (INT64_C(1) << 28) /* RFC 8428 section 4.5.3: below it a time would be relative to now */

enum column { COL_TS = QUANTITIES, COL_PROBE, COL_NONE };

static const struct {
	const char *name;
	int column; /* enum quantity or enum column */
} column_table[] = {
	{"ts", COL_TS},       {"probe", COL_PROBE},   {"temperature_c", Q_TEMP}, {"humidity_pct", Q_HUM},
	{"light_lux", Q_LUX}, {"shock_ms2", Q_SHOCK}, {"battery_pct", Q_BATT},   {"rsrp_dbm", Q_RSRP},
	{"latitude", Q_LAT},  {"longitude", Q_LON},   {"altitude_m", Q_ALT},     {"accuracy_m", Q_ACC},
};
#define COLUMN_NAMES (sizeof(column_table) / sizeof(column_table[0]))

struct row {
	int64_t ts;
	size_t order;
	uint16_t probe;
	uint16_t count;
	struct measure measures[Q_NUMBERS];
};

struct reader {
	const char *name;
	size_t line;
	int columns[COLUMNS_MAX];
	size_t column_count;
	struct row *rows;
	size_t row_count, row_room;
	struct err *e;
};

struct cell {
	const char *text;
	size_t len;
};

static void *must(void *memory)
{
	if (memory == NULL)
		abort();
	return memory;
}

static bool refuse(struct reader *r, const char *what, const char *expected, struct cell got)
{
	return err_set(r->e, ERR_DECODE, "%s line %zu: %s: expected %s, got '%.*s'", r->name, r->line, what, expected,
		       got.len > 40 ? 40 : (int)got.len, got.text);
}

static struct cell trim(struct cell c)
{
	while (c.len > 0 && (c.text[0] == ' ' || c.text[0] == '\t'))
		c = (struct cell){c.text + 1, c.len - 1};
	while (c.len > 0 && (c.text[c.len - 1] == ' ' || c.text[c.len - 1] == '\t' || c.text[c.len - 1] == '\r'))
		c.len--;
	if (c.len >= 2 && c.text[0] == '"' && c.text[c.len - 1] == '"')
		c = (struct cell){c.text + 1, c.len - 2};
	return c;
}

/* No field of ours can hold a comma, so a comma always parts two cells. */
static size_t split(struct cell line, struct cell out[COLUMNS_MAX])
{
	size_t n = 0;

	while (n < COLUMNS_MAX) {
		const char *comma = memchr(line.text, ',', line.len);
		size_t len = comma != NULL ? (size_t)(comma - line.text) : line.len;
		out[n++] = trim((struct cell){line.text, len});
		if (comma == NULL)
			break;
		line = (struct cell){comma + 1, line.len - len - 1};
	}
	return n;
}

static bool digits(const char **p, const char *end, int count, int *out)
{
	*out = 0;
	for (int i = 0; i < count; i++, (*p)++) {
		if (*p == end || **p < '0' || **p > '9')
			return false;
		*out = *out * 10 + (**p - '0');
	}
	return true;
}

static bool literal(const char **p, const char *end, const char *any)
{
	if (*p == end || strchr(any, **p) == NULL || **p == '\0')
		return false;
	(*p)++;
	return true;
}

static bool fraction(const char **p, const char *end, int *us)
{
	int unit = 100000;

	*us = 0;
	if (!literal(p, end, "."))
		return true;
	const char *first = *p;
	for (; *p < end && **p >= '0' && **p <= '9'; (*p)++, unit /= 10)
		*us += (**p - '0') * unit;
	return *p > first;
}

static bool zone(const char **p, const char *end, int *minutes)
{
	int h, m;

	*minutes = 0;
	if (*p == end || literal(p, end, "Zz"))
		return true;
	int sign = **p == '-' ? -1 : 1;
	if (!literal(p, end, "+-") || !digits(p, end, 2, &h) || !literal(p, end, ":") || !digits(p, end, 2, &m) ||
	    h > 23 || m > 59)
		return false;
	*minutes = sign * (h * 60 + m);
	return true;
}

bool time_parse(const char *text, size_t len, int64_t *us)
{
	const char *p = text, *end = text + len;
	struct tm tm = {0}, back;
	int year, month, micro, minutes;

	if (!digits(&p, end, 4, &year) || !literal(&p, end, "-") || !digits(&p, end, 2, &month) ||
	    !literal(&p, end, "-") || !digits(&p, end, 2, &tm.tm_mday) || !literal(&p, end, "Tt ") ||
	    !digits(&p, end, 2, &tm.tm_hour) || !literal(&p, end, ":") || !digits(&p, end, 2, &tm.tm_min))
		return false;
	if (literal(&p, end, ":") && !digits(&p, end, 2, &tm.tm_sec))
		return false;
	if (!fraction(&p, end, &micro) || !zone(&p, end, &minutes) || p != end)
		return false;
	if (tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 59)
		return false;
	tm.tm_year = year - 1900;
	tm.tm_mon = month - 1;
	back = tm;
	time_t t = timegm(&back);
	if (back.tm_mday != tm.tm_mday || back.tm_mon != tm.tm_mon)
		return false;
	*us = ((int64_t)t - minutes * 60) * 1000000 + micro;
	return true;
}

static int column_named(struct cell c)
{
	for (size_t i = 0; i < COLUMN_NAMES; i++)
		if (strlen(column_table[i].name) == c.len && strncasecmp(column_table[i].name, c.text, c.len) == 0)
			return column_table[i].column;
	return COL_NONE;
}

static const char *column_name(int column)
{
	for (size_t i = 0; i < COLUMN_NAMES; i++)
		if (column_table[i].column == column)
			return column_table[i].name;
	return "row";
}

static bool read_header(struct reader *r, struct cell line)
{
	struct cell cells[COLUMNS_MAX];
	unsigned seen = 0;

	r->column_count = split(line, cells);
	for (size_t i = 0; i < r->column_count; i++) {
		r->columns[i] = column_named(cells[i]);
		if (r->columns[i] == COL_NONE)
			return refuse(r, "header", "ts, temperature_c, probe or another column of telemetry.reading",
				      cells[i]);
		if (seen & 1u << r->columns[i])
			return refuse(r, "header", "each column once", cells[i]);
		seen |= 1u << r->columns[i];
	}
	if (!(seen & 1u << COL_TS) || !(seen & ((1u << Q_NUMBERS) - 1)))
		return refuse(r, "header", "column ts and a column such as temperature_c", line);
	return true;
}

static bool read_number(struct cell c, double *out)
{
	char text[CELL_MAX];
	char *end;

	if (c.len == 0 || c.len >= sizeof(text) || memchr("+-.0123456789", c.text[0], 13) == NULL)
		return false;
	memcpy(text, c.text, c.len);
	text[c.len] = '\0';
	*out = strtod(text, &end);
	return *end == '\0' && isfinite(*out) && strpbrk(text, "xX") == NULL;
}

/* "p1" and "1" both name probe 1. */
static bool read_probe(struct cell c, uint16_t *out)
{
	double n;

	if (c.len > 1 && c.text[0] == 'p')
		c = (struct cell){c.text + 1, c.len - 1};
	if (!read_number(c, &n) || n < 0 || n >= PROBES_MAX || n != floor(n))
		return false;
	*out = (uint16_t)n;
	return true;
}

static bool read_cell(struct reader *r, struct row *row, int column, struct cell c)
{
	struct measure *m = &row->measures[row->count];

	if (column == COL_TS) {
		if (!time_parse(c.text, c.len, &row->ts))
			return refuse(r, "ts", "a time such as 2024-05-01T12:00:00Z", c);
		if (row->ts / 1000000 < TIME_LEAST)
			return refuse(r, "ts", "a time after 1978-07-04", c);
		return true;
	}
	if (column == COL_PROBE)
		return read_probe(c, &row->probe) || refuse(r, "probe", "a number from 0 to 255", c);
	if (c.len == 0)
		return true;
	if (!read_number(c, &m->value))
		return refuse(r, column_name(column), "a number", c);
	m->quantity = (uint16_t)column;
	row->count++;
	return true;
}

static bool read_row(struct reader *r, struct cell line)
{
	struct cell cells[COLUMNS_MAX];
	struct row row = {.order = r->row_count};
	size_t n = split(line, cells);

	if (n != r->column_count)
		return err_set(r->e, ERR_DECODE, "%s line %zu: expected %zu columns, got %zu", r->name, r->line,
			       r->column_count, n);
	for (size_t i = 0; i < n; i++)
		if (!read_cell(r, &row, r->columns[i], cells[i]))
			return false;
	if (row.count == 0)
		return refuse(r, "row", "a measure such as temperature_c", line);
	for (uint16_t i = 0; i < row.count; i++)
		row.measures[i].probe = row.probe;
	if (r->row_count == r->row_room) {
		r->row_room = r->row_room > 0 ? r->row_room * 2 : 256;
		r->rows = must(realloc(r->rows, r->row_room * sizeof(row)));
	}
	r->rows[r->row_count++] = row;
	return true;
}

static bool read_lines(struct reader *r, const char *text, size_t len)
{
	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
		text += 3;
		len -= 3;
	}
	while (len > 0) {
		const char *newline = memchr(text, '\n', len);
		size_t n = newline != NULL ? (size_t)(newline - text) : len;
		struct cell line = {text, n};
		r->line++;
		if (trim(line).len > 0 && !(r->column_count == 0 ? read_header(r, line) : read_row(r, line)))
			return false;
		text += n + (newline != NULL);
		len -= n + (newline != NULL);
	}
	if (r->row_count == 0)
		return err_set(r->e, ERR_DECODE, "%s: expected a header line (ts,temperature_c) and rows, found none",
			       r->name);
	return true;
}

static int by_time(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	if (x->ts != y->ts)
		return x->ts < y->ts ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

static bool has_probe(const struct sample *s, uint16_t probe)
{
	for (uint16_t i = 0; i < s->count; i++)
		if (s->measures[i].probe == probe)
			return true;
	return false;
}

static void group(struct reader *r, struct series *out)
{
	struct sample *s = NULL;

	qsort(r->rows, r->row_count, sizeof(*r->rows), by_time);
	out->samples = must(calloc(r->row_count, sizeof(*out->samples)));
	for (size_t i = 0; i < r->row_count; i++) {
		const struct row *row = &r->rows[i];
		if (s == NULL || s->ts != row->ts || has_probe(s, row->probe) || s->count + row->count > MEASURES_MAX) {
			s = must(calloc(1, sizeof(*s)));
			s->ts = row->ts;
			s->seq = (int32_t)out->count;
			out->samples[out->count++] = s;
		}
		s = must(realloc(s, sizeof(*s) + (size_t)(s->count + row->count) * sizeof(struct measure)));
		memcpy(s->measures + s->count, row->measures, row->count * sizeof(struct measure));
		s->count = (uint16_t)(s->count + row->count);
		out->samples[out->count - 1] = s;
	}
	out->rows = r->row_count;
}

bool csv_parse(const char *text, size_t len, const char *name, struct series *out, struct err *e)
{
	struct reader r = {.name = name, .e = e};
	bool ok = read_lines(&r, text, len);

	*out = (struct series){0};
	if (ok)
		group(&r, out);
	free(r.rows);
	return ok;
}

bool csv_read(const char *path, struct series *out, struct err *e)
{
	bool ok = false;
	char *text = NULL;
	size_t len = 0, room = 1 << 16;
	FILE *file = fopen(path, "rb");

	if (file == NULL)
		return err_set(e, ERR_SYSTEM, "%s: %s", path, strerror(errno));
	do {
		room *= 2;
		text = must(realloc(text, room));
		len += fread(text + len, 1, room - len, file);
	} while (len == room && room < BYTES_MAX);
	if (ferror(file))
		err_set(e, ERR_SYSTEM, "%s: read: %s", path, strerror(errno));
	else if (len == room)
		err_set(e, ERR_TOO_LARGE, "%s: expected at most %u bytes", path, BYTES_MAX);
	else
		ok = csv_parse(text, len, path, out, e);
	fclose(file);
	free(text);
	return ok;
}

void series_free(struct series *s)
{
	for (size_t i = 0; i < s->count; i++)
		free(s->samples[i]);
	free(s->samples);
	*s = (struct series){0};
}

void series_shift(struct series *s, int64_t days)
{
	for (size_t i = 0; i < s->count; i++)
		s->samples[i]->ts += days * DAY_US;
}

int64_t series_shift_auto(const struct series *s, int64_t now)
{
	int64_t behind = now - s->samples[s->count - 1]->ts;

	return behind >= 0 ? behind / DAY_US : -((-behind + DAY_US - 1) / DAY_US);
}

static uint64_t mix(uint64_t hash, uint64_t word)
{
	hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
	return hash ^ hash >> 29;
}

uint64_t series_fingerprint(const struct series *s)
{
	uint64_t hash = s->count, bits;

	for (size_t i = 0; i < s->count; i++) {
		hash = mix(hash, (uint64_t)s->samples[i]->ts);
		for (uint16_t k = 0; k < s->samples[i]->count; k++) {
			const struct measure *m = &s->samples[i]->measures[k];
			memcpy(&bits, &m->value, sizeof(bits));
			hash = mix(mix(hash, bits), (uint64_t)m->probe << 16 | m->quantity);
		}
	}
	return mix(hash, hash >> 32);
}
