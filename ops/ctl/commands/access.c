/* SPDX-License-Identifier: Apache-2.0
 *
 * Tokens, and the audit trail of what was done with them. */
#include "ops/ctl/commands/table.h"

#include "ops/ctl/ctl.h"

static const struct option token_options[] = {
	{"groups", OPTION_TEXT, TO_NUMBERS, "groups", "ID,ID", "it sees the devices of these groups alone"},
	{"expires", OPTION_WHEN, TO_BODY, "expires_at", "TIME", "when it ends, such as +90d"},
	REASON,
};

static const struct option audit_options[] = {
	{"actor", OPTION_TEXT, TO_QUERY, "actor", "NAME", "only what this token, subject or role did"},
	{"action", OPTION_TEXT, TO_QUERY, "action", "WORD", "only this: created, changed, removed, approved ..."},
	{"kind", OPTION_TEXT, TO_QUERY, "kind", "WORD", "only what was done to objects such as device or token"},
	{"id", OPTION_TEXT, TO_QUERY, "id", "ID", "only to the one with this serial, number or name"},
	{"device", OPTION_TEXT, TO_QUERY, "device", "SERIAL", "only what concerns this device"},
	{"since", OPTION_WHEN, TO_QUERY, "since", "TIME", "at or after, such as -24h"},
	{"until", OPTION_WHEN, TO_QUERY, "until", "TIME", "before"},
	PAGE,
};

static const struct option audit_export_options[] = {
	{"after", OPTION_INT, TO_QUERY, "after", "NUMBER", "go on after the last entry of the export before"},
};

static const struct option audit_verify_options[] = {
	{"key", OPTION_TEXT, TO_COMMAND, NULL, "FILE,FILE", "public keys (PEM) that may have signed checkpoints"},
	{"checkpoints", OPTION_TEXT, TO_COMMAND, NULL, "FILE", "the signer's file of checkpoints, or a copy of it"},
	{"after", OPTION_INT, TO_COMMAND, NULL, "NUMBER", "the export was made with --after NUMBER"},
};

static const struct column audit_columns[] = {
	{"NUMBER", "number", CELL_NUMBER}, {"AT", "at", CELL_TEXT},     {"BY", "actor", CELL_TEXT},
	{"ACTION", "action", CELL_TEXT},   {"KIND", "kind", CELL_TEXT}, {"ID", "id", CELL_TEXT},
	{"OLD", "old", CELL_TEXT},         {"NEW", "new", CELL_TEXT},   {"REASON", "reason", CELL_TEXT},
};

static const struct column token_columns[] = {
	{"ID", "id", CELL_NUMBER},
	{"NAME", "name", CELL_TEXT},
	{"ROLE", "role", CELL_TEXT},
	{"GROUPS", "groups", CELL_TEXT},
	{"USED", "last_used_at", CELL_AGO},
	{"EXPIRES", "expires_at", CELL_TEXT},
	{"REVOKED", "revoked_at", CELL_TEXT},
	{"MADE BY", "created_by", CELL_TEXT},
};

static const struct command rows[] = {
	{.name = "audit list",
	 .args = "",
	 .help = "Who changed what, when and why, the latest first",
	 .method = "GET",
	 .path = "/v1/audit",
	 OPTIONS(audit_options),
	 COLUMNS(audit_columns),
	 .run = run_list},
	{.name = "audit export",
	 .args = "",
	 .help = "The whole audit trail with hashes and checkpoints, for audit verify",
	 .method = "GET",
	 .path = "/v1/audit:export",
	 OPTIONS(audit_export_options),
	 .run = run_export},
	{.name = "audit verify",
	 .args = "FILE",
	 .help = "Is an exported audit trail whole, unaltered and signed? Needs no API",
	 OPTIONS(audit_verify_options),
	 .run = run_audit_verify},
	{.name = "tokens list",
	 .args = "",
	 .help = "Tokens of people and programs",
	 .method = "GET",
	 .path = "/v1/tokens",
	 OPTIONS(list_options),
	 COLUMNS(token_columns),
	 .run = run_list},
	{.name = "tokens create",
	 .args = "NAME ROLE",
	 .help = "Make a token, which is shown this once",
	 .method = "POST",
	 .path = "/v1/tokens",
	 .fields = "name role",
	 OPTIONS(token_options),
	 .run = run_token_create},
	{.name = "tokens revoke",
	 .args = "ID",
	 .help = "End a token now",
	 .method = "DELETE",
	 .path = "/v1/tokens/{id}",
	 OPTIONS(why_options),
	 .run = run_act},
};
const struct part commands_access = PART_OF(rows);
