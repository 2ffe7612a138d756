/* SPDX-License-Identifier: Apache-2.0
 *
 * Numbers of JSON. Its grammar sets no bounds to them, what keeps them does: jsonb knows no number of more than 131,072
 * digits before the point or 16,383 after it, and jansson makes 0 of what is too small for a double. */
#ifndef COLDFLEET_API_NUMBERS_H
#define COLDFLEET_API_NUMBERS_H

#include <stdbool.h>
#include <stddef.h>

#include "core/err.h"

#define NUMBERS_MOST 400 /* characters of a number, and powers of ten of its exponent: more than a double has */

/* Looks at any bytes, whether or not they are JSON. ERR_INVALID: the first number beyond the bound, by the name that
 * stands before it and its place. */
bool numbers_check(const char *json, size_t len, struct err *e);

#endif
