/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as a telemetry message in CBOR: refused with a reason, or a pack whose readings hold together. */
#include "tests/fuzz/senml_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	senml_check("application/senml+cbor", data, size);
	return 0;
}
