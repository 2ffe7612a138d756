/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes are a file or a reason why not; what is a file is whole: as many temperatures as times, and JSON. */
#include <stdint.h>
#include <stdlib.h>

#include <jansson.h>

#include "api/logger_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool claim)
{
	if (!claim)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *json;
	struct err e = {0};
	if (!logger_file_read((const char *)data, size, &json, &e)) {
		must(json == NULL && e.code == ERR_INVALID && e.detail[0] != '\0');
		return 0;
	}
	json_t *all = json_loads(json, JSON_REJECT_DUPLICATES, NULL);
	size_t samples = json_array_size(json_object_get(all, "ts"));
	must(all != NULL && samples > 0 && samples <= LOGGER_SAMPLES_MAX &&
	     samples == json_array_size(json_object_get(all, "c")) &&
	     samples == json_array_size(json_object_get(all, "x")));
	json_decref(all);
	free(json);
	return 0;
}
