/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/ctl/command.h"

#include "ops/ctl/commands/table.h"

#define MOST 256

const struct option common_options[] = {
	{"api", OPTION_TEXT, TO_COMMAND, NULL, "URL",
	 "where the API is (COLDFLEET_API): https://…, unix:/PATH, http:// here"},
	{"ca", OPTION_TEXT, TO_COMMAND, NULL, "FILE", "certificates to trust instead of the system's (COLDFLEET_CA)"},
	{"token-file", OPTION_TEXT, TO_COMMAND, NULL, "FILE", "file with the token, instead of COLDFLEET_TOKEN"},
	{"timeout", OPTION_TEXT, TO_COMMAND, NULL, "SPAN", "how long one request may take (default 30s)"},
	{"json", OPTION_FLAG, TO_COMMAND, NULL, NULL, "print what the API answered, byte for byte"},
	{"no-color", OPTION_FLAG, TO_COMMAND, NULL, NULL, "no colours (also: NO_COLOR)"},
	{"help", OPTION_FLAG, TO_COMMAND, NULL, NULL, "say what there is"},
	{"version", OPTION_FLAG, TO_COMMAND, NULL, NULL, "say which version this is"},
};
const size_t common_option_count = COUNT(common_options);

/* In the order of --help. */
static const struct part *const parts[] = {
	&commands_devices,   &commands_groups, &commands_telemetry,    &commands_loggers,
	&commands_commands,  &commands_alarms, &commands_calibrations, &commands_catalogue,
	&commands_shipments, &commands_access, &commands_service,
};

const struct command *commands_all(size_t *count)
{
	static struct command all[MOST];
	static size_t have;

	if (have == 0)
		have = join(parts, COUNT(parts), sizeof(all[0]), all, MOST);
	*count = have;
	return all;
}
