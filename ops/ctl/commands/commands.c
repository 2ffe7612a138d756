/* SPDX-License-Identifier: Apache-2.0
 *
 * Commands to devices, and the requests for them. */
#include "ops/ctl/commands/table.h"

#include "ops/ctl/ctl.h"

#define WISH                                                                                                           \
	{"reason", OPTION_TEXT, TO_BODY, "reason", "TEXT", "why; kept with the request"},                              \
		{"not-before", OPTION_WHEN, TO_BODY, "not_before", "TIME", "no device does it before"},                \
		{"expires", OPTION_WHEN, TO_BODY, "expires_at", "TIME", "no device begins it after, such as +7d"},     \
	{                                                                                                              \
		"shipment", OPTION_TEXT, TO_BODY, "shipment_override", "NAME",                                         \
			"the active shipment in spite of which a device is halted"                                     \
	}

static const struct option wish_options[] = {WISH};

static const struct option disable_options[] = {
	{"mode", OPTION_TEXT, TO_BODY, "arguments.mode", "radio-off|halt", "stop sending, or measuring too"},
	{"until", OPTION_WHEN, TO_SECONDS, "arguments.until", "TIME", "then it goes on by itself"},
	WISH,
};

static const struct option resend_options[] = {
	{"first", OPTION_INT, TO_BODY, "arguments.first", "NUMBER", "from this sample on"},
	{"last", OPTION_INT, TO_BODY, "arguments.last", "NUMBER", "up to this sample"},
	{"epoch", OPTION_INT, TO_BODY, "arguments.epoch", "NUMBER", "of this epoch; else of the present one"},
	WISH,
};

static const struct option many_options[] = {
	{"serials", OPTION_TEXT, TO_LIST, "target.serials", "SERIAL,SERIAL", "these devices"},
	{"group", OPTION_TEXT, TO_BODY, "target.group", "NAME", "the devices of this group"},
	{"rate", OPTION_INT, TO_BODY, "rate", "N", "at most so many devices a second"},
	WISH,
};

static const struct option commands_options[] = {
	{"device", OPTION_TEXT, TO_QUERY, "device", "SERIAL", "of this device"},
	{"state", OPTION_TEXT, TO_QUERY, "state", "WORD,WORD", "in one of these states, such as waiting"},
	{"operation", OPTION_TEXT, TO_QUERY, "operation", "NAME", "of this operation"},
	{"request", OPTION_TEXT, TO_QUERY, "request", "ID", "of this request"},
	{"since", OPTION_WHEN, TO_QUERY, "since", "TIME", "asked for since"},
	PAGE,
};

static const struct option requests_options[] = {
	{"state", OPTION_TEXT, TO_QUERY, "state", "awaiting_approval|active|paused|refused|cancelled", "in this state"},
	PAGE,
};

static const struct option decide_options[] = {
	REASON,
	{"yes", OPTION_FLAG, TO_COMMAND, NULL, NULL, "do not ask: what it is about has been read"},
};

static const struct column command_columns[] = {
	{"ID", "id", CELL_TEXT},       {"SERIAL", "serial", CELL_TEXT},     {"OPERATION", "operation", CELL_TEXT},
	{"STATE", "state", CELL_TEXT}, {"ASKED", "requested_at", CELL_AGO}, {"BY", "requested_by", CELL_TEXT},
	{"SENT", "sent_at", CELL_AGO}, {"ENDED", "ended_at", CELL_AGO},     {"DETAIL", "detail", CELL_TEXT},
};

static const struct column request_columns[] = {
	{"ID", "id", CELL_TEXT},
	{"OPERATION", "operation", CELL_TEXT},
	{"DEVICES", "device_count", CELL_NUMBER},
	{"STATE", "state", CELL_TEXT},
	{"ASKED", "requested_at", CELL_AGO},
	{"BY", "requested_by", CELL_TEXT},
	{"REASON", "reason", CELL_TEXT},
};

static const struct command rows[] = {
	{.name = "disable",
	 .args = "SERIAL",
	 .help = "Turn a tracker off until it is enabled: somebody else has to approve",
	 .method = "POST",
	 .path = "/v1/devices/{serial}/commands",
	 .preset = "operation=disable",
	 OPTIONS(disable_options),
	 .run = run_ask},
	{.name = "enable",
	 .args = "SERIAL",
	 .help = "Undo a disable: somebody else has to approve",
	 .method = "POST",
	 .path = "/v1/devices/{serial}/commands",
	 .preset = "operation=enable",
	 OPTIONS(wish_options),
	 .run = run_ask},
	{.name = "locate",
	 .args = "SERIAL",
	 .help = "Have a tracker say where it is",
	 .method = "POST",
	 .path = "/v1/devices/{serial}/commands",
	 .preset = "operation=locate",
	 OPTIONS(wish_options),
	 .run = run_ask},
	{.name = "report-now",
	 .args = "SERIAL",
	 .help = "Have a tracker send what it has",
	 .method = "POST",
	 .path = "/v1/devices/{serial}/commands",
	 .preset = "operation=report-now",
	 OPTIONS(wish_options),
	 .run = run_ask},
	{.name = "reboot",
	 .args = "SERIAL",
	 .help = "Have a tracker start anew",
	 .method = "POST",
	 .path = "/v1/devices/{serial}/commands",
	 .preset = "operation=reboot",
	 OPTIONS(wish_options),
	 .run = run_ask},
	{.name = "resend",
	 .args = "SERIAL",
	 .help = "Have a tracker send samples again (needs --first and --last)",
	 .method = "POST",
	 .path = "/v1/devices/{serial}/commands",
	 .preset = "operation=resend",
	 OPTIONS(resend_options),
	 .run = run_ask},
	{.name = "commands make",
	 .args = "OPERATION [NAME=VALUE...]",
	 .help = "A command to many devices; arguments.NAME=VALUE, target.filter.NAME=VALUE",
	 .method = "POST",
	 .path = "/v1/commands",
	 .fields = "operation",
	 OPTIONS(many_options),
	 .run = run_ask},
	{.name = "commands list",
	 .args = "",
	 .help = "Commands to devices, the latest first",
	 .method = "GET",
	 .path = "/v1/commands",
	 OPTIONS(commands_options),
	 COLUMNS(command_columns),
	 .run = run_list},
	{.name = "commands show",
	 .args = "ID",
	 .help = "One command, its history, and what the device replied",
	 .method = "GET",
	 .path = "/v1/commands/{id}",
	 .run = run_show},
	{.name = "commands cancel",
	 .args = "ID",
	 .help = "Cancel a command that is not sent",
	 .method = "POST",
	 .path = "/v1/commands/{id}:cancel",
	 OPTIONS(create_options),
	 .run = run_act},
	{.name = "requests list",
	 .args = "",
	 .help = "Requests for commands, the latest first",
	 .method = "GET",
	 .path = "/v1/requests",
	 OPTIONS(requests_options),
	 COLUMNS(request_columns),
	 .run = run_list},
	{.name = "requests show",
	 .args = "ID",
	 .help = "One request, the decisions on it, and how far it is",
	 .method = "GET",
	 .path = "/v1/requests/{id}",
	 .run = run_show},
	{.name = "requests cancel",
	 .args = "ID",
	 .help = "Cancel the commands of a request that are not sent",
	 .method = "POST",
	 .path = "/v1/requests/{id}:cancel",
	 OPTIONS(create_options),
	 .run = run_act},
	{.name = "requests pause",
	 .args = "ID",
	 .help = "Hold the commands of a request that are not sent",
	 .method = "POST",
	 .path = "/v1/requests/{id}:pause",
	 OPTIONS(create_options),
	 .run = run_act},
	{.name = "requests resume",
	 .args = "ID",
	 .help = "Let a paused request go on",
	 .method = "POST",
	 .path = "/v1/requests/{id}:resume",
	 OPTIONS(create_options),
	 .run = run_act},
	{.name = "approve",
	 .args = "REQUEST",
	 .help = "Approve what somebody else has asked for, after looking at it",
	 .method = "POST",
	 .path = "/v1/requests/{id}:approve",
	 OPTIONS(decide_options),
	 .run = run_decide},
	{.name = "refuse",
	 .args = "REQUEST",
	 .help = "Refuse what somebody else has asked for",
	 .method = "POST",
	 .path = "/v1/requests/{id}:refuse",
	 OPTIONS(decide_options),
	 .run = run_decide},
	{.name = "watch",
	 .args = "REQUEST",
	 .help = "How far a request is, until all of its devices have ended",
	 .method = "GET",
	 .path = "/v1/requests/{id}",
	 .run = run_watch},
};
const struct part commands_commands = PART_OF(rows);
