/* SPDX-License-Identifier: Apache-2.0
 *
 * Escapes all but the unreserved characters of RFC 3986, so that no argument can become another segment or parameter.
 */
#include "ops/ctl/target.h"

#include <stdio.h>
#include <string.h>

static void put(struct target *t, const char *text, size_t len)
{
	if (t->full || len >= sizeof(t->text) - t->len) {
		t->full = true;
		return;
	}
	memcpy(t->text + t->len, text, len);
	t->len += len;
	t->text[t->len] = '\0';
}

static void put_escaped(struct target *t, const char *text)
{
	static const char unreserved[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

	for (; *text != '\0'; text++) {
		char escape[4];
		if (strchr(unreserved, *text) != NULL) {
			put(t, text, 1);
			continue;
		}
		snprintf(escape, sizeof(escape), "%%%02X", (unsigned)(unsigned char)*text);
		put(t, escape, 3);
	}
}

void target_path(struct target *t, const char *path, char *const *args)
{
	memset(t, 0, sizeof(*t));
	while (*path != '\0') {
		size_t plain = strcspn(path, "{");
		put(t, path, plain);
		path += plain;
		if (*path == '\0')
			return;
		put_escaped(t, *args++);
		path += strcspn(path, "}") + 1;
	}
}

void target_param(struct target *t, const char *name, const char *value)
{
	if (value == NULL)
		return;
	put(t, t->query ? "&" : "?", 1);
	t->query = true;
	put_escaped(t, name);
	put(t, "=", 1);
	put_escaped(t, value);
}

bool target_ok(const struct target *t, struct err *e)
{
	return !t->full ||
	       err_set(e, ERR_CONFIG, "the arguments make an address of more than %d bytes", TARGET_MAX - 1);
}
