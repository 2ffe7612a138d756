/* SPDX-License-Identifier: Apache-2.0
 *
 * The configuration table at work: INI by inih, one parser a type, and the origin of every value. A reload parses into
 * a copy first, so a file with an error changes nothing. */
#include "core/config.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"

struct origin {
	char text[CONFIG_ORIGIN_MAX]; /* "default", "/etc/x.ini:12", "--set" */
};

struct config {
	const struct config_item *items;
	size_t count;
	unsigned char *values;
	size_t size;
	struct origin *origins;
	char path[CONFIG_TEXT_MAX];
	bool path_required;
	char **assignments; /* of --set */
	size_t assignment_count;
};

static void *xcalloc(size_t count, size_t size)
{
	void *p = calloc(count ? count : 1, size ? size : 1);
	if (p == NULL)
		abort();
	return p;
}

/* A number with an optional unit out of `units`; the plain number has factor 1. */
struct unit {
	const char *name;
	double factor;
};
static const struct unit time_units[] = {{"", 1}, {"ms", 0.001}, {"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}, {0}};
static const struct unit byte_units[] = {{"", 1}, {"KiB", 1024}, {"MiB", 1048576}, {"GiB", 1073741824}, {0}};
static const struct unit no_units[] = {{"", 1}, {0}};

static bool parse_number(const char *text, const struct unit *units, double *out)
{
	char *end;
	errno = 0;
	double number = strtod(text, &end);
	if (end == text || errno != 0 || !isfinite(number))
		return false;
	while (isspace((unsigned char)*end))
		end++;
	for (const struct unit *u = units; u->name != NULL; u++) {
		if (strcmp(end, u->name) == 0) {
			*out = number * u->factor;
			return true;
		}
	}
	return false;
}

static bool parse_bool(const char *text, bool *out)
{
	static const char *const words[2][4] = {{"no", "false", "off", "0"}, {"yes", "true", "on", "1"}};
	for (int value = 0; value < 2; value++) {
		for (int i = 0; i < 4; i++) {
			if (strcasecmp(text, words[value][i]) == 0) {
				*out = value;
				return true;
			}
		}
	}
	return false;
}

static bool check_bounds(const struct config_item *item, double number, struct err *e)
{
	if ((item->min != 0 || item->max != 0) && (number < item->min || number > item->max))
		return err_set(e, ERR_CONFIG, "%s: %g is out of bounds, expected %g to %g", item->key, number,
			       item->min, item->max);
	return true;
}

static const char *type_words(enum config_type type)
{
	switch (type) {
	case CONFIG_TEXT:
		return "text of at most 511 bytes";
	case CONFIG_INT:
		return "a whole number";
	case CONFIG_BOOL:
		return "yes or no";
	case CONFIG_SECONDS:
		return "a duration such as 1.5, 250ms, 30s, 10m, 2h or 400d";
	case CONFIG_BYTES:
		return "a size such as 65536, 64KiB or 2MiB";
	case CONFIG_LOG_LEVEL:
		return "error, warn, info or debug";
	}
	return "?";
}

static bool parse_value(const struct config_item *item, const char *text, unsigned char *values, struct err *e)
{
	void *at = values + item->offset;
	double number = 0;
	bool ok = false;
	switch (item->type) {
	case CONFIG_TEXT:
		ok = strlen(text) < CONFIG_TEXT_MAX;
		if (ok)
			memcpy(at, text, strlen(text) + 1);
		break;
	case CONFIG_INT:
	case CONFIG_BYTES:
		ok = parse_number(text, item->type == CONFIG_INT ? no_units : byte_units, &number) &&
		     floor(number) == number && fabs(number) < 9e15;
		if (ok && !check_bounds(item, number, e))
			return false;
		if (ok)
			*(int64_t *)at = (int64_t)number;
		break;
	case CONFIG_SECONDS:
		ok = parse_number(text, time_units, &number);
		if (ok && !check_bounds(item, number, e))
			return false;
		if (ok)
			*(double *)at = number;
		break;
	case CONFIG_BOOL:
		ok = parse_bool(text, (bool *)at);
		break;
	case CONFIG_LOG_LEVEL:
		ok = log_level_parse(text, (enum log_level *)at);
		break;
	}
	if (!ok)
		return err_set(e, ERR_CONFIG, "%s: expected %s, got '%.80s'", item->key, type_words(item->type),
			       item->secret ? "(secret)" : text);
	return true;
}

static const struct config_item *find_item(const struct config *c, const char *key, size_t *index)
{
	for (size_t i = 0; i < c->count; i++) {
		if (strcmp(c->items[i].key, key) == 0) {
			*index = i;
			return &c->items[i];
		}
	}
	return NULL;
}

static bool section_is_ours(const struct config *c, const char *section, size_t len)
{
	for (size_t i = 0; i < c->count; i++) {
		if (strncmp(c->items[i].key, section, len) == 0 && c->items[i].key[len] == '.')
			return true;
	}
	return false;
}

/* How many letters two keys have in common at their beginnings. */
static size_t common_prefix(const char *a, const char *b)
{
	size_t n = 0;
	while (a[n] != '\0' && a[n] == b[n])
		n++;
	return n;
}

static bool unknown_key(const struct config *c, const char *key, struct err *e)
{
	const char *nearest = c->items[0].key;
	for (size_t i = 1; i < c->count; i++) {
		if (common_prefix(c->items[i].key, key) > common_prefix(nearest, key))
			nearest = c->items[i].key;
	}
	return err_set(e, ERR_CONFIG,
		       "unknown key '%.60s', the nearest known one is '%s' (--help-config lists them all)", key,
		       nearest);
}

static bool assign(struct config *c, const char *key, const char *text, const char *origin, struct err *e)
{
	size_t index;
	const struct config_item *item = find_item(c, key, &index);
	if (item == NULL)
		return unknown_key(c, key, e);
	if (!parse_value(item, text, c->values, e))
		return false;
	snprintf(c->origins[index].text, sizeof(c->origins[index].text), "%s", origin);
	return true;
}

struct config *config_new(const struct config_item *items, size_t count, void *values, size_t size)
{
	struct config *c = xcalloc(1, sizeof(*c));
	c->items = items;
	c->count = count;
	c->values = values;
	c->size = size;
	c->origins = xcalloc(count, sizeof(*c->origins));
	for (size_t i = 0; i < count; i++) {
		struct err e = {0};
		if (!assign(c, items[i].key, items[i].fallback, "default", &e)) {
			log_error("config", "default is wrong: %s", e.detail);
			abort();
		}
	}
	return c;
}

void config_free(struct config **cp)
{
	struct config *c = *cp;
	if (c == NULL)
		return;
	for (size_t i = 0; i < c->assignment_count; i++)
		free(c->assignments[i]);
	free(c->assignments);
	free(c->origins);
	free(c);
	*cp = NULL;
}

struct load {
	struct config *config;
	struct err *err;
	FILE *file;
	int line; /* Debian's inih is built without line numbers in its callback, so the reader counts */
	bool too_long;
	int failed_line; /* the first line that we refused; 0: none */
};

static char *read_line(char *text, int size, void *user)
{
	struct load *load = user;
	char *got = fgets(text, size, load->file);
	if (got == NULL || load->too_long)
		return NULL;
	load->line++;
	load->too_long = strchr(got, '\n') == NULL && !feof(load->file);
	/* inih would take an indented line for more of the value above it. */
	size_t indent = strspn(got, " \t");
	memmove(got, got + indent, strlen(got + indent) + 1);
	return got;
}

static int load_line(void *user, const char *section, const char *name, const char *value)
{
	struct load *load = user;
	char key[128], origin[CONFIG_ORIGIN_MAX];
	if (load->failed_line == 0 && section[0] == '\0') {
		err_set(load->err, ERR_CONFIG, "%.140s:%d: expected a [section] before the first key '%.60s'",
			load->config->path, load->line, name);
		load->failed_line = load->line;
	}
	if (load->failed_line != 0 || !section_is_ours(load->config, section, strlen(section)))
		return 1;
	snprintf(key, sizeof(key), "%s.%s", section, name);
	snprintf(origin, sizeof(origin), "%.140s:%d", load->config->path, load->line);
	if (!assign(load->config, key, value, origin, load->err)) {
		err_prefix(load->err, "%s: ", origin);
		load->failed_line = load->line;
	}
	return 1;
}

static bool load_file(struct config *c, struct err *e)
{
	struct load load = {.config = c, .err = e, .file = fopen(c->path, "re")};
	if (load.file == NULL) {
		if (errno == ENOENT && !c->path_required)
			return true;
		return err_set(e, ERR_CONFIG, "%s: cannot be read: %s", c->path, strerror(errno));
	}
	int bad_line = ini_parse_stream(read_line, &load, load_line, &load);
	bool unread = ferror(load.file) != 0;
	int error = errno;
	fclose(load.file);
	if (unread)
		return err_set(e, ERR_CONFIG, "%s: cannot be read: %s", c->path, strerror(error));
	if (load.too_long)
		return err_set(e, ERR_CONFIG, "%s:%d: the line is too long, expected at most 198 bytes", c->path,
			       load.line);
	if (load.failed_line != 0 && (bad_line == 0 || bad_line >= load.failed_line))
		return false;
	if (bad_line != 0)
		return err_set(e, ERR_CONFIG, "%s:%d: expected '[section]' or 'key = value'", c->path, bad_line);
	return true;
}

bool config_load(struct config *c, const char *path, bool required, struct err *e)
{
	if (strlen(path) >= sizeof(c->path))
		return err_set(e, ERR_CONFIG, "path of the configuration file is too long");
	memcpy(c->path, path, strlen(path) + 1);
	c->path_required = required;
	return load_file(c, e);
}

static bool apply_assignment(struct config *c, const char *assignment, struct err *e)
{
	char key[128];
	const char *equals = strchr(assignment, '=');
	if (equals == NULL || (size_t)(equals - assignment) >= sizeof(key))
		return err_set(e, ERR_CONFIG, "--set '%.80s': expected section.key=value", assignment);
	memcpy(key, assignment, (size_t)(equals - assignment));
	key[equals - assignment] = '\0';
	return assign(c, key, equals + 1, "--set", e) || err_prefix(e, "--set: ");
}

bool config_set(struct config *c, const char *assignment, struct err *e)
{
	if (!apply_assignment(c, assignment, e))
		return false;
	c->assignments = realloc(c->assignments, (c->assignment_count + 1) * sizeof(*c->assignments));
	if (c->assignments == NULL)
		abort();
	c->assignments[c->assignment_count] = strdup(assignment);
	if (c->assignments[c->assignment_count++] == NULL)
		abort();
	return true;
}

static size_t value_size(enum config_type type)
{
	switch (type) {
	case CONFIG_TEXT:
		return CONFIG_TEXT_MAX;
	case CONFIG_BOOL:
		return sizeof(bool);
	case CONFIG_LOG_LEVEL:
		return sizeof(enum log_level);
	case CONFIG_INT:
	case CONFIG_BYTES:
	case CONFIG_SECONDS:
		return 8;
	}
	return 0;
}

static bool value_equal(const struct config_item *item, const unsigned char *a, const unsigned char *b)
{
	if (item->type == CONFIG_TEXT)
		return strcmp((const char *)a + item->offset, (const char *)b + item->offset) == 0;
	return memcmp(a + item->offset, b + item->offset, value_size(item->type)) == 0;
}

bool config_reload(struct config *c, struct err *e)
{
	struct config *fresh_config;
	unsigned char *fresh = xcalloc(1, c->size);
	memcpy(fresh, c->values, c->size);
	fresh_config = config_new(c->items, c->count, fresh, c->size);
	bool ok = config_load(fresh_config, c->path, c->path_required, e);
	for (size_t i = 0; ok && i < c->assignment_count; i++)
		ok = apply_assignment(fresh_config, c->assignments[i], e);
	for (size_t i = 0; ok && i < c->count; i++) {
		const struct config_item *item = &c->items[i];
		if (value_equal(item, c->values, fresh))
			continue;
		if (item->reload) {
			memcpy(c->values + item->offset, fresh + item->offset, value_size(item->type));
			c->origins[i] = fresh_config->origins[i];
			log_info("config", "reloaded key=%s origin=%s", item->key, c->origins[i].text);
		} else {
			log_warn("config", "key=%s changed in the file but needs a restart", item->key);
		}
	}
	config_free(&fresh_config);
	free(fresh);
	return ok;
}

/* As one would write it: the largest unit of which it is a whole number. */
static void print_seconds(double seconds, FILE *to)
{
	static const struct unit units[] = {{"d", 86400}, {"h", 3600}, {"m", 60}, {"s", 1}};
	size_t i = 0;
	while (i < 3 && (seconds == 0 || floor(seconds / units[i].factor) * units[i].factor != seconds))
		i++;
	fprintf(to, "%.15g%s", seconds / units[i].factor, units[i].name);
}

static void print_value(const struct config_item *item, const unsigned char *values, FILE *to)
{
	static const char *const levels[] = {"error", "warn", "info", "debug"};
	const void *at = values + item->offset;
	switch (item->type) {
	case CONFIG_TEXT:
		if (item->secret)
			fputs(*(const char *)at ? "(set)" : "", to);
		else
			fputs(at, to);
		break;
	case CONFIG_INT:
	case CONFIG_BYTES:
		fprintf(to, "%lld", (long long)*(const int64_t *)at);
		break;
	case CONFIG_SECONDS:
		print_seconds(*(const double *)at, to);
		break;
	case CONFIG_BOOL:
		fputs(*(const bool *)at ? "yes" : "no", to);
		break;
	case CONFIG_LOG_LEVEL:
		fputs(levels[*(const enum log_level *)at], to);
		break;
	}
}

void config_print(const struct config *c, FILE *to)
{
	for (size_t i = 0; i < c->count; i++) {
		fprintf(to, "%s = ", c->items[i].key);
		print_value(&c->items[i], c->values, to);
		fprintf(to, "    # %s\n", c->origins[i].text);
	}
}

void config_print_example(const struct config *c, FILE *to)
{
	char section[64] = "";
	for (size_t i = 0; i < c->count; i++) {
		const struct config_item *item = &c->items[i];
		size_t len = strcspn(item->key, ".");
		if (strncmp(section, item->key, len) != 0 || section[len] != '\0') {
			snprintf(section, sizeof(section), "%.*s", (int)len, item->key);
			fprintf(to, "%s[%s]\n", i > 0 ? "\n" : "", section);
		}
		fprintf(to, "# %s%s\n;%s = %s\n", item->help, item->reload ? " (SIGHUP re-reads it)" : "",
			item->key + len + 1, item->fallback);
	}
}
