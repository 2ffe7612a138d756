/* SPDX-License-Identifier: Apache-2.0
 *
 * Looks into the PEM files of a TLS client before they are used: libmosquitto opens them only when it connects, and
 * then says no more than "A TLS error occurred". */
#ifndef COLDFLEET_BROKER_BRIDGE_TLS_FILES_H
#define COLDFLEET_BROKER_BRIDGE_TLS_FILES_H

#include <stdbool.h>

#include "core/err.h"

/* `cert` and `key` may both be NULL. ERR_CONFIG names the file and what is wrong with it. */
bool tls_files_check(const char *ca, const char *cert, const char *key, struct err *e);

#endif
