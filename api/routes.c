/* SPDX-License-Identifier: Apache-2.0 */
#include "api/routes.h"

#include <stdlib.h>
#include <string.h>

#include "api/routes/table.h"

#define MOST 256

static const struct route_table *const tables[] = {
	&routes_service, &routes_devices,      &routes_groups,    &routes_telemetry, &routes_exchange, &routes_commands,
	&routes_alarms,  &routes_calibrations, &routes_catalogue, &routes_shipments, &routes_access,
};

const struct route *routes_all(size_t *count)
{
	static struct route all[MOST];
	static size_t have;

	if (have == 0) {
		for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
			if (have + tables[i]->count > MOST)
				abort();
			memcpy(all + have, tables[i]->rows, tables[i]->count * sizeof(all[0]));
			have += tables[i]->count;
		}
	}
	*count = have;
	return all;
}
