/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of commands have in common: a subject each, with its options, columns and rows. Everything else about
 * a command follows from its row. */
#ifndef COLDFLEET_CTL_COMMANDS_TABLE_H
#define COLDFLEET_CTL_COMMANDS_TABLE_H

#include "core/join.h"
#include "ops/ctl/command.h"

extern const struct part commands_devices;
extern const struct part commands_groups;
extern const struct part commands_telemetry;
extern const struct part commands_loggers;
extern const struct part commands_commands;
extern const struct part commands_alarms;
extern const struct part commands_calibrations;
extern const struct part commands_catalogue;
extern const struct part commands_shipments;
extern const struct part commands_access;
extern const struct part commands_service;

#define OPTIONS(a) .options = (a), .option_count = COUNT(a)
#define COLUMNS(a) .columns = (a), .column_count = COUNT(a)
#define PAGE                                                                                                           \
	{"limit", OPTION_INT, TO_COMMAND, NULL, "N", "show at most so many (default 100)"},                            \
	{                                                                                                              \
		"all", OPTION_FLAG, TO_COMMAND, NULL, NULL, "show all there are"                                       \
	}
#define REASON                                                                                                         \
	{                                                                                                              \
		"reason", OPTION_TEXT, TO_BODY, "reason", "TEXT", "why; kept in the history"                           \
	}
#define IF_MATCH                                                                                                       \
	{                                                                                                              \
		"if-match", OPTION_TEXT, TO_COMMAND, NULL, "ETAG", "only if it is as it was shown with this ETag"      \
	}

static const struct option list_options[] = {PAGE};
static const struct option create_options[] = {REASON};
static const struct option set_options[] = {REASON, IF_MATCH};

/* Calls without a body take the reason as a parameter. */
static const struct option why_options[] = {
	{"reason", OPTION_TEXT, TO_QUERY, "reason", "TEXT", "why; kept in the history"},
};

#endif
