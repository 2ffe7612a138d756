/* SPDX-License-Identifier: Apache-2.0
 *
 * Groups of devices. */
#include "api/routes/table.h"

#include "schema/queries.h"

#define GROUP_ID                                                                                                       \
	{                                                                                                              \
		.name = "id", .in = PARAM_PATH, .type = PARAM_INT, .min = 1, .max = INT32_MAX,                         \
		.help = "the group's number"                                                                           \
	}

static const struct param groups_params[] = {PAGE("groups")};
static const struct param group_params[] = {GROUP_ID};
static const struct param group_delete_params[] = {GROUP_ID, WHY};
static const struct param group_member_params[] = {GROUP_ID, SERIAL, WHY};

#define DESCRIPTION                                                                                                    \
	{                                                                                                              \
		.name = "description", .type = FIELD_TEXT, .nullable = true, .min = 1, .max = 1000,                    \
		.help = "what it is for"                                                                               \
	}

static const struct field group_create_fields[] = {
	{.name = "name", .type = FIELD_TEXT, .required = true, .min = 1, .max = 64, .help = "what people call it"},
	DESCRIPTION,
	{.name = "filter",
	 .type = FIELD_OBJECT,
	 .nullable = true,
	 .help = "filters of GET /v1/devices: makes it dynamic; null or absent: static"},
	REASON,
};

static const struct field group_patch_fields[] = {
	{.name = "name", .type = FIELD_TEXT, .min = 1, .max = 64, .help = "what people call it"},
	DESCRIPTION,
	{.name = "filter", .type = FIELD_OBJECT, .nullable = true, .help = "of a dynamic group, replaced as a whole"},
	REASON,
};

static const struct route rows[] = {
	{.method = "GET",
	 .path = "/v1/groups",
	 .summary = "Groups, in the order in which they were made",
	 .role = "viewer",
	 PARAMS(groups_params),
	 .statement = &stmt_api_groups},
	{.method = "POST",
	 .path = "/v1/groups",
	 .summary = "Make a group: static, or dynamic with a filter",
	 .role = "operator",
	 FIELDS(group_create_fields),
	 .statement = &stmt_api_group_create},
	{.method = "GET",
	 .path = "/v1/groups/{id}",
	 .summary = "One group",
	 .role = "viewer",
	 PARAMS(group_params),
	 .statement = &stmt_api_group},
	{.method = "PATCH",
	 .path = "/v1/groups/{id}",
	 .summary = "Edit a group",
	 .role = "operator",
	 PARAMS(group_params),
	 FIELDS(group_patch_fields),
	 .if_match = true,
	 .statement = &stmt_api_group_patch},
	{.method = "DELETE",
	 .path = "/v1/groups/{id}",
	 .summary = "Delete a group, not its devices",
	 .role = "operator",
	 PARAMS(group_delete_params),
	 .statement = &stmt_api_group_delete},
	{.method = "PUT",
	 .path = "/v1/groups/{id}/members/{serial}",
	 .summary = "Put a device into a static group",
	 .role = "operator",
	 PARAMS(group_member_params),
	 .statement = &stmt_api_group_join},
	{.method = "DELETE",
	 .path = "/v1/groups/{id}/members/{serial}",
	 .summary = "Take a device out of a static group",
	 .role = "operator",
	 PARAMS(group_member_params),
	 .statement = &stmt_api_group_leave},
};
const struct part routes_groups = PART_OF(rows);
