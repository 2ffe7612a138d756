/* SPDX-License-Identifier: Apache-2.0
 *
 * What a fleet's temperatures are to be, so that a test knows what must be found: lines of SERIAL FROM TO CELSIUS,
 * times in RFC 3339. From FROM on and before TO it is so warm there; at all other times, and for trackers that no line
 * names, it is SCRIPT_ELSE. Of lines that overlap the one that begins first counts. */
#ifndef COLDFLEET_TRACKER_SCRIPT_H
#define COLDFLEET_TRACKER_SCRIPT_H

#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

#define SCRIPT_ELSE 5.0 /* degrees Celsius */

struct script;

/* The lines of one tracker; they belong to the script. */
struct script_part {
	const struct act *acts;
	size_t count;
};

struct script *script_read(const char *path, struct err *e);
void script_free(struct script **s);
struct script_part script_of(const struct script *s, const char *serial);
/* Degrees Celsius at `ts`, microseconds since 1970. */
double script_temperature(struct script_part part, int64_t ts);

#endif
