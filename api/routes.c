/* SPDX-License-Identifier: Apache-2.0
 *
 * What the API offers, row by row. Parameters stand in the order of the statement's. */
#include "api/routes.h"

#include "api/api.h"
#include "api/cce.h"
#include "api/contract.h"
#include "api/logger_file.h"
#include "schema/queries.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

#define QUERY(name_, type_, ...)                                                                                       \
	{                                                                                                              \
		.name = name_, .in = PARAM_QUERY, .type = type_, __VA_ARGS__                                           \
	}
#define PAGE(type_of)                                                                                                  \
	QUERY("limit", PARAM_INT, .min = 1, .max = 1000, .fallback = "100", .help = "at most so many " type_of),       \
		QUERY("cursor", PARAM_CURSOR, .help = "`next` of the page before")
#define SERIAL                                                                                                         \
	{                                                                                                              \
		.name = "serial", .in = PARAM_PATH, .type = PARAM_SERIAL, .help = "the device's serial number"         \
	}
#define PARAMS(table) .params = (table), .param_count = COUNT(table)
#define FIELDS(table) .fields = (table), .field_count = COUNT(table)

#define FILTERS                                                                                                        \
	QUERY("state", PARAM_TEXT, .min = 1, .max = 100, .help = "in one of these states, with commas between"),       \
		QUERY("model", PARAM_TEXT, .min = 1, .max = 500, .help = "of one of these models, by name"),           \
		QUERY("firmware", PARAM_TEXT, .min = 1, .max = 500, .help = "with one of these firmware versions"),    \
		QUERY("tag", PARAM_TEXT, .min = 1, .max = 500, .help = "with all of these tags"),                      \
		QUERY("group", PARAM_TEXT, .min = 1, .max = 128, .help = "in this group, by name"),                    \
		QUERY("q", PARAM_TEXT, .min = 1, .max = 64, .help = "whose serial, IMEI or ICCID begins with this"),   \
		QUERY("silent_for", PARAM_TEXT, .min = 2, .max = 7,                                                    \
		      .help = "not heard for so long, like 30m, 12h or 7d"),                                           \
		QUERY("battery_below", PARAM_INT, .min = 1, .max = 100,                                                \
		      .help = "whose battery is below so many percent"),                                               \
		QUERY("bbox", PARAM_TEXT, .min = 7, .max = 64,                                                         \
		      .help = "last seen within west,south,east,north, degrees"),                                      \
		QUERY("in_excursion", PARAM_WORD, .words = "true,false", .help = "with an open excursion, or without")

static const struct param devices_params[] = {
	PAGE("devices; maybe fewer, so go on until `next` is null"),
	QUERY("sort", PARAM_WORD, .words = "serial,-serial,last_seen,-last_seen,battery,-battery", .fallback = "serial",
	      .help = "the order, - for the reverse"),
	FILTERS,
};

static const struct param devices_export_params[] = {
	QUERY("format", PARAM_WORD, .words = "ndjson,csv", .fallback = "ndjson", .help = "how the rows are written"),
	FILTERS,
};

static const struct route_stream devices_export_streams[] = {
	{"csv", "text/csv; charset=utf-8", &stmt_api_devices_export_csv},
	{"ndjson", "application/x-ndjson", &stmt_api_devices_export_ndjson},
};

static const struct param device_params[] = {SERIAL};

static const struct param readings_params[] = {
	SERIAL,
	QUERY("from", PARAM_TIME, .help = "measured at or after; absent: from the first one"),
	QUERY("to", PARAM_TIME, .help = "measured before; absent: up to the last one"),
	QUERY("limit", PARAM_INT, .min = 1, .max = 1000,
	      .help = "JSON: at most so many readings or buckets, 100 without"),
	QUERY("cursor", PARAM_CURSOR, .help = "JSON: `next` of the page before"),
	QUERY("bucket", PARAM_WORD, .words = "5m,1h,1d",
	      .help = "count, min, mean and max of each probe in such a time"),
	QUERY("format", PARAM_WORD, .words = "json,ndjson,csv", .help = "json in pages, the others whole"),
};

static const struct route_stream readings_streams[] = {
	{"csv", "text/csv; charset=utf-8", &stmt_api_readings_csv},
	{"ndjson", "application/x-ndjson", &stmt_api_readings_ndjson},
};

static const struct param gaps_params[] = {
	SERIAL,
	PAGE("gaps"),
	QUERY("state", PARAM_WORD, .words = "open,closed,all", .fallback = "open", .help = "which ones"),
};

#define REASONS "empty,too-large,syntax,senml,content,clock,topic,unknown-device,conflict,refused"

static const struct param quarantine_params[] = {
	PAGE("messages"),
	QUERY("reason", PARAM_WORD, .words = REASONS, .help = "only those with this reason"),
	QUERY("serial", PARAM_SERIAL, .help = "only those of this device"),
};

static const struct param quarantined_params[] = {
	{.name = "id", .in = PARAM_PATH, .type = PARAM_INT, .min = 1, .max = INT64_MAX, .help = "the message's number"},
};

#define ROLES  "viewer,operator,approver,config,admin,auditor"
#define STATES "registered,active,disabled,quarantined,banned"
#define REASON                                                                                                         \
	{                                                                                                              \
		.name = "reason", .type = FIELD_TEXT, .min = 1, .max = 500, .help = "why; kept in the history"         \
	}

static const struct field model_fields[] = {
	{.name = "manufacturer", .type = FIELD_TEXT, .required = true, .min = 1, .max = 100, .help = "who makes it"},
	{.name = "name", .type = FIELD_TEXT, .required = true, .min = 1, .max = 100, .help = "what its maker calls it"},
};

static const struct field module_fields[] = {
	{.name = "imei", .type = FIELD_DIGITS, .min = 15, .max = 15, .help = "15 digits with their check digit"},
	{.name = "manufacturer", .type = FIELD_TEXT, .nullable = true, .min = 1, .max = 100, .help = "who makes it"},
	{.name = "model",
	 .type = FIELD_TEXT,
	 .nullable = true,
	 .min = 1,
	 .max = 100,
	 .help = "what its maker calls it"},
	{.name = "firmware", .type = FIELD_TEXT, .nullable = true, .min = 1, .max = 64, .help = "its version"},
};

static const struct field sim_fields[] = {
	{.name = "iccid", .type = FIELD_DIGITS, .min = 18, .max = 20, .help = "number of the card or profile"},
	{.name = "imsi", .type = FIELD_DIGITS, .nullable = true, .min = 6, .max = 15, .help = "subscriber identity"},
	{.name = "apn", .type = FIELD_TEXT, .nullable = true, .min = 1, .max = 100, .help = "access point name"},
	{.name = "expected_prefix",
	 .type = FIELD_TEXT,
	 .nullable = true,
	 .min = 3,
	 .max = 43,
	 .help = "addresses that its access point gives out, like 10.20.0.0/16"},
};

#define REVISION                                                                                                       \
	{                                                                                                              \
		.name = "hardware_revision", .type = FIELD_TEXT, .nullable = true, .min = 1, .max = 64,                \
		.help = "as its maker writes it"                                                                       \
	}
#define STATE                                                                                                          \
	{                                                                                                              \
		.name = "state", .type = FIELD_WORD, .words = STATES, .help = "where it stands in its life"            \
	}
#define PART(name_, need, null_, table, help_)                                                                         \
	{                                                                                                              \
		.name = name_, .type = FIELD_OBJECT, .required = need, .nullable = null_, FIELDS(table), .help = help_ \
	}

static const struct field device_create_fields[] = {
	{.name = "serial", .type = FIELD_SERIAL, .required = true, .help = "its serial number; never changes"},
	PART("model", true, false, model_fields, "what kind of tracker it is"),
	REVISION,
	STATE,
	PART("module", false, true, module_fields, "its radio module"),
	PART("sim", false, true, sim_fields, "its SIM"),
	REASON,
};

static const struct field device_patch_fields[] = {
	PART("model", false, false, model_fields, "what kind of tracker it is"),
	REVISION,
	STATE,
	PART("module", false, true, module_fields, "its radio module; null: none"),
	PART("sim", false, true, sim_fields, "its SIM; null: back into stock"),
	REASON,
};

static const struct field decommission_fields[] = {
	{.name = "reason",
	 .type = FIELD_TEXT,
	 .required = true,
	 .min = 1,
	 .max = 500,
	 .help = "why; kept in the history"},
};

static const struct param tokens_params[] = {PAGE("tokens")};

static const struct param token_revoke_params[] = {
	{.name = "id", .in = PARAM_PATH, .type = PARAM_INT, .min = 1, .max = 2147483647, .help = "the token's number"},
	QUERY("reason", PARAM_TEXT, .min = 1, .max = 500, .help = "why; kept with the token"),
};

static const struct field token_fields[] = {
	{.name = "name", .type = FIELD_TEXT, .required = true, .min = 1, .max = 128, .help = "who will hold it"},
	{.name = "role", .type = FIELD_WORD, .required = true, .words = ROLES, .help = "what it may do"},
	{.name = "groups",
	 .type = FIELD_INTS,
	 .nullable = true,
	 .min = 1,
	 .max = 64,
	 .help = "its scope: it sees the devices of these groups alone; null or absent: all devices"},
	{.name = "expires_at",
	 .type = FIELD_TIME,
	 .nullable = true,
	 .help = "when it ends; null or absent: when revoked"},
	REASON,
};

#define OPERATION                                                                                                      \
	{                                                                                                              \
		.name = "id", .in = PARAM_PATH, .type = PARAM_TEXT, .min = 36, .max = 36,                              \
		.help = "the operation's number"                                                                       \
	}

static const struct param import_params[] = {
	QUERY("reason", PARAM_TEXT, .min = 1, .max = 500, .help = "why; kept in the history")};
static const struct param logger_import_params[] = {
	SERIAL,
	QUERY("zone", PARAM_TEXT, .min = 1, .max = 64,
	      .help = "zone of the device's clock, for the file has none: UTC, Africa/Accra, +02:00"),
	QUERY("reason", PARAM_TEXT, .min = 1, .max = 500, .help = "why; kept with the file"),
};
static const struct route_reader logger_reader = {"text/plain", false, logger_file_read};
static const struct param cce_export_params[] = {
	SERIAL,
	QUERY("from", PARAM_TIME, .help = "measured at or after; absent: from the first one"),
	QUERY("to", PARAM_TIME, .help = "measured before; absent: up to the last one"),
	QUERY("limit", PARAM_INT, .min = 1, .max = 2000, .fallback = "1000",
	      .help = "at most so many records, the oldest; go on behind meta.lastRecordAt"),
};
static const struct route_reader cce_reader = {"application/json", true, cce_read};
static const struct param logger_files_params[] = {SERIAL, PAGE("files")};
static const struct param operation_params[] = {OPERATION};
static const struct param operation_rows_params[] = {
	OPERATION,
	QUERY("result", PARAM_WORD, .words = "created,unchanged,failed", .help = "only rows with this result"),
	PAGE("rows"),
};

#define GROUP_ID                                                                                                       \
	{                                                                                                              \
		.name = "id", .in = PARAM_PATH, .type = PARAM_INT, .min = 1, .max = INT32_MAX,                         \
		.help = "the group's number"                                                                           \
	}
#define WHY QUERY("reason", PARAM_TEXT, .min = 1, .max = 500, .help = "why; kept in the history")

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

static const struct param stream_params[] = {
	QUERY("device", PARAM_SERIAL, .help = "only of this device"),
	QUERY("group", PARAM_TEXT, .min = 1, .max = 128, .help = "only of the devices in this group, by name"),
	QUERY("type", PARAM_TEXT, .min = 1, .max = 200, .help = "only of these types, with commas between"),
};

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

static const struct param groups_params[] = {PAGE("groups")};
static const struct param group_params[] = {GROUP_ID};
static const struct param group_delete_params[] = {GROUP_ID, WHY};
static const struct param group_member_params[] = {GROUP_ID, SERIAL, WHY};
static const struct param device_history_params[] = {SERIAL, PAGE("entries")};

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

static const struct field config_fields[] = {
	{.name = "config", .type = FIELD_OBJECT, .required = true, .help = "names and values, all of them"},
	REASON,
};

static const struct field tags_fields[] = {
	{.name = "tags", .type = FIELD_TEXTS, .required = true, .max = 32, .help = "all tags of the device"},
	REASON,
};

static const struct param audit_params[] = {
	PAGE("entries"),
	QUERY("actor", PARAM_TEXT, .min = 1, .max = 128, .help = "what this token, subject or role did"),
	QUERY("action", PARAM_TEXT, .min = 1, .max = 64, .help = "such as created, changed, removed or approved"),
	QUERY("kind", PARAM_TEXT, .min = 1, .max = 64, .help = "what was done to objects of this kind, such as token"),
	QUERY("id", PARAM_TEXT, .min = 1, .max = 256, .help = "to the one with this serial, number or name"),
	QUERY("device", PARAM_SERIAL, .help = "what concerns this device"),
	QUERY("since", PARAM_TIME, .help = "at or after"),
	QUERY("until", PARAM_TIME, .help = "before"),
};

static const struct param audit_export_params[] = {
	QUERY("after", PARAM_INT, .min = 0, .max = INT64_MAX / 2, .fallback = "0",
	      .help = "begin after the entry with this number, the last one of the export before"),
};

static const struct route_stream audit_export_streams[] = {
	{NULL, "application/x-ndjson", &stmt_api_audit_export},
};

static const struct param audit_checkpoints_params[] = {PAGE("checkpoints")};

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

/* ---- the cold chain ---- */

#define NUMBER(of)                                                                                                     \
	{                                                                                                              \
		.name = "id", .in = PARAM_PATH, .type = PARAM_INT, .min = 1, .max = INT32_MAX, .help = of              \
	}
#define TEXT(name_, need, most, help_)                                                                                 \
	{                                                                                                              \
		.name = name_, .type = FIELD_TEXT, .required = need, .min = 1, .max = most, .help = help_              \
	}
#define PROFILE                                                                                                        \
	{                                                                                                              \
		.name = "name", .in = PARAM_PATH, .type = PARAM_TEXT, .min = 1, .max = 64,                             \
		.help = "what programs call the profile"                                                               \
	}
#define CELSIUS(name_, help_)                                                                                          \
	{                                                                                                              \
		.name = name_, .type = FIELD_NUMBER, .nullable = true, .min = -273.15, .max = 1000, .help = help_      \
	}

static const struct param products_params[] = {PAGE("products")};
static const struct field product_fields[] = {
	TEXT("name", true, 200, "what people call it"),
	{.name = "manufacturer", .type = FIELD_TEXT, .nullable = true, .min = 1, .max = 200, .help = "who makes it"},
	{.name = "gtin",
	 .type = FIELD_DIGITS,
	 .nullable = true,
	 .min = 14,
	 .max = 14,
	 .help = "global trade item number"},
	{.name = "frozen", .type = FIELD_BOOL, .help = "it is kept frozen: no mean kinetic temperature is given"},
	REASON,
};

static const struct param profiles_params[] = {PAGE("profiles")};
static const struct param profile_params[] = {
	PROFILE,
	QUERY("version", PARAM_INT, .min = 1, .max = INT32_MAX, .help = "this version; absent: the latest"),
};
static const struct param profile_put_params[] = {PROFILE};
static const struct param profile_history_params[] = {PROFILE, PAGE("versions")};
static const struct field band_fields[] = {
	TEXT("code", true, 32, "what programs call it, the same in every version: 1 to 32 of a-z 0-9 -"),
	TEXT("title", false, 200, "what people call it"),
	CELSIUS("lower_c", "its lower end; null or absent: it has none"),
	{.name = "lower_inclusive", .type = FIELD_BOOL, .help = "a temperature equal to the lower end is in it"},
	CELSIUS("upper_c", "its upper end; null or absent: it has none"),
	{.name = "upper_inclusive", .type = FIELD_BOOL, .help = "a temperature equal to the upper end is in it"},
	{.name = "counting",
	 .type = FIELD_WORD,
	 .words = "single,cumulative",
	 .help = "each stay for itself, or all of a lot together"},
	{.name = "allowed_s",
	 .type = FIELD_INT,
	 .required = true,
	 .min = 0,
	 .max = INT32_MAX,
	 .help = "how long it may stay there, seconds"},
	{.name = "irreversible", .type = FIELD_BOOL, .help = "having been there changes the product for good"},
};
static const struct field profile_fields[] = {
	TEXT("title", false, 200, "what people call it"),
	{.name = "product",
	 .type = FIELD_TEXT,
	 .nullable = true,
	 .min = 1,
	 .max = 200,
	 .help = "the product it is about, by name"},
	{.name = "region", .type = FIELD_TEXT, .nullable = true, .min = 1, .max = 100, .help = "where its label holds"},
	CELSIUS("storage_lower_c", "lowest temperature that is not limited in time"),
	CELSIUS("storage_upper_c", "highest such temperature"),
	{.name = "effective_from", .type = FIELD_DATE, .help = "first day on which it holds; absent: today (UTC)"},
	{.name = "effective_to", .type = FIELD_DATE, .nullable = true, .help = "day from which on it does not"},
	TEXT("source", true, 1000, "where the limits are from"),
	{.name = "verified", .type = FIELD_BOOL, .help = "somebody has compared it with its source"},
	{.name = "note",
	 .type = FIELD_TEXT,
	 .nullable = true,
	 .min = 1,
	 .max = 2000,
	 .help = "what bands do not express"},
	{.name = "bands",
	 .type = FIELD_OBJECTS,
	 .required = true,
	 .max = 16,
	 FIELDS(band_fields),
	 .help = "temperatures that are limited in time"},
	REASON,
};

#define SHIPMENT_STATES "ready,shipping,delivered,closed,cancelled"
#define SHIPMENT        NUMBER("the shipment's number")
#define EXCURSION_STATE                                                                                                \
	QUERY("state", PARAM_WORD, .words = "standing,open,ended,merged,retracted", .fallback = "standing",            \
	      .help = "standing: open or ended")

static const struct param shipments_params[] = {
	PAGE("shipments"),
	QUERY("state", PARAM_WORD, .words = SHIPMENT_STATES, .help = "only those in this state"),
	QUERY("decision", PARAM_WORD, .words = "none,released,quarantined,rejected",
	      .help = "only those so decided on"),
	QUERY("device", PARAM_SERIAL, .help = "only those that this device watched"),
	QUERY("lot", PARAM_TEXT, .min = 1, .max = 64, .help = "only those with this lot, by number"),
	QUERY("reference", PARAM_TEXT, .min = 1, .max = 128, .help = "only the one with this reference"),
};
static const struct param shipment_params[] = {SHIPMENT};
static const struct param shipment_excursions_params[] = {SHIPMENT, PAGE("excursions"), EXCURSION_STATE};
static const struct field lane_fields[] = {
	TEXT("origin", true, 200, "where it begins"),
	TEXT("destination", true, 200, "where it ends"),
	TEXT("carrier", false, 200, "who carries"),
};
static const struct field lot_fields[] = {
	TEXT("product", true, 200, "the product, by name"),
	TEXT("number", true, 64, "the lot's number as its maker writes it"),
	{.name = "expires_on", .type = FIELD_DATE, .nullable = true, .help = "its expiry date"},
	{.name = "quantity",
	 .type = FIELD_INT,
	 .nullable = true,
	 .min = 1,
	 .max = INT32_MAX,
	 .help = "how many, in units of sale"},
};
#define SHIPMENT_TEXTS                                                                                                 \
	PART("lane", false, true, lane_fields, "from where to where with whom"),                                       \
		{.name = "ignore_s",                                                                                   \
		 .type = FIELD_INT,                                                                                    \
		 .min = 0,                                                                                             \
		 .max = 86400,                                                                                         \
		 .help = "readings are not judged for so long after the start, seconds; absent: 600"},                 \
		{.name = "geofenced",                                                                                  \
		 .type = FIELD_BOOL,                                                                                   \
		 .help = "its stages begin and end by the geofences of their places, unless people say it before"},    \
		{.name = "note", .type = FIELD_TEXT, .nullable = true, .min = 1, .max = 2000, .help = "what else"},    \
	{                                                                                                              \
		.name = "lots", .type = FIELD_OBJECTS, .max = 100, FIELDS(lot_fields), .help = "lots that it carries"  \
	}
static const struct field shipment_create_fields[] = {
	TEXT("reference", true, 128, "what logistics people call it"),
	SHIPMENT_TEXTS,
	{.name = "legs", .type = FIELD_OBJECTS, .max = 50, FIELDS(lane_fields), .help = "its stages, in order"},
	REASON,
};
static const struct field shipment_patch_fields[] = {
	TEXT("reference", false, 128, "what logistics people call it"),
	SHIPMENT_TEXTS,
	{.name = "started_at", .type = FIELD_TIME, .help = "when it really left"},
	{.name = "delivered_at", .type = FIELD_TIME, .help = "when it really arrived"},
	REASON,
};
static const struct param leg_params[] = {
	SHIPMENT,
	{.name = "leg", .in = PARAM_PATH, .type = PARAM_INT, .min = 1, .max = 50, .help = "which of its legs, from 1"},
};
static const struct field leg_fields[] = {
	{.name = "started_at", .type = FIELD_TIME, .nullable = true, .help = "when it began; null: it has not"},
	{.name = "ended_at", .type = FIELD_TIME, .nullable = true, .help = "when it ended; null: it has not"},
	REASON,
};
#define GEOFENCE NUMBER("the geofence's number")
#define CIRCLE(need)                                                                                                   \
	{.name = "latitude",                                                                                           \
	 .type = FIELD_NUMBER,                                                                                         \
	 .required = need,                                                                                             \
	 .min = -90,                                                                                                   \
	 .max = 90,                                                                                                    \
	 .help = "of its centre, degrees, north positive"},                                                            \
		{.name = "longitude",                                                                                  \
		 .type = FIELD_NUMBER,                                                                                 \
		 .required = need,                                                                                     \
		 .min = -180,                                                                                          \
		 .max = 180,                                                                                           \
		 .help = "of its centre, degrees, east positive"},                                                     \
		{.name = "radius_m", .type = FIELD_INT, .required = need, .min = 10, .max = 100000, .help = "metres"}, \
		REASON
static const struct param geofences_params[] = {PAGE("geofences")};
static const struct param geofence_params[] = {GEOFENCE};
static const struct param geofence_delete_params[] = {GEOFENCE, WHY};
static const struct field geofence_create_fields[] = {
	TEXT("place", true, 200, "the place as lanes and legs write it: a name, or a GLN"),
	CIRCLE(true),
};
static const struct field geofence_patch_fields[] = {CIRCLE(false)};
static const struct field shipment_step_fields[] = {
	{.name = "at", .type = FIELD_TIME, .help = "when, in measurement time; absent: now"},
	REASON,
};
static const struct field shipment_decide_fields[] = {
	{.name = "decision",
	 .type = FIELD_WORD,
	 .required = true,
	 .words = "released,quarantined,rejected",
	 .help = "what becomes of what it carries"},
	TEXT("reason", true, 2000, "why"),
};
static const struct param assignment_params[] = {
	SHIPMENT,
	{.name = "assignment",
	 .in = PARAM_PATH,
	 .type = PARAM_INT,
	 .min = 1,
	 .max = INT32_MAX,
	 .help = "the assignment's number"},
};
#define WATCH(need)                                                                                                    \
	{.name = "profile",                                                                                            \
	 .type = FIELD_TEXT,                                                                                           \
	 .required = need,                                                                                             \
	 .min = 1,                                                                                                     \
	 .max = 64,                                                                                                    \
	 .help = "by what it is judged"},                                                                              \
		{.name = "profile_version",                                                                            \
		 .type = FIELD_INT,                                                                                    \
		 .min = 1,                                                                                             \
		 .max = INT32_MAX,                                                                                     \
		 .help = "absent: the one that holds on its first day"},                                               \
		{.name = "role", .type = FIELD_WORD, .words = "product,ambient", .help = "ambient is never judged"},   \
		{.name = "from", .type = FIELD_TIME, .help = "when it begins to watch, in measurement time"},          \
		{.name = "to", .type = FIELD_TIME, .nullable = true, .help = "when it ends; null: it still does"},     \
	{                                                                                                              \
		.name = "sample_interval_s", .type = FIELD_INT, .min = 1, .max = 86400,                                \
		.help = "how often it measures, seconds; 600 unless said"                                              \
	}
static const struct field assignment_create_fields[] = {
	{.name = "serial", .type = FIELD_SERIAL, .required = true, .help = "the device"},
	{.name = "probe", .type = FIELD_INT, .min = 0, .max = 32767, .help = "which of its probes; absent: 0"},
	TEXT("lot", false, 64, "the lot's number; absent: the only one of the shipment"),
	TEXT("product", false, 200, "whose lot, where two products have one of this number"),
	WATCH(true),
	REASON,
};
static const struct field assignment_patch_fields[] = {
	WATCH(false),
	{.name = "withdrawn", .type = FIELD_BOOL, .help = "true: it never was"},
	TEXT("reason", true, 500, "why; kept with the version"),
};
static const struct param shipment_figures_params[] = {
	SHIPMENT,
	QUERY("device", PARAM_SERIAL, .help = "only of this device"),
	QUERY("lot", PARAM_TEXT, .min = 1, .max = 64, .help = "only of this lot, by number"),
	QUERY("from", PARAM_TIME, .help = "over what was measured at or after; absent: from the start"),
	QUERY("to", PARAM_TIME, .help = "over what was measured before; absent: until delivery"),
};
static const struct param shipment_report_params[] = {
	SHIPMENT,
	QUERY("format", PARAM_WORD, .words = "json,html", .help = "html: one document that prints, with charts"),
};
static const struct route_stream shipment_report_streams[] = {
	{"html", "text/html; charset=utf-8", &stmt_api_shipment_report_html},
};
static const struct route_stream shipment_epcis_streams[] = {
	{NULL, "application/ld+json", &stmt_api_shipment_epcis},
};
static const struct param excursions_params[] = {
	PAGE("excursions; maybe fewer, so go on until `next` is null"),
	EXCURSION_STATE,
	QUERY("kind", PARAM_TEXT, .min = 1, .max = 32, .help = "only of bands with this code"),
	QUERY("device", PARAM_SERIAL, .help = "only those of this device"),
	QUERY("lot", PARAM_TEXT, .min = 1, .max = 64, .help = "only those of lots with this number"),
	QUERY("shipment", PARAM_INT, .min = 1, .max = INT32_MAX, .help = "only those of this shipment, by number"),
	QUERY("since", PARAM_TIME, .help = "only those that began at or after"),
	QUERY("until", PARAM_TIME, .help = "only those that began before"),
};
static const struct param excursion_params[] = {
	{.name = "id",
	 .in = PARAM_PATH,
	 .type = PARAM_INT,
	 .min = 1,
	 .max = INT64_MAX,
	 .help = "the excursion's number"},
};

#define CALIBRATION                                                                                                    \
	{                                                                                                              \
		.name = "id", .in = PARAM_PATH, .type = PARAM_INT, .min = 1, .max = INT32_MAX,                         \
		.help = "the record's number"                                                                          \
	}

static const struct param calibration_params[] = {CALIBRATION};
static const struct param calibrations_params[] = {
	PAGE("records; maybe fewer, so go on until `next` is null"),
	QUERY("due_before", PARAM_TIME, .help = "expired, or not valid any more at that moment; absent: all"),
};
static const struct param calibration_create_params[] = {SERIAL};
static const struct param device_calibrations_params[] = {
	SERIAL,
	PAGE("records"),
	QUERY("probe", PARAM_INT, .min = 0, .max = 32767, .help = "of this probe only"),
};

#define COMPARED_C(name_, help_)                                                                                       \
	{                                                                                                              \
		.name = name_, .type = FIELD_NUMBER, .required = true, .min = -273.15, .max = 1000, .help = help_      \
	}
#define SAID(name_, most, help_)                                                                                       \
	{                                                                                                              \
		.name = name_, .type = FIELD_TEXT, .nullable = true, .min = 1, .max = most, .help = help_              \
	}

static const struct field calibration_point_fields[] = {
	{.name = "status",
	 .type = FIELD_WORD,
	 .words = "as-found,as-left",
	 .help = "before an adjustment, or as the probe left the laboratory; absent: as-left"},
	COMPARED_C("reference_c", "the temperature as the reference has it"),
	COMPARED_C("indicated_c", "what the probe indicated"),
	{.name = "uncertainty_c",
	 .type = FIELD_NUMBER,
	 .required = true,
	 .min = 0.0001,
	 .max = 100,
	 .help = "expanded uncertainty of the difference"},
	{.name = "coverage_factor", .type = FIELD_NUMBER, .min = 1, .max = 10, .help = "its k; absent: 2"},
};
static const struct field calibration_fields[] = {
	{.name = "probe", .type = FIELD_INT, .min = 0, .max = 32767, .help = "which of the device's probes; absent: 0"},
	SAID("probe_serial", 64, "serial number of a probe that can be taken off"),
	TEXT("certificate", true, 100, "number of the certificate"),
	TEXT("laboratory", true, 200, "who calibrated"),
	SAID("accreditation", 200, "the laboratory's accreditation (ISO/IEC 17025)"),
	SAID("reference", 500, "what it was compared with, and to which standard that is traceable"),
	SAID("method", 500, "how: bath, dry block, procedure"),
	{.name = "calibrated_on", .type = FIELD_DATE, .required = true, .help = "day of the calibration"},
	{.name = "valid_until",
	 .type = FIELD_DATE,
	 .nullable = true,
	 .help = "last day on which it holds; it or interval_months"},
	{.name = "interval_months",
	 .type = FIELD_INT,
	 .nullable = true,
	 .min = 1,
	 .max = 120,
	 .help = "after how many months the next one is due"},
	{.name = "fitted_on",
	 .type = FIELD_DATE,
	 .nullable = true,
	 .help = "day from which on the probe is at this device, if later"},
	CELSIUS("lower_c", "lowest temperature that it covers; absent: the lowest as-left point"),
	CELSIUS("upper_c", "highest; absent: the highest as-left point"),
	{.name = "points",
	 .type = FIELD_OBJECTS,
	 .required = true,
	 .max = 100,
	 .fields = calibration_point_fields,
	 .field_count = COUNT(calibration_point_fields),
	 .help = "where the probe was compared, at least one as-left"},
	REASON,
};
static const struct field calibration_void_fields[] = {
	TEXT("reason", true, 2000, "why the record is void; kept with it"),
};

const struct route routes[] = {
	{.method = "GET", .path = "/healthz", .summary = "The process is alive", .act = api_health},
	{.method = "GET", .path = "/readyz", .summary = "The database is reachable", .act = api_ready},
	{.method = "GET", .path = "/openapi.json", .summary = "What the API offers (OpenAPI 3.1)", .act = contract_act},

	{.method = "GET",
	 .path = "/v1/devices",
	 .summary = "Devices with their latest state, filtered and sorted",
	 .role = "viewer",
	 PARAMS(devices_params),
	 .statement = &stmt_api_devices},
	{.method = "GET",
	 .path = "/v1/devices:export",
	 .summary = "All devices that meet the filters, by serial number",
	 .role = "viewer",
	 PARAMS(devices_export_params),
	 .streams = devices_export_streams,
	 .stream_count = COUNT(devices_export_streams)},
	{.method = "POST",
	 .path = "/v1/devices:import",
	 .summary = "Register many devices: rows as NDJSON or CSV, done in the background",
	 .role = "operator",
	 PARAMS(import_params),
	 .rows = true,
	 .statement = &stmt_api_devices_import},
	{.method = "GET",
	 .path = "/v1/operations/{id}",
	 .summary = "Long work and how far it is",
	 .role = "viewer",
	 PARAMS(operation_params),
	 .statement = &stmt_api_operation},
	{.method = "GET",
	 .path = "/v1/operations/{id}/rows",
	 .summary = "The rows of an import and what became of each",
	 .role = "viewer",
	 PARAMS(operation_rows_params),
	 .statement = &stmt_api_operation_rows},
	{.method = "GET",
	 .path = "/v1/fleet/summary",
	 .summary = "How many devices there are of each kind, a moment ago",
	 .role = "viewer",
	 .statement = &stmt_api_fleet_summary},
	{.method = "GET",
	 .path = "/v1/devices/{serial}",
	 .summary = "One device, what it is made of and its latest state",
	 .role = "viewer",
	 PARAMS(device_params),
	 .statement = &stmt_api_device},
	{.method = "POST",
	 .path = "/v1/devices",
	 .summary = "Register a device",
	 .role = "operator",
	 FIELDS(device_create_fields),
	 .statement = &stmt_api_device_create},
	{.method = "PATCH",
	 .path = "/v1/devices/{serial}",
	 .summary = "Edit a device: what the body names is replaced, null takes it away",
	 .role = "operator",
	 PARAMS(device_params),
	 FIELDS(device_patch_fields),
	 .if_match = true,
	 .statement = &stmt_api_device_patch},
	{.method = "POST",
	 .path = "/v1/devices/{serial}/decommission",
	 .summary = "Take a device out of service for good",
	 .role = "operator",
	 PARAMS(device_params),
	 FIELDS(decommission_fields),
	 .statement = &stmt_api_device_decommission},
	{.method = "GET",
	 .path = "/v1/devices/{serial}/readings",
	 .summary = "What a device measured, oldest first",
	 .role = "viewer",
	 PARAMS(readings_params),
	 .statement = &stmt_api_readings,
	 .streams = readings_streams,
	 .stream_count = COUNT(readings_streams)},
	{.method = "GET",
	 .path = "/v1/devices/{serial}/state",
	 .summary = "The latest of each channel of a device",
	 .role = "viewer",
	 PARAMS(device_params),
	 .statement = &stmt_api_device_state},
	{.method = "GET",
	 .path = "/v1/devices/{serial}/gaps",
	 .summary = "Sample numbers of a device that were passed over",
	 .role = "viewer",
	 PARAMS(gaps_params),
	 .statement = &stmt_api_device_gaps},
	{.method = "GET",
	 .path = "/v1/devices/{serial}/logger-files",
	 .summary = "Files that were imported of a data logger, with what it found itself, the latest first",
	 .role = "viewer",
	 PARAMS(logger_files_params),
	 .statement = &stmt_api_logger_files},
	{.method = "POST",
	 .path = "/v1/devices/{serial}/logger-files",
	 .summary = "Import a file of a Q-tag or Fridge-tag logger: kept as it is, its samples as readings",
	 .role = "operator",
	 PARAMS(logger_import_params),
	 .reader = &logger_reader,
	 .statement = &stmt_api_logger_import},
	{.method = "GET",
	 .path = "/v1/devices/{serial}/cce",
	 .summary = "What a device measured as a transfer of cce-interop 0.8.1 (WHO PQS E006/DS01)",
	 .role = "viewer",
	 PARAMS(cce_export_params),
	 .statement = &stmt_api_cce_export},
	{.method = "POST",
	 .path = "/v1/ems",
	 .summary = "Take a transfer of cce-interop: kept as it is, its temperatures as readings",
	 .role = "operator",
	 .reader = &cce_reader,
	 .statement = &stmt_api_cce_import},
	{.method = "GET",
	 .path = "/v1/quarantine",
	 .summary = "Messages that could not be stored as readings, the latest first",
	 .role = "viewer",
	 PARAMS(quarantine_params),
	 .statement = &stmt_api_quarantine},
	{.method = "GET",
	 .path = "/v1/quarantine/{id}",
	 .summary = "One of these messages, byte for byte",
	 .role = "viewer",
	 PARAMS(quarantined_params),
	 .statement = &stmt_api_quarantined},
	{.method = "POST",
	 .path = "/v1/quarantine/{id}:replay",
	 .summary = "Have one of these messages decoded anew",
	 .role = "operator",
	 PARAMS(quarantined_params),
	 .statement = &stmt_api_quarantine_replay},

	{.method = "GET",
	 .path = "/v1/devices/{serial}/history",
	 .summary = "What was changed of a device, the latest first",
	 .role = "viewer",
	 PARAMS(device_history_params),
	 .statement = &stmt_api_device_history},
	{.method = "PUT",
	 .path = "/v1/devices/{serial}/tags",
	 .summary = "Give a device these tags and no other",
	 .role = "operator",
	 PARAMS(device_params),
	 FIELDS(tags_fields),
	 .if_match = true,
	 .statement = &stmt_api_tags_put},
	{.method = "GET",
	 .path = "/v1/devices/{serial}/config",
	 .summary = "Desired and reported configuration, and where they differ",
	 .role = "viewer",
	 PARAMS(device_params),
	 .statement = &stmt_api_config},
	{.method = "PUT",
	 .path = "/v1/devices/{serial}/config",
	 .summary = "A new version of the desired configuration",
	 .role = "config",
	 PARAMS(device_params),
	 FIELDS(config_fields),
	 .if_match = true,
	 .statement = &stmt_api_config_put},
	{.method = "GET",
	 .path = "/v1/devices/{serial}/config/history",
	 .summary = "Versions of the desired configuration, the latest first",
	 .role = "viewer",
	 PARAMS(device_history_params),
	 .statement = &stmt_api_config_history},

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

	{.method = "GET",
	 .path = "/v1/devices/{serial}/calibrations",
	 .summary = "Calibration records of a device's probes, void ones too, those that begin last first",
	 .role = "viewer",
	 PARAMS(device_calibrations_params),
	 .statement = &stmt_api_device_calibrations},
	{.method = "POST",
	 .path = "/v1/devices/{serial}/calibrations",
	 .summary = "Record what a calibration certificate says of a probe",
	 .role = "operator",
	 PARAMS(calibration_create_params),
	 FIELDS(calibration_fields),
	 .statement = &stmt_api_calibration_create},
	{.method = "GET",
	 .path = "/v1/calibrations",
	 .summary = "The newest calibration of each probe of devices in service, those that are due first first",
	 .role = "viewer",
	 PARAMS(calibrations_params),
	 .statement = &stmt_api_calibrations},
	{.method = "GET",
	 .path = "/v1/calibrations/{id}",
	 .summary = "One calibration record",
	 .role = "viewer",
	 PARAMS(calibration_params),
	 .statement = &stmt_api_calibration},
	{.method = "POST",
	 .path = "/v1/calibrations/{id}:void",
	 .summary = "Void a calibration record: it covers nothing, and never did",
	 .role = "approver",
	 PARAMS(calibration_params),
	 FIELDS(calibration_void_fields),
	 .statement = &stmt_api_calibration_void},
	{.method = "GET",
	 .path = "/v1/products",
	 .summary = "Products, in the order in which they were made",
	 .role = "viewer",
	 PARAMS(products_params),
	 .statement = &stmt_api_products},
	{.method = "POST",
	 .path = "/v1/products",
	 .summary = "Make a product",
	 .role = "config",
	 FIELDS(product_fields),
	 .statement = &stmt_api_product_create},
	{.method = "GET",
	 .path = "/v1/profiles",
	 .summary = "What products bear: profiles in their latest version, by name",
	 .role = "viewer",
	 PARAMS(profiles_params),
	 .statement = &stmt_api_profiles},
	{.method = "GET",
	 .path = "/v1/profiles/{name}",
	 .summary = "One version of a profile",
	 .role = "viewer",
	 PARAMS(profile_params),
	 .statement = &stmt_api_profile},
	{.method = "PUT",
	 .path = "/v1/profiles/{name}",
	 .summary = "The next version of a profile, or the first of a new one",
	 .role = "config",
	 PARAMS(profile_put_params),
	 FIELDS(profile_fields),
	 .if_match = true,
	 .statement = &stmt_api_profile_put},
	{.method = "GET",
	 .path = "/v1/profiles/{name}/history",
	 .summary = "The versions of a profile, the latest first",
	 .role = "viewer",
	 PARAMS(profile_history_params),
	 .statement = &stmt_api_profile_history},
	{.method = "GET",
	 .path = "/v1/geofences",
	 .summary = "Circles around places, by place",
	 .role = "viewer",
	 PARAMS(geofences_params),
	 .statement = &stmt_api_geofences},
	{.method = "POST",
	 .path = "/v1/geofences",
	 .summary = "Make a circle around a place",
	 .role = "config",
	 FIELDS(geofence_create_fields),
	 .statement = &stmt_api_geofence_create},
	{.method = "GET",
	 .path = "/v1/geofences/{id}",
	 .summary = "One geofence",
	 .role = "viewer",
	 PARAMS(geofence_params),
	 .statement = &stmt_api_geofence},
	{.method = "PATCH",
	 .path = "/v1/geofences/{id}",
	 .summary = "Edit a geofence; stages that have begun or ended stay so",
	 .role = "config",
	 PARAMS(geofence_params),
	 FIELDS(geofence_patch_fields),
	 .if_match = true,
	 .statement = &stmt_api_geofence_patch},
	{.method = "DELETE",
	 .path = "/v1/geofences/{id}",
	 .summary = "Delete a geofence",
	 .role = "config",
	 PARAMS(geofence_delete_params),
	 .statement = &stmt_api_geofence_delete},
	{.method = "GET",
	 .path = "/v1/shipments",
	 .summary = "Shipments, the latest made first",
	 .role = "viewer",
	 PARAMS(shipments_params),
	 .statement = &stmt_api_shipments},
	{.method = "POST",
	 .path = "/v1/shipments",
	 .summary = "Make a shipment with its lots and legs",
	 .role = "operator",
	 FIELDS(shipment_create_fields),
	 .statement = &stmt_api_shipment_create},
	{.method = "GET",
	 .path = "/v1/shipments/{id}",
	 .summary = "One shipment, its lots, legs and assignments",
	 .role = "viewer",
	 PARAMS(shipment_params),
	 .statement = &stmt_api_shipment},
	{.method = "PATCH",
	 .path = "/v1/shipments/{id}",
	 .summary = "Edit a shipment, correct its times, add lots",
	 .role = "operator",
	 PARAMS(shipment_params),
	 FIELDS(shipment_patch_fields),
	 .if_match = true,
	 .statement = &stmt_api_shipment_patch},
	{.method = "PATCH",
	 .path = "/v1/shipments/{id}/legs/{leg}",
	 .summary = "Say when a leg of a shipment began or ended, or correct it",
	 .role = "operator",
	 PARAMS(leg_params),
	 FIELDS(leg_fields),
	 .if_match = true,
	 .statement = &stmt_api_leg_patch},
	{.method = "POST",
	 .path = "/v1/shipments/{id}:depart",
	 .summary = "A shipment leaves",
	 .role = "operator",
	 PARAMS(shipment_params),
	 FIELDS(shipment_step_fields),
	 .statement = &stmt_api_shipment_depart},
	{.method = "POST",
	 .path = "/v1/shipments/{id}:arrive",
	 .summary = "A shipment arrives",
	 .role = "operator",
	 PARAMS(shipment_params),
	 FIELDS(shipment_step_fields),
	 .statement = &stmt_api_shipment_arrive},
	{.method = "POST",
	 .path = "/v1/shipments/{id}:close",
	 .summary = "Close a shipment that is decided on",
	 .role = "operator",
	 PARAMS(shipment_params),
	 FIELDS(shipment_step_fields),
	 .statement = &stmt_api_shipment_close},
	{.method = "POST",
	 .path = "/v1/shipments/{id}:cancel",
	 .summary = "Cancel a shipment that has not arrived",
	 .role = "operator",
	 PARAMS(shipment_params),
	 FIELDS(shipment_step_fields),
	 .statement = &stmt_api_shipment_cancel},
	{.method = "POST",
	 .path = "/v1/shipments/{id}:decide",
	 .summary = "Decide what becomes of what a shipment carried",
	 .role = "approver",
	 PARAMS(shipment_params),
	 FIELDS(shipment_decide_fields),
	 .statement = &stmt_api_shipment_decide},
	{.method = "GET",
	 .path = "/v1/shipments/{id}/excursions",
	 .summary = "Excursions of a shipment, those that began last first",
	 .role = "viewer",
	 PARAMS(shipment_excursions_params),
	 .statement = &stmt_api_shipment_excursions},
	{.method = "GET",
	 .path = "/v1/shipments/{id}/figures",
	 .summary = "Time in and out of range, what is left, and mean kinetic temperature",
	 .role = "viewer",
	 PARAMS(shipment_figures_params),
	 .statement = &stmt_api_shipment_figures},
	{.method = "GET",
	 .path = "/v1/shipments/{id}/report",
	 .summary = "The report of a shipment, as JSON or as HTML that prints",
	 .role = "viewer",
	 PARAMS(shipment_report_params),
	 .statement = &stmt_api_shipment_report,
	 .streams = shipment_report_streams,
	 .stream_count = COUNT(shipment_report_streams)},
	{.method = "GET",
	 .path = "/v1/shipments/{id}/epcis",
	 .summary = "What happened to a shipment, as a GS1 EPCIS 2.0 document",
	 .role = "viewer",
	 PARAMS(shipment_params),
	 .streams = shipment_epcis_streams,
	 .stream_count = COUNT(shipment_epcis_streams)},
	{.method = "POST",
	 .path = "/v1/shipments/{id}/assignments",
	 .summary = "A probe of a device watches a lot of a shipment",
	 .role = "operator",
	 PARAMS(shipment_params),
	 FIELDS(assignment_create_fields),
	 .statement = &stmt_api_assignment_create},
	{.method = "GET",
	 .path = "/v1/shipments/{id}/assignments/{assignment}",
	 .summary = "One assignment and its versions",
	 .role = "viewer",
	 PARAMS(assignment_params),
	 .statement = &stmt_api_assignment},
	{.method = "PATCH",
	 .path = "/v1/shipments/{id}/assignments/{assignment}",
	 .summary = "Correct an assignment, as a new version",
	 .role = "operator",
	 PARAMS(assignment_params),
	 FIELDS(assignment_patch_fields),
	 .if_match = true,
	 .statement = &stmt_api_assignment_patch},
	{.method = "GET",
	 .path = "/v1/excursions",
	 .summary = "Excursions, those that began last first",
	 .role = "viewer",
	 PARAMS(excursions_params),
	 .statement = &stmt_api_excursions},
	{.method = "GET",
	 .path = "/v1/excursions/{id}",
	 .summary = "One excursion and everything that was said of it",
	 .role = "viewer",
	 PARAMS(excursion_params),
	 .statement = &stmt_api_excursion},

	{.method = "GET",
	 .path = "/v1/audit",
	 .summary = "Who changed what, when and why, the latest first",
	 .role = "auditor",
	 PARAMS(audit_params),
	 .statement = &stmt_api_audit},
	{.method = "GET",
	 .path = "/v1/audit:export",
	 .summary = "The whole audit trail with its hashes and signed checkpoints, oldest first, for a verifier",
	 .role = "auditor",
	 PARAMS(audit_export_params),
	 .streams = audit_export_streams,
	 .stream_count = COUNT(audit_export_streams)},
	{.method = "GET",
	 .path = "/v1/audit/checkpoints",
	 .summary = "Signed statements of where the audit trail stood, the latest first",
	 .role = "auditor",
	 PARAMS(audit_checkpoints_params),
	 .statement = &stmt_api_audit_checkpoints},

	{.method = "GET",
	 .path = "/v1/stream",
	 .summary = "What happens, as it happens (Server-Sent Events)",
	 .role = "viewer",
	 PARAMS(stream_params),
	 .statement = &stmt_api_stream,
	 .live = true},

	{.method = "GET",
	 .path = "/v1/tokens",
	 .summary = "Tokens, in the order in which they were made",
	 .role = "admin",
	 PARAMS(tokens_params),
	 .statement = &stmt_api_tokens},
	{.method = "POST",
	 .path = "/v1/tokens",
	 .summary = "Make a token, which is shown this once",
	 .role = "admin",
	 FIELDS(token_fields),
	 .statement = &stmt_api_token_create},
	{.method = "DELETE",
	 .path = "/v1/tokens/{id}",
	 .summary = "Revoke a token",
	 .role = "admin",
	 PARAMS(token_revoke_params),
	 .statement = &stmt_api_token_revoke},
};
const size_t route_count = COUNT(routes);
