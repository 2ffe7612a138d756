/* SPDX-License-Identifier: Apache-2.0
 *
 * Builds a request target: a path with its segments filled in, and query parameters, escaped. Fails sticky: many puts,
 * one check. */
#ifndef COLDFLEET_CTL_TARGET_H
#define COLDFLEET_CTL_TARGET_H

#include <stdbool.h>
#include <stddef.h>

#include "core/err.h"

#define TARGET_MAX 4096

struct target {
	char text[TARGET_MAX];
	size_t len;
	bool query, full;
};

/* `path` as in the route table ("/v1/devices/{serial}/readings"); each {name} takes the next of `args`, which has one
 * for each. */
void target_path(struct target *t, const char *path, char *const *args);
/* Nothing when value is NULL. */
void target_param(struct target *t, const char *name, const char *value);
bool target_ok(const struct target *t, struct err *e);

#endif
