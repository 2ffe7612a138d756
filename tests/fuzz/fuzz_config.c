/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as a configuration file: taken, with every value in its bounds, or refused in words; a second reading says
 * the same, and as a reload a refused file changes nothing. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/config.h"
#include "core/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct values {
	char text[CONFIG_TEXT_MAX];
	int64_t number, bytes;
	bool flag;
	double seconds;
	enum log_level level;
};

#define ITEM(name, type, fallback, min, max)                                                                           \
	{                                                                                                              \
		"x." #name, type, offsetof(struct values, name), fallback, min, max, true, false, "help"               \
	}
static const struct config_item items[] = {
	ITEM(text, CONFIG_TEXT, "hello", 0, 0),         ITEM(number, CONFIG_INT, "5", 1, 100),
	ITEM(bytes, CONFIG_BYTES, "64KiB", 1, 1 << 20), ITEM(flag, CONFIG_BOOL, "no", 0, 0),
	ITEM(seconds, CONFIG_SECONDS, "30s", 0.1, 1e6), ITEM(level, CONFIG_LOG_LEVEL, "info", 0, 0),
};
#define ITEMS (sizeof(items) / sizeof(items[0]))

static void must(bool claim)
{
	if (!claim)
		abort();
}

static void check_values(const struct values *v)
{
	must(memchr(v->text, '\0', sizeof(v->text)) != NULL);
	must(v->number >= 1 && v->number <= 100 && v->bytes >= 1 && v->bytes <= 1 << 20);
	must(v->seconds >= 0.1 && v->seconds <= 1e6 && v->level <= LOG_LEVEL_DEBUG);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char path[64];
	struct values v = {0}, second = {0};
	struct err e = {0}, again = {0};
	log_level_set(LOG_LEVEL_ERROR);
	int fd = memfd_create("config", MFD_CLOEXEC);
	must(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);

	struct config *c = config_new(items, ITEMS, &v, sizeof(v));
	bool ok = config_load(c, path, true, &e);
	must(ok || (e.code == ERR_CONFIG && strstr(e.detail, path) != NULL));
	check_values(&v);
	config_free(&c);

	c = config_new(items, ITEMS, &second, sizeof(second));
	must(config_load(c, "/dev/null", true, &again));
	must(config_load(c, path, true, &again) == ok && strcmp(e.detail, again.detail) == 0);
	if (ok) {
		struct values before = second;
		must(config_reload(c, &again) && memcmp(&before, &second, sizeof(before)) == 0);
	} else {
		struct values before = second;
		must(!config_reload(c, &again) && memcmp(&before, &second, sizeof(before)) == 0);
	}
	config_free(&c);
	close(fd);
	return 0;
}
