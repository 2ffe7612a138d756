/* SPDX-License-Identifier: Apache-2.0
 *
 * The command `flash`: what a tracker would have in its flash if it were started on this file. */
#include "tests/tracker/commands.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/tracker/flash.h"
#include "tests/tracker/options.h"

struct held {
	const char *file;
	int64_t capacity;
};

#define AT(field) offsetof(struct held, field)
static const struct option_item items[] = {
	{"file", OPTION_TEXT, AT(file), NULL, NULL, 0, 0, "FILE",
	 "a flash, of a tracker that does not run; what is damaged in it is cut off, as at a start"},
	{"capacity", OPTION_INT, AT(capacity), "20000", NULL, 1, 10000000, "N", "samples that a flash holds"},
};
#define ITEMS (sizeof(items) / sizeof(items[0]))

static void print(const struct flash *f)
{
	const char *between = "";

	printf("{\"epoch\":%" PRId32 ",\"next\":%" PRId32 ",\"samples\":[", flash_epoch(f), flash_next(f));
	for (int32_t seq = flash_first(f); seq < flash_next(f); seq++) {
		if (flash_get(f, seq) == NULL)
			continue;
		printf("%s%" PRId32, between, seq);
		between = ",";
	}
	printf("]}\n");
}

bool command_flash(int argc, char **argv, struct err *e)
{
	static struct held h;
	struct flash *f;

	if (!options_parse(items, ITEMS, &h, argc, argv, e))
		return false;
	if (h.file == NULL)
		return err_set(e, ERR_INVALID, "--file: expected the file of a flash");
	if (access(h.file, F_OK) != 0)
		return err_set(e, ERR_NOT_FOUND, "%s: %s", h.file, strerror(errno));
	f = flash_open(h.file, (size_t)h.capacity, e);
	if (f == NULL)
		return false;
	print(f);
	flash_free(&f);
	return true;
}

void help_flash(void)
{
	options_help(items, ITEMS);
}
