/* SPDX-License-Identifier: Apache-2.0
 *
 * Commands and the requests for them. */
#include "api/routes/table.h"

#include "schema/queries.h"

#define OPERATIONS                                                                                                     \
	"disable,enable,reboot,locate,report-now,resend,set-config,clear-config,update-firmware,rotate-key,"           \
	"restore-defaults"
#define UUID(of)                                                                                                       \
	{                                                                                                              \
		.name = "id", .in = PARAM_PATH, .type = PARAM_TEXT, .min = 36, .max = 36, .help = of                   \
	}
#define WISH                                                                                                           \
	{.name = "operation",                                                                                          \
	 .type = FIELD_WORD,                                                                                           \
	 .required = true,                                                                                             \
	 .words = OPERATIONS,                                                                                          \
	 .help = "what is to be done"},                                                                                \
		{.name = "arguments", .type = FIELD_OBJECT, .help = "of the operation; absent: none"}, WHEN_AND_WHY
#define WHEN_AND_WHY                                                                                                   \
	{.name = "not_before", .type = FIELD_TIME, .help = "no device does it before; absent: now"},                   \
		{.name = "expires_at",                                                                                 \
		 .type = FIELD_TIME,                                                                                   \
		 .help = "no device begins it after; absent: the operation's own time, within a year"},                \
		{.name = "shipment_override",                                                                          \
		 .type = FIELD_TEXT,                                                                                   \
		 .min = 1,                                                                                             \
		 .max = 128,                                                                                           \
		 .help = "the shipment in spite of which a device is halted"},                                         \
		REASON

static const struct field command_make_fields[] = {WISH};

static const struct field target_fields[] = {
	{.name = "serials", .type = FIELD_TEXTS, .max = 20000, .help = "these devices"},
	{.name = "group", .type = FIELD_TEXT, .min = 1, .max = 128, .help = "the devices of this group now, by name"},
	{.name = "filter", .type = FIELD_OBJECT, .help = "the devices that meet these filters of GET /v1/devices now"},
};

static const struct field commands_make_fields[] = {
	PART("target", true, false, target_fields, "one of serials, group or filter"),
	{.name = "rate",
	 .type = FIELD_NUMBER,
	 .min = 0.01,
	 .max = 100000,
	 .help = "at most so many devices a second; absent: as fast as it goes"},
	WISH,
};

static const struct param commands_params[] = {
	PAGE("commands; maybe fewer, so go on until `next` is null"),
	QUERY("device", PARAM_SERIAL, .help = "only those of this device"),
	QUERY("state", PARAM_TEXT, .min = 4, .max = 200,
	      .help = "only those in one of these states, with commas between"),
	QUERY("operation", PARAM_WORD, .words = OPERATIONS, .help = "only those of this operation"),
	QUERY("request", PARAM_TEXT, .min = 36, .max = 36, .help = "only those of this request"),
	QUERY("since", PARAM_TIME, .help = "only those asked for since"),
};

static const struct param requests_params[] = {
	PAGE("requests"),
	QUERY("state", PARAM_WORD, .words = "awaiting_approval,active,paused,refused,cancelled",
	      .help = "only those in this state"),
};

static const struct param command_params[] = {UUID("the command's number")};
static const struct param request_params[] = {UUID("the request's number")};
static const struct field why_fields[] = {REASON};

static const struct field decision_fields[] = {
	{.name = "request_sha256",
	 .type = FIELD_TEXT,
	 .required = true,
	 .min = 64,
	 .max = 64,
	 .help = "of the request as it was shown: that is what is decided on"},
	REASON,
};

static const struct field request_edit_fields[] = {
	{.name = "arguments", .type = FIELD_OBJECT, .help = "of the operation, replaced as a whole"},
	WHEN_AND_WHY,
};

static const struct route rows[] = {
	{.method = "POST",
	 .path = "/v1/devices/{serial}/commands",
	 .summary = "Ask for a command to one device",
	 .role = "operator",
	 PARAMS(device_params),
	 FIELDS(command_make_fields),
	 .statement = &stmt_api_command_make},
	{.method = "POST",
	 .path = "/v1/commands",
	 .summary = "Ask for a command to many devices: listed, of a group, or by filter",
	 .role = "operator",
	 FIELDS(commands_make_fields),
	 .statement = &stmt_api_commands_make},
	{.method = "GET",
	 .path = "/v1/commands",
	 .summary = "Commands, the latest first",
	 .role = "viewer",
	 PARAMS(commands_params),
	 .statement = &stmt_api_commands},
	{.method = "GET",
	 .path = "/v1/commands/{id}",
	 .summary = "One command, its history, and what its device replied",
	 .role = "viewer",
	 PARAMS(command_params),
	 .statement = &stmt_api_command},
	{.method = "POST",
	 .path = "/v1/commands/{id}:cancel",
	 .summary = "Cancel a command that is not sent",
	 .role = "operator",
	 PARAMS(command_params),
	 FIELDS(why_fields),
	 .statement = &stmt_api_command_cancel},
	{.method = "GET",
	 .path = "/v1/requests",
	 .summary = "Requests for commands, the latest first",
	 .role = "viewer",
	 PARAMS(requests_params),
	 .statement = &stmt_api_requests},
	{.method = "GET",
	 .path = "/v1/requests/{id}",
	 .summary = "One request, the decisions on it, and how many of its commands are in which state",
	 .role = "viewer",
	 PARAMS(request_params),
	 .statement = &stmt_api_request},
	{.method = "PATCH",
	 .path = "/v1/requests/{id}",
	 .summary = "Edit a request of one's own that awaits approval",
	 .role = "operator",
	 PARAMS(request_params),
	 FIELDS(request_edit_fields),
	 .if_match = true,
	 .statement = &stmt_api_request_edit},
	{.method = "POST",
	 .path = "/v1/requests/{id}:approve",
	 .summary = "Approve somebody else's request, as it was shown",
	 .role = "approver",
	 PARAMS(request_params),
	 FIELDS(decision_fields),
	 .statement = &stmt_api_request_approve},
	{.method = "POST",
	 .path = "/v1/requests/{id}:refuse",
	 .summary = "Refuse somebody else's request, as it was shown",
	 .role = "approver",
	 PARAMS(request_params),
	 FIELDS(decision_fields),
	 .statement = &stmt_api_request_refuse},
	{.method = "POST",
	 .path = "/v1/requests/{id}:cancel",
	 .summary = "Cancel the commands of a request that are not sent",
	 .role = "operator",
	 PARAMS(request_params),
	 FIELDS(why_fields),
	 .statement = &stmt_api_request_cancel},
	{.method = "POST",
	 .path = "/v1/requests/{id}:pause",
	 .summary = "Hold the commands of a request that are not sent",
	 .role = "operator",
	 PARAMS(request_params),
	 FIELDS(why_fields),
	 .statement = &stmt_api_request_pause},
	{.method = "POST",
	 .path = "/v1/requests/{id}:resume",
	 .summary = "Let a paused request go on",
	 .role = "operator",
	 PARAMS(request_params),
	 FIELDS(why_fields),
	 .statement = &stmt_api_request_resume},
};
const struct part routes_commands = PART_OF(rows);
