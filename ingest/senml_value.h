/* SPDX-License-Identifier: Apache-2.0
 *
 * Values that JSON and CBOR have in common: decimal numbers, UTF-8 text, base64url data. Pure functions. */
#ifndef COLDFLEET_INGEST_SENML_VALUE_H
#define COLDFLEET_INGEST_SENML_VALUE_H

#include "ingest/senml.h"

/* mantissa * 10**exponent, rounded once; infinite when it is too large. */
double senml_decimal(bool negative, uint64_t mantissa, int64_t exponent);

/* RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF; and no U+0000, which PostgreSQL cannot store. */
bool senml_utf8_valid(struct senml_text text);

/* RFC 4648 section 5, padding omitted. */
struct senml_text senml_base64url(struct arena *arena, struct senml_text bytes);
bool senml_base64url_valid(struct senml_text text);

#endif
