/* SPDX-License-Identifier: Apache-2.0
 *
 * Any request target through the router: what comes out as a value is UTF-8 without control characters and of its
 * parameter's type, whatever went in. */
#include <stdlib.h>
#include <string.h>

#include "api/router.h"
#include "api/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct param params[] = {
	{.name = "serial", .in = PARAM_PATH, .type = PARAM_SERIAL},
	{.name = "limit", .in = PARAM_QUERY, .type = PARAM_INT, .min = 1, .max = 1000, .fallback = "100"},
	{.name = "from", .in = PARAM_QUERY, .type = PARAM_TIME},
	{.name = "cursor", .in = PARAM_QUERY, .type = PARAM_CURSOR},
	{.name = "format", .in = PARAM_QUERY, .type = PARAM_WORD, .words = "json,csv"},
	{.name = "q", .in = PARAM_QUERY, .type = PARAM_TEXT, .min = 1, .max = 64},
};
static const struct route table[] = {
	{.method = "GET", .path = "/d/{serial}", .params = params, .param_count = 6},
	{.method = "GET", .path = "/d/{serial}/r", .params = params, .param_count = 6},
	{.method = "POST", .path = "/d/{serial}:act", .params = params, .param_count = 1},
	{.method = "POST", .path = "/d"},
};

static void must(bool claim)
{
	if (!claim)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct route_match m;
	struct err e = {0};
	char *target = malloc(size + 1);
	must(target != NULL);
	memcpy(target, data, size);
	target[size] = '\0';
	bool ok = route_find(table, 3, "GET", target, &m, &e);
	must(ok == (e.code == ERR_NONE));
	for (size_t i = 0; ok && i < m.route->param_count; i++) {
		const char *v = m.value[i];
		if (v == NULL)
			continue;
		must(url_is_utf8(v, strlen(v)) && strlen(v) < ROUTE_VALUE_MAX);
		for (; *v != '\0'; v++)
			must((unsigned char)*v >= 0x20 && *v != 0x7f);
	}
	free(target);
	return 0;
}
