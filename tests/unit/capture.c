/* SPDX-License-Identifier: Apache-2.0
 *
 * A descriptor put aside, an unnamed file in its place. */
#include "capture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define TEXT_MAX 65536

static struct {
	int saved;
	FILE *file;
	char text[TEXT_MAX];
} captures[3];

void capture_start(int fd)
{
	fflush(NULL);
	captures[fd].saved = fcntl(fd, F_DUPFD_CLOEXEC, 10);
	captures[fd].file = tmpfile();
	if (captures[fd].saved < 0 || captures[fd].file == NULL || dup2(fileno(captures[fd].file), fd) < 0)
		abort();
}

const char *capture_peek(int fd)
{
	fflush(NULL);
	ssize_t n = pread(fileno(captures[fd].file), captures[fd].text, TEXT_MAX - 1, 0);
	captures[fd].text[n > 0 ? n : 0] = '\0';
	return captures[fd].text;
}

const char *capture_end(int fd)
{
	capture_peek(fd);
	if (dup2(captures[fd].saved, fd) < 0)
		abort();
	close(captures[fd].saved);
	fclose(captures[fd].file);
	return captures[fd].text;
}
