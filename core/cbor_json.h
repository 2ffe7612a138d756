/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON as deterministic CBOR and back: how arguments and results pass between the database and a tracker. */
#ifndef COLDFLEET_CORE_CBOR_JSON_H
#define COLDFLEET_CORE_CBOR_JSON_H

#include <jansson.h>

#include "core/cbor.h"

/* Writes any JSON value: keys in the order of CBOR, whole numbers as integers, reals as floats. The same value gives
 * the same bytes, however it was written. Fails with ERR_INVALID on more than CBOR_DEPTH_MAX levels; whether it fitted
 * says cbor_written(). */
bool cbor_from_json(struct cbor_writer *w, const json_t *value, struct err *e);

/* Takes the next item. Byte strings become base64url without padding (RFC 8949 section 6.1). What JSON does not have is
 * refused (ERR_DECODE): keys other than text, numbers beyond 64 bits with sign, infinities and NaN, NUL in a text.
 * Returns a new reference, or NULL. */
json_t *cbor_to_json(struct cbor_reader *r, struct err *e);

#endif
