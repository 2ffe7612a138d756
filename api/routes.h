/* SPDX-License-Identifier: Apache-2.0
 *
 * Every method and path that the API answers. */
#ifndef COLDFLEET_API_ROUTES_H
#define COLDFLEET_API_ROUTES_H

#include "api/router.h"

/* The rows of all subjects, put together at the first call: it is for one thread. They stay. */
const struct route *routes_all(size_t *count);

#endif
