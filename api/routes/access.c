/* SPDX-License-Identifier: Apache-2.0
 *
 * Tokens, and the audit trail of what was done with them. */
#include "api/routes/table.h"

#include "schema/queries.h"

#define ROLES "viewer,operator,approver,config,admin,auditor"

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

static const struct route rows[] = {
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
const struct part routes_access = PART_OF(rows);
