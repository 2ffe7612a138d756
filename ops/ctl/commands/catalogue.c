/* SPDX-License-Identifier: Apache-2.0
 *
 * Products, profiles and geofences. */
#include "ops/ctl/commands/table.h"

#include "ops/ctl/ctl.h"

static const struct column geofence_columns[] = {
	{"ID", "id", CELL_NUMBER},
	{"PLACE", "place", CELL_TEXT},
	{"LATITUDE", "latitude", CELL_NUMBER},
	{"LONGITUDE", "longitude", CELL_NUMBER},
	{"RADIUS M", "radius_m", CELL_NUMBER},
};

static const struct column product_columns[] = {
	{"ID", "id", CELL_NUMBER},
	{"NAME", "name", CELL_TEXT},
	{"MANUFACTURER", "manufacturer", CELL_TEXT},
	{"FROZEN", "frozen", CELL_TEXT},
};

static const struct column profile_columns[] = {
	{"NAME", "name", CELL_TEXT},
	{"VERSION", "version", CELL_NUMBER},
	{"TITLE", "title", CELL_TEXT},
	{"PRODUCT", "product", CELL_TEXT},
	{"FROM °C", "storage_lower_c", CELL_TENTHS},
	{"TO °C", "storage_upper_c", CELL_TENTHS},
};

static const struct command rows[] = {
	{.name = "geofences list",
	 .args = "",
	 .help = "Circles around places, by which stages of shipments begin and end",
	 .method = "GET",
	 .path = "/v1/geofences",
	 OPTIONS(list_options),
	 COLUMNS(geofence_columns),
	 .run = run_list},
	{.name = "geofences create",
	 .args = "PLACE NAME=VALUE...",
	 .help = "Make one with latitude:=, longitude:= and radius_m:=",
	 .method = "POST",
	 .path = "/v1/geofences",
	 .fields = "place",
	 OPTIONS(create_options),
	 .run = run_act},
	{.name = "geofences set",
	 .args = "ID NAME=VALUE...",
	 .help = "Change one, such as radius_m:=300",
	 .method = "PATCH",
	 .path = "/v1/geofences/{id}",
	 .if_match = true,
	 OPTIONS(set_options),
	 .run = run_act},
	{.name = "geofences delete",
	 .args = "ID",
	 .help = "Delete one",
	 .method = "DELETE",
	 .path = "/v1/geofences/{id}",
	 OPTIONS(why_options),
	 .run = run_act},
	{.name = "products list",
	 .args = "",
	 .help = "Products that lots are of",
	 .method = "GET",
	 .path = "/v1/products",
	 OPTIONS(list_options),
	 COLUMNS(product_columns),
	 .run = run_list},
	{.name = "profiles list",
	 .args = "",
	 .help = "What products bear, by name",
	 .method = "GET",
	 .path = "/v1/profiles",
	 OPTIONS(list_options),
	 COLUMNS(profile_columns),
	 .run = run_list},
	{.name = "profiles show",
	 .args = "NAME",
	 .help = "One profile with its bands",
	 .method = "GET",
	 .path = "/v1/profiles/{name}",
	 .run = run_show},
};
const struct part commands_catalogue = PART_OF(rows);
