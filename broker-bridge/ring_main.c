/* SPDX-License-Identifier: Apache-2.0
 *
 * coldfleet-ring: makes the file that carries telemetry from the broker's plugin to ingest, and shows what is in it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker-bridge/ring.h"

static const char usage_text[] = "usage: coldfleet-ring create FILE SIZE\n"
				 "       coldfleet-ring show FILE\n"
				 "\n"
				 "  create  a new ring with SIZE of room (64KiB to 64GiB, a power of two, such as "
				 "256MiB), readable and writable by\n"
				 "          owner and group. FILE belongs on a memory file system, such as /run; an "
				 "existing one is never touched\n"
				 "  show    how full it is, and what has gone through it\n";

static bool size_parse(const char *text, uint64_t *bytes)
{
	static const struct {
		const char *unit;
		unsigned shift;
	} units[] = {{"", 0}, {"KiB", 10}, {"MiB", 20}, {"GiB", 30}};
	char *end;
	errno = 0;
	unsigned long long value = strtoull(text, &end, 10);
	if (end == text || errno != 0 || *text == '-')
		return false;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(end, units[i].unit) == 0 && value <= UINT64_MAX >> units[i].shift) {
			*bytes = (uint64_t)value << units[i].shift;
			return true;
		}
	}
	return false;
}

static int fail(const struct err *e)
{
	fprintf(stderr, "coldfleet-ring: %s\n", e->detail);
	return 1;
}

static int create(const char *path, const char *size)
{
	struct err e = {0};
	uint64_t bytes;
	if (!size_parse(size, &bytes)) {
		err_set(&e, ERR_INVALID, "size %.40s: expected a number of bytes, KiB, MiB or GiB", size);
		return fail(&e);
	}
	return ring_create(path, bytes, 0660, &e) ? 0 : fail(&e);
}

static int show(const char *path)
{
	struct err e = {0};
	struct ring_state s;
	struct ring *ring = ring_open(path, RING_ONLOOKER, &e);
	if (ring == NULL)
		return fail(&e);
	ring_state(ring, &s);
	printf("room     %llu bytes\nused     %llu bytes, not stored yet\nhighest  %llu bytes\nmessages %llu put, %llu "
	       "refused "
	       "because it was full\n",
	       (unsigned long long)s.bytes, (unsigned long long)s.used, (unsigned long long)s.highest,
	       (unsigned long long)s.written, (unsigned long long)s.refused);
	ring_close(&ring);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "create") == 0)
		return create(argv[2], argv[3]);
	if (argc == 3 && strcmp(argv[1], "show") == 0)
		return show(argv[2]);
	bool asked = argc == 2 && strcmp(argv[1], "--help") == 0;
	fputs(usage_text, asked ? stdout : stderr);
	return asked ? 0 : 2;
}
