/* SPDX-License-Identifier: Apache-2.0
 *
 * Floats of 16 bits (IEEE 754 binary16), as CBOR has them. */
#ifndef COLDFLEET_CORE_HALF_H
#define COLDFLEET_CORE_HALF_H

#include <math.h>
#include <stdint.h>

static inline double half_value(uint16_t half)
{
	int exponent = half >> 10 & 0x1f, mantissa = half & 0x3ff;
	double value = exponent == 0    ? ldexp(mantissa, -24)
		       : exponent == 31 ? (mantissa == 0 ? (double)INFINITY : (double)NAN)
					: ldexp(mantissa + 1024, exponent - 25);
	return half & 0x8000 ? -value : value;
}

#endif
