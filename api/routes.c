/* SPDX-License-Identifier: Apache-2.0 */
#include "api/routes.h"

#include "api/routes/table.h"

#define MOST 256

static const struct part *const parts[] = {
	&routes_service, &routes_devices,      &routes_groups,    &routes_telemetry, &routes_exchange, &routes_commands,
	&routes_alarms,  &routes_calibrations, &routes_catalogue, &routes_shipments, &routes_access,
};

const struct route *routes_all(size_t *count)
{
	static struct route all[MOST];
	static size_t have;

	if (have == 0)
		have = join(parts, COUNT(parts), sizeof(all[0]), all, MOST);
	*count = have;
	return all;
}
