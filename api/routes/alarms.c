/* SPDX-License-Identifier: Apache-2.0
 *
 * Alarms, their rules, and webhooks that are told of them. */
#include "api/routes/table.h"

#include "schema/queries.h"

#define KINDS "excursion,tamper,sensor,door,power,battery,silence,calibration"
#define WEBHOOK_URL                                                                                                    \
	"where it is told; https, at an address of the public Internet unless the configuration allows others"
#define WEBHOOK_KINDS "of which kinds of alarms; null or absent: of all"
#define WEBHOOK_CREDENTIALS                                                                                            \
	"what it is sent as Authorization, such as Bearer and a key that it gave out; never shown, and gone when "     \
	"the url is edited without it"
#define WEBHOOK_ID                                                                                                     \
	{                                                                                                              \
		.name = "id", .in = PARAM_PATH, .type = PARAM_INT, .min = 1, .max = INT32_MAX,                         \
		.help = "the webhook's number"                                                                         \
	}

static const struct param alarms_params[] = {
	PAGE("alarms"),
	QUERY("state", PARAM_TEXT, .min = 1, .max = 100, .help = "in one of these states, with commas between"),
	QUERY("kind", PARAM_WORD, .words = KINDS, .help = "of this kind"),
	QUERY("device", PARAM_SERIAL, .help = "of this device"),
	QUERY("shipment", PARAM_INT, .min = 1, .max = INT32_MAX, .help = "of this shipment, by number"),
};

static const struct param alarm_params[] = {
	{.name = "id", .in = PARAM_PATH, .type = PARAM_INT, .min = 1, .max = INT64_MAX, .help = "the alarm's number"},
};

static const struct field alarm_acknowledge_fields[] = {
	{.name = "reason",
	 .type = FIELD_TEXT,
	 .required = true,
	 .min = 1,
	 .max = 2000,
	 .help = "what is known or done about it; kept with the alarm"},
};

#define RULE_ID                                                                                                        \
	{                                                                                                              \
		.name = "id", .in = PARAM_PATH, .type = PARAM_INT, .min = 1, .max = INT32_MAX,                         \
		.help = "the rule's number"                                                                            \
	}
#define SECONDS(name_, least, null_, help_)                                                                            \
	{                                                                                                              \
		.name = name_, .type = FIELD_INT, .nullable = null_, .min = least, .max = 31536000, .help = help_      \
	}
#define RULE                                                                                                           \
	{.name = "enabled", .type = FIELD_BOOL, .help = "false: no such alarms"},                                      \
		SECONDS("after_s", 0, false, "how long the condition has to last; of silence past the wake interval"), \
		{.name = "below",                                                                                      \
		 .type = FIELD_NUMBER,                                                                                 \
		 .min = 1,                                                                                             \
		 .max = 100,                                                                                           \
		 .help = "of battery: the percentage below which it is low; of calibration: how many days before its " \
			 "end"},                                                                                       \
		SECONDS("quiet_s", 0, false,                                                                           \
			"one within so long of the end of one like it is not told of unless it lasts so long"),        \
		SECONDS("escalate_after_s", 1, true, "when it escalates unless acknowledged; null: never"),            \
		SECONDS("wake_s", 1, false,                                                                            \
			"of silence: how often a device wakes whose configuration does not say it"),                   \
		REASON

static const struct param alarm_rules_params[] = {
	PAGE("rules"),
	QUERY("kind", PARAM_WORD, .words = KINDS, .help = "about alarms of this kind"),
	QUERY("device", PARAM_SERIAL, .help = "of each kind the one that counts for this device"),
};

static const struct param alarm_rule_params[] = {RULE_ID};
static const struct param alarm_rule_delete_params[] = {RULE_ID, WHY};

static const struct field alarm_rule_create_fields[] = {
	{.name = "kind", .type = FIELD_WORD, .required = true, .words = KINDS, .help = "what it is about"},
	{.name = "device", .type = FIELD_SERIAL, .help = "the device that it is for"},
	{.name = "group", .type = FIELD_INT, .min = 1, .max = INT32_MAX, .help = "or the static group, by number"},
	PART("model", false, false, model_fields, "or the model"),
	RULE,
};

static const struct field alarm_rule_patch_fields[] = {RULE};
static const struct param webhooks_params[] = {PAGE("webhooks")};
static const struct param webhook_params[] = {WEBHOOK_ID};
static const struct param webhook_delete_params[] = {WEBHOOK_ID, WHY};

static const struct param deliveries_params[] = {
	WEBHOOK_ID,
	PAGE("deliveries"),
	QUERY("state", PARAM_WORD, .words = "waiting,delivered,dead", .help = "in this state; dead: given up"),
};

static const struct param delivery_params[] = {
	{.name = "id",
	 .in = PARAM_PATH,
	 .type = PARAM_INT,
	 .min = 1,
	 .max = INT64_MAX,
	 .help = "the delivery's number"},
};

static const struct field webhook_create_fields[] = {
	{.name = "description", .type = FIELD_TEXT, .required = true, .min = 1, .max = 128, .help = "what it is for"},
	{.name = "url", .type = FIELD_TEXT, .required = true, .min = 10, .max = 2000, .help = WEBHOOK_URL},
	{.name = "format",
	 .type = FIELD_WORD,
	 .words = "cloudevents,cce",
	 .help = "cloudevents, unless said: alarms as they happen; cce: what devices measured, as transfers of "
		 "cce-interop"},
	{.name = "kinds", .type = FIELD_TEXTS, .nullable = true, .max = 32, .help = WEBHOOK_KINDS},
	{.name = "credentials",
	 .type = FIELD_TEXT,
	 .nullable = true,
	 .min = 1,
	 .max = 1000,
	 .help = WEBHOOK_CREDENTIALS},
	REASON,
};

static const struct field webhook_patch_fields[] = {
	{.name = "description", .type = FIELD_TEXT, .min = 1, .max = 128, .help = "what it is for"},
	{.name = "url", .type = FIELD_TEXT, .min = 10, .max = 2000, .help = WEBHOOK_URL},
	{.name = "kinds", .type = FIELD_TEXTS, .nullable = true, .max = 32, .help = WEBHOOK_KINDS},
	{.name = "credentials",
	 .type = FIELD_TEXT,
	 .nullable = true,
	 .min = 1,
	 .max = 1000,
	 .help = WEBHOOK_CREDENTIALS},
	{.name = "enabled", .type = FIELD_BOOL, .help = "false: nothing is sent until it is true again"},
	REASON,
};

static const struct route rows[] = {
	{.method = "GET",
	 .path = "/v1/alarms",
	 .summary = "Alarms, the latest first",
	 .role = "viewer",
	 PARAMS(alarms_params),
	 .statement = &stmt_api_alarms},
	{.method = "POST",
	 .path = "/v1/alarms/{id}:acknowledge",
	 .summary = "Acknowledge an alarm, with a reason",
	 .role = "operator",
	 PARAMS(alarm_params),
	 FIELDS(alarm_acknowledge_fields),
	 .statement = &stmt_api_alarm_acknowledge},
	{.method = "GET",
	 .path = "/v1/alarm-rules",
	 .summary = "Rules of alarms: for all devices, a model, a group or a device",
	 .role = "viewer",
	 PARAMS(alarm_rules_params),
	 .statement = &stmt_api_alarm_rules},
	{.method = "POST",
	 .path = "/v1/alarm-rules",
	 .summary = "Make a rule of alarms for a device, a group or a model",
	 .role = "config",
	 FIELDS(alarm_rule_create_fields),
	 .statement = &stmt_api_alarm_rule_create},
	{.method = "GET",
	 .path = "/v1/alarm-rules/{id}",
	 .summary = "One rule of alarms",
	 .role = "viewer",
	 PARAMS(alarm_rule_params),
	 .statement = &stmt_api_alarm_rule},
	{.method = "PATCH",
	 .path = "/v1/alarm-rules/{id}",
	 .summary = "Edit a rule of alarms",
	 .role = "config",
	 PARAMS(alarm_rule_params),
	 FIELDS(alarm_rule_patch_fields),
	 .if_match = true,
	 .statement = &stmt_api_alarm_rule_patch},
	{.method = "DELETE",
	 .path = "/v1/alarm-rules/{id}",
	 .summary = "Delete a rule of alarms: what is said for more devices counts again",
	 .role = "config",
	 PARAMS(alarm_rule_delete_params),
	 .statement = &stmt_api_alarm_rule_delete},
	{.method = "GET",
	 .path = "/v1/webhooks",
	 .summary = "Webhooks, in the order in which they were made",
	 .role = "admin",
	 PARAMS(webhooks_params),
	 .statement = &stmt_api_webhooks},
	{.method = "POST",
	 .path = "/v1/webhooks",
	 .summary = "Make a webhook; its secret is shown this once",
	 .role = "admin",
	 FIELDS(webhook_create_fields),
	 .statement = &stmt_api_webhook_create},
	{.method = "GET",
	 .path = "/v1/webhooks/{id}",
	 .summary = "One webhook",
	 .role = "admin",
	 PARAMS(webhook_params),
	 .statement = &stmt_api_webhook},
	{.method = "PATCH",
	 .path = "/v1/webhooks/{id}",
	 .summary = "Edit a webhook",
	 .role = "admin",
	 PARAMS(webhook_params),
	 FIELDS(webhook_patch_fields),
	 .if_match = true,
	 .statement = &stmt_api_webhook_patch},
	{.method = "DELETE",
	 .path = "/v1/webhooks/{id}",
	 .summary = "Delete a webhook, and what waits for it",
	 .role = "admin",
	 PARAMS(webhook_delete_params),
	 .statement = &stmt_api_webhook_delete},
	{.method = "GET",
	 .path = "/v1/webhooks/{id}/deliveries",
	 .summary = "What has become of each event for a webhook, the latest first",
	 .role = "admin",
	 PARAMS(deliveries_params),
	 .statement = &stmt_api_deliveries},
	{.method = "POST",
	 .path = "/v1/deliveries/{id}:replay",
	 .summary = "Send an event to its webhook once more, for another day",
	 .role = "admin",
	 PARAMS(delivery_params),
	 .statement = &stmt_api_delivery_replay},
};
const struct part routes_alarms = PART_OF(rows);
