/* SPDX-License-Identifier: Apache-2.0
 *
 * Logging through the object: one line an event, `key=value` words, to standard error. The object is a short name
 * such as "lane-3" or "api"; control characters in a line are escaped, so bytes from outside cannot forge one. */
#ifndef COLDFLEET_CORE_LOG_H
#define COLDFLEET_CORE_LOG_H

#include <stdbool.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

void log_level_set(enum log_level level);
enum log_level log_level_get(void);
/* "error", "warn", "info", "debug"; returns false and leaves *level alone when the name is none of them. */
bool log_level_parse(const char *name, enum log_level *level);

void log_line(enum log_level level, const char *object, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#define log_error(object, ...) log_line(LOG_LEVEL_ERROR, (object), __VA_ARGS__)
#define log_warn(object, ...)  log_line(LOG_LEVEL_WARN, (object), __VA_ARGS__)
#define log_info(object, ...)  log_line(LOG_LEVEL_INFO, (object), __VA_ARGS__)
#define log_debug(object, ...)                                                                                         \
	do {                                                                                                           \
		if (log_level_get() >= LOG_LEVEL_DEBUG)                                                                \
			log_line(LOG_LEVEL_DEBUG, (object), __VA_ARGS__);                                              \
	} while (0)

#endif
