/* SPDX-License-Identifier: Apache-2.0
 *
 * One line an event to standard error: time, level, object, words. Written with a single write(2), so lines of several
 * processes on one file do not mix. */
#include "core/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LOG_LINE_MAX 2048

static const char *const level_names[] = {"error", "warn", "info", "debug"};
static enum log_level log_threshold = LOG_LEVEL_INFO;

void log_level_set(enum log_level level)
{
	log_threshold = level;
}

enum log_level log_level_get(void)
{
	return log_threshold;
}

bool log_level_parse(const char *name, enum log_level *level)
{
	for (size_t i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++) {
		if (strcmp(name, level_names[i]) == 0) {
			*level = (enum log_level)i;
			return true;
		}
	}
	return false;
}

/* Control characters become '?', so that bytes from outside cannot start a line of their own or drive a terminal. */
static void make_printable(char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];
		if (c < 0x20 || c == 0x7f)
			text[i] = '?';
	}
}

void log_line(enum log_level level, const char *object, const char *fmt, ...)
{
	if (level > log_threshold)
		return;
	char line[LOG_LINE_MAX];
	struct timespec now;
	struct tm tm;
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	size_t len = strftime(line, sizeof(line), "%Y-%m-%dT%H:%M:%S", &tm);
	int n = snprintf(line + len, sizeof(line) - len, ".%03ldZ %-5s %s: ", now.tv_nsec / 1000000, level_names[level],
			 object);
	len += n > 0 ? (size_t)n : 0;
	if (len < sizeof(line) - 1) {
		va_list ap;
		va_start(ap, fmt);
		n = vsnprintf(line + len, sizeof(line) - len, fmt, ap);
		va_end(ap);
		len += n > 0 ? (size_t)n : 0;
	}
	if (len > sizeof(line) - 2)
		len = sizeof(line) - 2;
	make_printable(line, len);
	line[len] = '\n';
	if (write(STDERR_FILENO, line, len + 1) < 0)
		return; /* nowhere left to say so */
}
