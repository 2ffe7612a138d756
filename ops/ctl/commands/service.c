/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether the service works, and what happens as it happens. */
#include "ops/ctl/commands/table.h"

#include "ops/ctl/ctl.h"

static const struct option stream_options[] = {
	{"device", OPTION_TEXT, TO_QUERY, "device", "SERIAL", "only of this device"},
	{"group", OPTION_TEXT, TO_QUERY, "group", "NAME", "only of the devices in this group"},
	{"type", OPTION_TEXT, TO_QUERY, "type", "TYPE,TYPE", "only of these types, such as device.lifecycle"},
	{"count", OPTION_INT, TO_COMMAND, NULL, "N", "end after so many events"},
};

static const struct command rows[] = {
	{.name = "stream",
	 .args = "",
	 .help = "What happens, as it happens, until it is interrupted",
	 .method = "GET",
	 .path = "/v1/stream",
	 OPTIONS(stream_options),
	 .run = run_stream},
	{.name = "health",
	 .args = "",
	 .help = "Is the API alive and ready? Needs no token",
	 .method = "GET",
	 .path = "/readyz",
	 .run = run_health},
};
const struct part commands_service = PART_OF(rows);
