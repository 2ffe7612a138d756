/* SPDX-License-Identifier: Apache-2.0
 *
 * Matches paths segment by segment while they are still escaped, so an escaped slash never splits one; then decodes
 * and checks each value by its type. */
#include "api/router.h"

#include <stdio.h>
#include <string.h>

#include "api/url.h"

static bool check_serial(const struct param *p, const char *v, char *expected, size_t size)
{
	(void)p;
	size_t len = strlen(v);
	snprintf(expected, size, "1 to 64 of A-Z a-z 0-9 . _ -");
	return len >= 1 && len <= 64 &&
	       strspn(v, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == len;
}

static bool check_int(const struct param *p, const char *v, char *expected, size_t size)
{
	int64_t n;
	snprintf(expected, size, "a whole number from %lld to %lld", (long long)p->min, (long long)p->max);
	return url_int(v, &n) && n >= p->min && n <= p->max;
}

static bool check_time(const struct param *p, const char *v, char *expected, size_t size)
{
	(void)p;
	snprintf(expected, size, "a time like 2026-11-22T08:00:00Z (RFC 3339, with an offset)");
	return url_time(v);
}

static bool check_cursor(const struct param *p, const char *v, char *expected, size_t size)
{
	(void)p;
	size_t len = strlen(v);
	snprintf(expected, size, "the value of `next` from the page before");
	return len >= 1 && len <= 256 &&
	       strspn(v, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") == len;
}

static bool check_word(const struct param *p, const char *v, char *expected, size_t size)
{
	snprintf(expected, size, "one of %s", p->words);
	return url_is_word(v, p->words);
}

static bool check_text(const struct param *p, const char *v, char *expected, size_t size)
{
	if (p->min == p->max)
		snprintf(expected, size, "%lld characters", (long long)p->max);
	else
		snprintf(expected, size, "%lld to %lld characters, not only blanks", (long long)p->min,
			 (long long)p->max);
	return url_is_text(v, p->min, p->max);
}

static const struct {
	bool (*check)(const struct param *p, const char *v, char *expected, size_t size);
	enum err_code code;
} type_table[PARAM_TYPES] = {
	[PARAM_SERIAL] = {check_serial, ERR_INVALID}, [PARAM_INT] = {check_int, ERR_INVALID},
	[PARAM_TIME] = {check_time, ERR_INVALID},     [PARAM_CURSOR] = {check_cursor, ERR_REQUEST},
	[PARAM_WORD] = {check_word, ERR_INVALID},     [PARAM_TEXT] = {check_text, ERR_INVALID},
};

static bool take_value(struct route_match *m, size_t i, const char *from, size_t len, struct err *e)
{
	const struct param *p = &m->route->params[i];
	char expected[128];
	if (m->value[i] != NULL)
		return err_set(e, ERR_REQUEST, "%s: given twice", p->name);
	if (!url_decode(from, len, m->text[i], sizeof(m->text[i]), e))
		return err_prefix(e, "%s: ", p->name);
	m->value[i] = m->text[i];
	if (!type_table[p->type].check(p, m->text[i], expected, sizeof(expected)))
		return err_set(e, type_table[p->type].code, "%s: expected %s, got '%.80s'", p->name, expected,
			       m->text[i]);
	return true;
}

static size_t find_param(const struct route *r, enum param_in in, const char *name, size_t len)
{
	size_t i = 0;
	while (i < r->param_count && !(r->params[i].in == in && strlen(r->params[i].name) == len &&
				       memcmp(r->params[i].name, name, len) == 0))
		i++;
	return i;
}

static bool unknown_param(const struct route *r, const char *name, size_t len, struct err *e)
{
	char known[256] = "";
	for (size_t i = 0; i < r->param_count; i++) {
		size_t at = strlen(known);
		if (r->params[i].in == PARAM_QUERY)
			snprintf(known + at, sizeof(known) - at, "%s%s", at > 0 ? ", " : "", r->params[i].name);
	}
	return err_set(e, ERR_REQUEST, "unknown parameter '%.*s', expected %s", (int)(len < 40 ? len : 40), name,
		       known[0] != '\0' ? known : "none");
}

static bool take_query(struct route_match *m, const char *query, struct err *e)
{
	for (const char *p = query; *p != '\0';) {
		size_t pair = strcspn(p, "&");
		size_t name = strcspn(p, "=&");
		size_t i = find_param(m->route, PARAM_QUERY, p, name);
		if (i == m->route->param_count)
			return unknown_param(m->route, p, name, e);
		size_t skip = name < pair ? name + 1 : pair;
		if (!take_value(m, i, p + skip, pair - skip, e))
			return false;
		p += pair;
		if (*p == '&' && *++p == '\0')
			return err_set(e, ERR_REQUEST, "the query ends with '&'");
	}
	return true;
}

/* How much of the path the {name} before `pattern` stands for: up to the next slash, without the literal end that the
 * pattern has there ("{id}:replay"). A colon begins such an end, so no value has one. 0: it does not fit. */
static size_t path_value(const char *pattern, const char *path, size_t len)
{
	size_t segment = 0, suffix = strcspn(pattern, "/");
	while (segment < len && path[segment] != '/')
		segment++;
	if (segment <= suffix || memcmp(path + segment - suffix, pattern, suffix) != 0 ||
	    memchr(path, ':', segment - suffix) != NULL)
		return 0;
	return segment - suffix;
}

/* Does the path have the shape of the pattern? Values are looked at later, when the method fits too. */
static bool path_fits(const char *pattern, const char *path, size_t len)
{
	const char *end = path + len;
	while (*pattern != '\0' && path < end) {
		if (*pattern != '{') {
			if (*pattern++ != *path++)
				return false;
			continue;
		}
		pattern = strchr(pattern, '}') + 1;
		size_t value = path_value(pattern, path, (size_t)(end - path));
		if (value == 0)
			return false;
		path += value;
	}
	return *pattern == '\0' && path == end;
}

static bool take_path(struct route_match *m, const char *path, struct err *e)
{
	for (const char *pattern = m->route->path; *pattern != '\0';) {
		if (*pattern != '{') {
			pattern++;
			path++;
			continue;
		}
		const char *close = strchr(pattern, '}');
		size_t segment = path_value(close + 1, path, strcspn(path, "?"));
		size_t i = find_param(m->route, PARAM_PATH, pattern + 1, (size_t)(close - pattern - 1));
		if (i == m->route->param_count)
			return err_set(e, ERR_INTERNAL, "route %s names a parameter it does not have", m->route->path);
		if (!take_value(m, i, path, segment, e))
			return false;
		path += segment;
		pattern = close + 1;
	}
	return true;
}

static bool method_fits(const struct route *r, const char *method)
{
	return strcmp(r->method, method) == 0 || (strcmp(method, "HEAD") == 0 && strcmp(r->method, "GET") == 0);
}

static void note_allowed(struct route_match *m, const struct route *r)
{
	size_t at = strlen(m->allow);
	snprintf(m->allow + at, sizeof(m->allow) - at, "%s%s%s", at > 0 ? ", " : "", r->method,
		 strcmp(r->method, "GET") == 0 ? ", HEAD" : "");
}

bool route_find(const struct route *table, size_t count, const char *method, const char *target, struct route_match *m,
		struct err *e)
{
	size_t len = strcspn(target, "?");
	m->route = NULL;
	m->allow[0] = '\0';
	memset(m->value, 0, sizeof(m->value));
	for (size_t i = 0; i < count && m->route == NULL; i++) {
		if (!path_fits(table[i].path, target, len))
			continue;
		if (method_fits(&table[i], method))
			m->route = &table[i];
		else
			note_allowed(m, &table[i]);
	}
	if (m->route == NULL && m->allow[0] != '\0')
		return err_set(e, ERR_METHOD, "%.16s is not known here, expected %s", method, m->allow);
	if (m->route == NULL)
		return err_set(e, ERR_NOT_FOUND, "nothing is served at %.*s", (int)(len < 120 ? len : 120), target);
	if (!take_path(m, target, e) || (target[len] == '?' && !take_query(m, target + len + 1, e)))
		return false;
	for (size_t i = 0; i < m->route->param_count; i++)
		if (m->value[i] == NULL)
			m->value[i] = m->route->params[i].fallback;
	return true;
}
