/* SPDX-License-Identifier: Apache-2.0
 *
 * One write(2) a line, so that a killed process leaves no half of one. */
#include "tests/tracker/diary.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/log.h"
#include "tests/tracker/encode.h"

#define PATH_BYTES 4096
#define HEAD_BYTES 96
#define EACH_BYTES 48

struct diary {
	int fd;
};

struct diary *diary_open(const char *dir, const char *serial, struct err *e)
{
	char path[PATH_BYTES];
	struct diary *d = calloc(1, sizeof(*d));

	if (d == NULL)
		abort();
	mkdir(dir, 0755);
	d->fd = -1;
	if (snprintf(path, sizeof(path), "%s/%s.samples", dir, serial) >= (int)sizeof(path))
		err_set(e, ERR_INVALID, "--diary: the folder's name is too long");
	else if ((d->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644)) < 0)
		err_set(e, ERR_SYSTEM, "%s: open: %s", path, strerror(errno));
	if (d->fd < 0)
		diary_close(&d);
	return d;
}

void diary_close(struct diary **d)
{
	if (*d == NULL)
		return;
	if ((*d)->fd >= 0)
		close((*d)->fd);
	free(*d);
	*d = NULL;
}

void diary_write(struct diary *d, const struct flash *f, int64_t ts, const struct measure *measures, size_t count)
{
	char line[HEAD_BYTES + EACH_BYTES * QUANTITIES];
	size_t len;

	if (d == NULL)
		return;
	len = (size_t)snprintf(line, sizeof(line), "{\"epoch\":%" PRId32 ",\"seq\":%" PRId32 ",\"ts\":%" PRId64,
			       flash_epoch(f), flash_next(f), ts);
	for (size_t i = 0; i < count && i < QUANTITIES; i++) {
		char number[ENCODE_NUMBER_MAX];
		encode_number(number, measures[i].value);
		len += (size_t)snprintf(line + len, sizeof(line) - len, ",\"%s\":%s",
					encode_quantity(measures[i].quantity), number);
	}
	memcpy(line + len, "}\n", 2);
	if (write(d->fd, line, len + 2) != (ssize_t)(len + 2)) {
		log_error("diary", "write: %s", strerror(errno));
		abort();
	}
}
