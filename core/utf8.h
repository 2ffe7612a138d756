/* SPDX-License-Identifier: Apache-2.0
 *
 * Is it UTF-8? (RFC 3629: shortest forms only, no surrogates.) */
#ifndef COLDFLEET_CORE_UTF8_H
#define COLDFLEET_CORE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

bool utf8_valid(const void *text, size_t len);

#endif
