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
	{"serial", PARAM_PATH, PARAM_SERIAL, 0, 0, NULL, ""},
	{"limit", PARAM_QUERY, PARAM_INT, 1, 1000, "100", ""},
	{"from", PARAM_QUERY, PARAM_TIME, 0, 0, NULL, ""},
	{"cursor", PARAM_QUERY, PARAM_CURSOR, 0, 0, NULL, ""},
};
static const struct route table[] = {
	{"GET", "/d/{serial}", "", NULL, params, 4, NULL, NULL},
	{"GET", "/d/{serial}/r", "", NULL, params, 4, NULL, NULL},
	{"POST", "/d", "", NULL, NULL, 0, NULL, NULL},
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
