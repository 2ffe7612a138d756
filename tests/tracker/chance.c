/* SPDX-License-Identifier: Apache-2.0
 *
 * FNV-1a for the beginning, then xorshift64*. */
#include "tests/tracker/chance.h"

#define FNV_PRIME UINT64_C(1099511628211)

uint64_t chance_seed(const char *serial, uint64_t n)
{
	uint64_t seed = UINT64_C(0x9e3779b97f4a7c15) ^ n;

	for (const char *p = serial; *p != '\0'; p++)
		seed = (seed ^ (unsigned char)*p) * FNV_PRIME;
	return seed != 0 ? seed : 1;
}

bool chance_hits(uint64_t *chance, double p)
{
	*chance ^= *chance >> 12;
	*chance ^= *chance << 25;
	*chance ^= *chance >> 27;
	return (double)(*chance * UINT64_C(2685821657736338717) >> 11) * 0x1p-53 < p;
}
