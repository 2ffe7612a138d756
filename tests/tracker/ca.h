/* SPDX-License-Identifier: Apache-2.0
 *
 * The development CA: a folder with ca.crt and ca.key, a server certificate, and one P-256 key and certificate for
 * each tracker. For demos and tests; a factory has its own. */
#ifndef COLDFLEET_TRACKER_CA_H
#define COLDFLEET_TRACKER_CA_H

#include <stdbool.h>
#include <stdio.h>

#include "core/err.h"

struct ca;

/* Makes the folder, ca.crt and ca.key where they are missing; else loads them. */
struct ca *ca_open(const char *dir, struct err *e);
void ca_free(struct ca **ca);

/* DIR/server.crt and server.key for localhost, 127.0.0.1, ::1 and `name` (a host name or address, may be NULL), made
 * when missing or when a name is given. */
bool ca_server(struct ca *ca, const char *name, struct err *e);

/* DIR/SERIAL.crt and .key, made when one of them is missing. Prints one line to `to`: serial, SHA-256 of the
 * certificate, SHA-256 of its public key (SPKI), not before, not after; parted by tabs. */
bool ca_tracker(struct ca *ca, const char *serial, FILE *to, struct err *e);

#endif
