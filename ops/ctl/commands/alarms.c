/* SPDX-License-Identifier: Apache-2.0
 *
 * Alarms and their rules. */
#include "ops/ctl/commands/table.h"

#include "ops/ctl/ctl.h"

static const struct option alarm_options[] = {
	{"state", OPTION_TEXT, TO_QUERY, "state", "WORD,WORD", "raised, escalated, acknowledged or cleared"},
	{"kind", OPTION_TEXT, TO_QUERY, "kind", "WORD", "only of this kind, such as door or excursion"},
	{"device", OPTION_TEXT, TO_QUERY, "device", "SERIAL", "only of this device"},
	{"shipment", OPTION_INT, TO_QUERY, "shipment", "NUMBER", "only of this shipment"},
	PAGE,
};

static const struct column alarm_columns[] = {
	{"ID", "id", CELL_NUMBER},
	{"KIND", "kind", CELL_TEXT},
	{"STATE", "state", CELL_TEXT},
	{"DEVICE", "device", CELL_TEXT},
	{"RAISED", "raised_at", CELL_TEXT},
	{"CLEARED", "cleared_at", CELL_TEXT},
	{"BY", "acknowledged_by", CELL_TEXT},
	{"REASON", "acknowledged_why", CELL_TEXT},
};

static const struct option alarm_ack_options[] = {
	{"reason", OPTION_TEXT, TO_BODY, "reason", "TEXT", "what is known or done about it; required"},
};

static const struct option rule_options[] = {
	{"kind", OPTION_TEXT, TO_QUERY, "kind", "WORD", "only of this kind of alarm, such as door or battery"},
	{"device", OPTION_TEXT, TO_QUERY, "device", "SERIAL", "of each kind the one that counts for this device"},
	PAGE,
};

static const struct column rule_columns[] = {
	{"ID", "id", CELL_NUMBER},           {"KIND", "kind", CELL_TEXT},
	{"MODEL", "model.name", CELL_TEXT},  {"GROUP", "group", CELL_NUMBER},
	{"DEVICE", "device", CELL_TEXT},     {"ON", "enabled", CELL_TEXT},
	{"AFTER S", "after_s", CELL_NUMBER}, {"BELOW", "below", CELL_NUMBER},
	{"QUIET S", "quiet_s", CELL_NUMBER}, {"ESCALATES S", "escalate_after_s", CELL_NUMBER},
	{"WAKE S", "wake_s", CELL_NUMBER},
};

static const struct command rows[] = {
	{.name = "alarms list",
	 .args = "",
	 .help = "Alarms, the latest first",
	 .method = "GET",
	 .path = "/v1/alarms",
	 OPTIONS(alarm_options),
	 COLUMNS(alarm_columns),
	 .run = run_list},
	{.name = "alarms ack",
	 .args = "ID",
	 .help = "Acknowledge an alarm, with a reason",
	 .method = "POST",
	 .path = "/v1/alarms/{id}:acknowledge",
	 OPTIONS(alarm_ack_options),
	 .run = run_act},
	{.name = "rules list",
	 .args = "",
	 .help = "Rules of alarms: for all devices, a model, a group or a device",
	 .method = "GET",
	 .path = "/v1/alarm-rules",
	 OPTIONS(rule_options),
	 COLUMNS(rule_columns),
	 .run = run_list},
	{.name = "rules show",
	 .args = "ID",
	 .help = "One rule of alarms",
	 .method = "GET",
	 .path = "/v1/alarm-rules/{id}",
	 .run = run_show},
	{.name = "rules create",
	 .args = "KIND NAME=VALUE...",
	 .help = "Make one with device=SERIAL, group:=ID or model.manufacturer= and model.name=",
	 .method = "POST",
	 .path = "/v1/alarm-rules",
	 .fields = "kind",
	 OPTIONS(create_options),
	 .run = run_act},
	{.name = "rules set",
	 .args = "ID NAME=VALUE...",
	 .help = "Change one, such as after_s:=900 or enabled:=false",
	 .method = "PATCH",
	 .path = "/v1/alarm-rules/{id}",
	 .if_match = true,
	 OPTIONS(set_options),
	 .run = run_act},
	{.name = "rules delete",
	 .args = "ID",
	 .help = "Delete one: what is said for more devices counts again",
	 .method = "DELETE",
	 .path = "/v1/alarm-rules/{id}",
	 OPTIONS(why_options),
	 .run = run_act},
};
const struct part commands_alarms = PART_OF(rows);
