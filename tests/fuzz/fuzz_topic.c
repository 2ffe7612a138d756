/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes are a topic of ours or are not: what is read is written back as the same bytes, and what is refused says
 * why.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "broker-bridge/topic.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool claim)
{
	if (!claim)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	char again[TOPIC_MAX];
	struct topic t;
	struct err e = {0};
	if (!topic_parse(text, size, &t, &e)) {
		must(e.code == ERR_DECODE && e.detail[0] != '\0');
	} else {
		must(t.serial >= text && t.serial + t.serial_len <= text + size && t.leaf < TOPIC_LEAVES);
		must(topic_serial_valid(t.serial, t.serial_len));
		must(topic_format(again, t.serial, t.serial_len, t.leaf) == size && memcmp(again, text, size) == 0);
	}
	if (topic_serial_valid(text, size)) {
		size_t len = topic_format(again, text, size, TOPIC_TELEMETRY);
		must(topic_parse(again, len, &t, &e) && t.serial_len == size && memcmp(t.serial, text, size) == 0);
	}
	return 0;
}
