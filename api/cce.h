/* SPDX-License-Identifier: Apache-2.0
 *
 * Transfers of equipment monitoring data (cce-interop): JSON that says more than anybody here knows of, all of which is
 * kept, so only its outline is looked at here. */
#ifndef COLDFLEET_API_CCE_H
#define COLDFLEET_API_CCE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/err.h"

/* `json`, to be freed, becomes the transfer as it came. ERR_REQUEST: no JSON, or such as can be read in two ways;
 * ERR_INVALID: it is not {"meta": {...}, "data": [{...}, ...]}, or has a number that nobody can keep. */
bool cce_read(const char *bytes, size_t len, char **json, struct err *e);

#endif
