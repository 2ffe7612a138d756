/* SPDX-License-Identifier: Apache-2.0
 *
 * The route table: every method and path that the API answers. */
#ifndef COLDFLEET_API_ROUTES_H
#define COLDFLEET_API_ROUTES_H

#include "api/router.h"

extern const struct route routes[];
extern const size_t route_count;

#endif
