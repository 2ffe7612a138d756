/* SPDX-License-Identifier: Apache-2.0
 *
 * A pg_snapshot of PostgreSQL: which transactions it sees. */
#ifndef COLDFLEET_API_SNAPSHOT_H
#define COLDFLEET_API_SNAPSHOT_H

#include <stdbool.h>
#include <stdint.h>

struct snapshot;

/* "xmin:xmax:xip,xip,…"; NULL: it is not one. */
struct snapshot *snapshot_new(const char *text);
void snapshot_free(struct snapshot **s);

const char *snapshot_text(const struct snapshot *s); /* as it was given */
uint64_t snapshot_xmin(const struct snapshot *s);    /* all before it are seen */
bool snapshot_sees(const struct snapshot *s, uint64_t xid);

#endif
