/* SPDX-License-Identifier: Apache-2.0
 *
 * A table that is written in several files, a part a subject, put together at run time: C cannot do it before. */
#ifndef COLDFLEET_CORE_JOIN_H
#define COLDFLEET_CORE_JOIN_H

#include <stddef.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

struct part {
	const void *rows;
	size_t count;
};

#define PART_OF(rows_)                                                                                                 \
	{                                                                                                              \
		.rows = (rows_), .count = COUNT(rows_)                                                                 \
	}

/* Copies the rows of the parts, `row` bytes each, one part behind the other, into `out`, which holds `most` rows; more
 * end the program. Returns how many there are. */
size_t join(const struct part *const *parts, size_t count, size_t row, void *out, size_t most);

#endif
