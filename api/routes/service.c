/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether the service works, what it offers, and the stream of what happens. */
#include "api/routes/table.h"

#include "api/api.h"
#include "api/contract.h"
#include "schema/queries.h"

static const struct param stream_params[] = {
	QUERY("device", PARAM_SERIAL, .help = "only of this device"),
	QUERY("group", PARAM_TEXT, .min = 1, .max = 128, .help = "only of the devices in this group, by name"),
	QUERY("type", PARAM_TEXT, .min = 1, .max = 200, .help = "only of these types, with commas between"),
};

static const struct route rows[] = {
	{.method = "GET", .path = "/healthz", .summary = "The process is alive", .act = api_health},
	{.method = "GET", .path = "/readyz", .summary = "The database is reachable", .act = api_ready},
	{.method = "GET", .path = "/openapi.json", .summary = "What the API offers (OpenAPI 3.1)", .act = contract_act},
	{.method = "GET",
	 .path = "/v1/stream",
	 .summary = "What happens, as it happens (Server-Sent Events)",
	 .role = "viewer",
	 PARAMS(stream_params),
	 .statement = &stmt_api_stream,
	 .live = true},
};
const struct part routes_service = PART_OF(rows);
