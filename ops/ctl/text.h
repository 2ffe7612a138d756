/* SPDX-License-Identifier: Apache-2.0
 *
 * Text on its way to a terminal. What a device or a stranger put into a field must not move the cursor, change colours
 * or turn the direction of a line. */
#ifndef COLDFLEET_CTL_TEXT_H
#define COLDFLEET_CTL_TEXT_H

#include <stddef.h>
#include <stdio.h>

/* A copy (to be freed) in which control characters, format characters and broken UTF-8 are U+FFFD. */
char *text_clean(const char *text);

/* Columns that the cleaned text takes. */
size_t text_width(const char *text);

/* Writes the cleaned text cut to `width` columns (an ellipsis marks the cut), filled up with blanks on the right, or on
 * the left when `right`. */
void text_put(FILE *to, const char *text, size_t width, int right);

#endif
