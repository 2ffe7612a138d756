/* SPDX-License-Identifier: Apache-2.0
 *
 * Bodies of requests: one JSON object, checked against a table of its fields before the database sees a byte of it. */
#ifndef COLDFLEET_API_FIELDS_H
#define COLDFLEET_API_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

#define FIELDS_DEPTH 8 /* levels of objects and arrays in a body */

enum field_type {
	FIELD_TEXT,   /* min to max characters, no control characters but tab and line feed */
	FIELD_WORD,   /* one of `words` */
	FIELD_SERIAL, /* 1 to 64 of A-Z a-z 0-9 . _ - */
	FIELD_DIGITS, /* text of min to max decimal digits */
	FIELD_INT,    /* min to max */
	FIELD_NUMBER, /* min to max */
	FIELD_BOOL,
	FIELD_TIME,    /* RFC 3339 */
	FIELD_DATE,    /* YYYY-MM-DD */
	FIELD_TEXTS,   /* array of at most max texts of 1 to 200 characters */
	FIELD_INTS,    /* array of min to max whole numbers of 1 to 2147483647 */
	FIELD_OBJECTS, /* array of at most max objects, `fields` say what is in each */
	FIELD_OBJECT,  /* `fields` say what is in it; without them anything */
	FIELD_TYPES
};

struct field {
	const char *name;
	enum field_type type;
	bool required;
	bool nullable; /* null is taken: no value, or in a patch: take it away */
	double min, max;
	const char *words; /* of FIELD_WORD: "a,b,c" */
	const struct field *fields;
	size_t field_count;
	const char *help;
};

/* `body` is what came, `len` bytes. ERR_REQUEST: it is no JSON object or can be read in two ways (a name twice, bytes
 * after the end); ERR_INVALID: an unknown field, one that is missing, a value that its field does not take. Details
 * name the field with its path: "module.imei". */
bool fields_check(const struct field *fields, size_t count, const char *body, size_t len, struct err *e);

/* ERR_MEDIA: `content_type` (NULL: absent) is not application/json; for PATCH application/merge-patch+json is taken
 * too. */
bool fields_media(const char *content_type, bool patch, struct err *e);

#endif
