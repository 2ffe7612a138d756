/* SPDX-License-Identifier: Apache-2.0 */
#include "core/join.h"

#include <stdlib.h>
#include <string.h>

size_t join(const struct part *const *parts, size_t count, size_t row, void *out, size_t most)
{
	size_t have = 0;

	for (size_t i = 0; i < count; i++) {
		if (have + parts[i]->count > most)
			abort();
		memcpy((char *)out + have * row, parts[i]->rows, parts[i]->count * row);
		have += parts[i]->count;
	}
	return have;
}
