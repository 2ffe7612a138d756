/* SPDX-License-Identifier: Apache-2.0
 *
 * What a test's own process writes to standard output or standard error, as text. */
#ifndef COLDFLEET_TESTS_UNIT_CAPTURE_H
#define COLDFLEET_TESTS_UNIT_CAPTURE_H

#include <stddef.h>

/* Redirects the descriptor (1 or 2) into a file until capture_end(), which returns what was written since (at most
 * 64 KiB, terminated, overwritten by the next capture of that descriptor). Each start needs its end. */
void capture_start(int fd);
const char *capture_end(int fd);

/* What was written up to now, without ending it. */
const char *capture_peek(int fd);

#endif
