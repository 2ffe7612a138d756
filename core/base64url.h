/* SPDX-License-Identifier: Apache-2.0
 *
 * base64url without padding (RFC 4648 section 5), in its one canonical form. */
#ifndef COLDFLEET_CORE_BASE64URL_H
#define COLDFLEET_CORE_BASE64URL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BASE64URL_TEXT(bytes) ((bytes) / 3 * 4 + 5) /* at least the characters of so many bytes, and a NUL */

/* Terminated; `out` holds BASE64URL_TEXT(len). Returns its length. */
size_t base64url_encode(const void *bytes, size_t len, char *out);
/* False: another character, a length that does not exist, bits behind the end, or more than `cap` bytes. */
bool base64url_decode(const char *text, size_t text_len, uint8_t *out, size_t cap, size_t *len);

#endif
