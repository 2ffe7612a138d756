/* SPDX-License-Identifier: Apache-2.0
 *
 * Products and the profiles by which their temperature is judged. */
#include "api/routes/table.h"

#include "schema/queries.h"

#define PROFILE                                                                                                        \
	{                                                                                                              \
		.name = "name", .in = PARAM_PATH, .type = PARAM_TEXT, .min = 1, .max = 64,                             \
		.help = "what programs call the profile"                                                               \
	}

static const struct param products_params[] = {PAGE("products")};

static const struct field product_fields[] = {
	TEXT("name", true, 200, "what people call it"),
	{.name = "manufacturer", .type = FIELD_TEXT, .nullable = true, .min = 1, .max = 200, .help = "who makes it"},
	{.name = "gtin",
	 .type = FIELD_DIGITS,
	 .nullable = true,
	 .min = 14,
	 .max = 14,
	 .help = "global trade item number"},
	{.name = "frozen", .type = FIELD_BOOL, .help = "it is kept frozen: no mean kinetic temperature is given"},
	REASON,
};

static const struct param profiles_params[] = {PAGE("profiles")};

static const struct param profile_params[] = {
	PROFILE,
	QUERY("version", PARAM_INT, .min = 1, .max = INT32_MAX, .help = "this version; absent: the latest"),
};

static const struct param profile_put_params[] = {PROFILE};
static const struct param profile_history_params[] = {PROFILE, PAGE("versions")};

static const struct field band_fields[] = {
	TEXT("code", true, 32, "what programs call it, the same in every version: 1 to 32 of a-z 0-9 -"),
	TEXT("title", false, 200, "what people call it"),
	CELSIUS("lower_c", "its lower end; null or absent: it has none"),
	{.name = "lower_inclusive", .type = FIELD_BOOL, .help = "a temperature equal to the lower end is in it"},
	CELSIUS("upper_c", "its upper end; null or absent: it has none"),
	{.name = "upper_inclusive", .type = FIELD_BOOL, .help = "a temperature equal to the upper end is in it"},
	{.name = "counting",
	 .type = FIELD_WORD,
	 .words = "single,cumulative",
	 .help = "each stay for itself, or all of a lot together"},
	{.name = "allowed_s",
	 .type = FIELD_INT,
	 .required = true,
	 .min = 0,
	 .max = INT32_MAX,
	 .help = "how long it may stay there, seconds"},
	{.name = "irreversible", .type = FIELD_BOOL, .help = "having been there changes the product for good"},
};

static const struct field profile_fields[] = {
	TEXT("title", false, 200, "what people call it"),
	{.name = "product",
	 .type = FIELD_TEXT,
	 .nullable = true,
	 .min = 1,
	 .max = 200,
	 .help = "the product it is about, by name"},
	{.name = "region", .type = FIELD_TEXT, .nullable = true, .min = 1, .max = 100, .help = "where its label holds"},
	CELSIUS("storage_lower_c", "lowest temperature that is not limited in time"),
	CELSIUS("storage_upper_c", "highest such temperature"),
	{.name = "effective_from", .type = FIELD_DATE, .help = "first day on which it holds; absent: today (UTC)"},
	{.name = "effective_to", .type = FIELD_DATE, .nullable = true, .help = "day from which on it does not"},
	TEXT("source", true, 1000, "where the limits are from"),
	{.name = "verified", .type = FIELD_BOOL, .help = "somebody has compared it with its source"},
	{.name = "note",
	 .type = FIELD_TEXT,
	 .nullable = true,
	 .min = 1,
	 .max = 2000,
	 .help = "what bands do not express"},
	{.name = "bands",
	 .type = FIELD_OBJECTS,
	 .required = true,
	 .max = 16,
	 FIELDS(band_fields),
	 .help = "temperatures that are limited in time"},
	REASON,
};

#define GEOFENCE NUMBER("the geofence's number")
#define CIRCLE(need)                                                                                                   \
	{.name = "latitude",                                                                                           \
	 .type = FIELD_NUMBER,                                                                                         \
	 .required = need,                                                                                             \
	 .min = -90,                                                                                                   \
	 .max = 90,                                                                                                    \
	 .help = "of its centre, degrees, north positive"},                                                            \
		{.name = "longitude",                                                                                  \
		 .type = FIELD_NUMBER,                                                                                 \
		 .required = need,                                                                                     \
		 .min = -180,                                                                                          \
		 .max = 180,                                                                                           \
		 .help = "of its centre, degrees, east positive"},                                                     \
		{.name = "radius_m", .type = FIELD_INT, .required = need, .min = 10, .max = 100000, .help = "metres"}, \
		REASON

static const struct param geofences_params[] = {PAGE("geofences")};
static const struct param geofence_params[] = {GEOFENCE};
static const struct param geofence_delete_params[] = {GEOFENCE, WHY};

static const struct field geofence_create_fields[] = {
	TEXT("place", true, 200, "the place as lanes and legs write it: a name, or a GLN"),
	CIRCLE(true),
};

static const struct field geofence_patch_fields[] = {CIRCLE(false)};

static const struct route rows[] = {
	{.method = "GET",
	 .path = "/v1/products",
	 .summary = "Products, in the order in which they were made",
	 .role = "viewer",
	 PARAMS(products_params),
	 .statement = &stmt_api_products},
	{.method = "POST",
	 .path = "/v1/products",
	 .summary = "Make a product",
	 .role = "config",
	 FIELDS(product_fields),
	 .statement = &stmt_api_product_create},
	{.method = "GET",
	 .path = "/v1/profiles",
	 .summary = "What products bear: profiles in their latest version, by name",
	 .role = "viewer",
	 PARAMS(profiles_params),
	 .statement = &stmt_api_profiles},
	{.method = "GET",
	 .path = "/v1/profiles/{name}",
	 .summary = "One version of a profile",
	 .role = "viewer",
	 PARAMS(profile_params),
	 .statement = &stmt_api_profile},
	{.method = "PUT",
	 .path = "/v1/profiles/{name}",
	 .summary = "The next version of a profile, or the first of a new one",
	 .role = "config",
	 PARAMS(profile_put_params),
	 FIELDS(profile_fields),
	 .if_match = true,
	 .statement = &stmt_api_profile_put},
	{.method = "GET",
	 .path = "/v1/profiles/{name}/history",
	 .summary = "The versions of a profile, the latest first",
	 .role = "viewer",
	 PARAMS(profile_history_params),
	 .statement = &stmt_api_profile_history},
	{.method = "GET",
	 .path = "/v1/geofences",
	 .summary = "Circles around places, by place",
	 .role = "viewer",
	 PARAMS(geofences_params),
	 .statement = &stmt_api_geofences},
	{.method = "POST",
	 .path = "/v1/geofences",
	 .summary = "Make a circle around a place",
	 .role = "config",
	 FIELDS(geofence_create_fields),
	 .statement = &stmt_api_geofence_create},
	{.method = "GET",
	 .path = "/v1/geofences/{id}",
	 .summary = "One geofence",
	 .role = "viewer",
	 PARAMS(geofence_params),
	 .statement = &stmt_api_geofence},
	{.method = "PATCH",
	 .path = "/v1/geofences/{id}",
	 .summary = "Edit a geofence; stages that have begun or ended stay so",
	 .role = "config",
	 PARAMS(geofence_params),
	 FIELDS(geofence_patch_fields),
	 .if_match = true,
	 .statement = &stmt_api_geofence_patch},
	{.method = "DELETE",
	 .path = "/v1/geofences/{id}",
	 .summary = "Delete a geofence",
	 .role = "config",
	 PARAMS(geofence_delete_params),
	 .statement = &stmt_api_geofence_delete},
};
const struct part routes_catalogue = PART_OF(rows);
