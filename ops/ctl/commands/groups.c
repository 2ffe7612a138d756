/* SPDX-License-Identifier: Apache-2.0
 *
 * Groups of devices. */
#include "ops/ctl/commands/table.h"

#include "ops/ctl/ctl.h"

static const struct column group_columns[] = {
	{"ID", "id", CELL_NUMBER},
	{"NAME", "name", CELL_TEXT},
	{"MEMBERS", "members", CELL_NUMBER},
	{"FILTER", "filter", CELL_TEXT},
	{"DESCRIPTION", "description", CELL_TEXT},
};

static const struct command rows[] = {
	{.name = "groups list",
	 .args = "",
	 .help = "Groups of devices",
	 .method = "GET",
	 .path = "/v1/groups",
	 OPTIONS(list_options),
	 COLUMNS(group_columns),
	 .run = run_list},
	{.name = "groups show",
	 .args = "ID",
	 .help = "One group",
	 .method = "GET",
	 .path = "/v1/groups/{id}",
	 .run = run_show},
	{.name = "groups create",
	 .args = "NAME [NAME=VALUE...]",
	 .help = "Make a group: static, or dynamic with filter.NAME=VALUE",
	 .method = "POST",
	 .path = "/v1/groups",
	 .fields = "name",
	 OPTIONS(create_options),
	 .run = run_act},
	{.name = "groups set",
	 .args = "ID NAME=VALUE...",
	 .help = "Change a group",
	 .method = "PATCH",
	 .path = "/v1/groups/{id}",
	 .if_match = true,
	 OPTIONS(set_options),
	 .run = run_act},
	{.name = "groups delete",
	 .args = "ID",
	 .help = "Delete a group, not its devices",
	 .method = "DELETE",
	 .path = "/v1/groups/{id}",
	 OPTIONS(why_options),
	 .run = run_act},
	{.name = "groups add",
	 .args = "ID SERIAL",
	 .help = "Put a device into a static group",
	 .method = "PUT",
	 .path = "/v1/groups/{id}/members/{serial}",
	 OPTIONS(why_options),
	 .run = run_act},
	{.name = "groups remove",
	 .args = "ID SERIAL",
	 .help = "Take a device out of a static group",
	 .method = "DELETE",
	 .path = "/v1/groups/{id}/members/{serial}",
	 OPTIONS(why_options),
	 .run = run_act},
};
const struct part commands_groups = PART_OF(rows);
