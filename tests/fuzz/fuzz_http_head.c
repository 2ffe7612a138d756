/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes, in any split, give the same framing: once in one piece, once in pieces whose sizes the input itself picks.
 */
#include <stdlib.h>
#include <string.h>

#include "api/http_head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct http_limits limits = {.target = 8192, .head = 16384, .fields = 64, .body = 1 << 20};

static void must(bool claim)
{
	if (!claim)
		abort();
}

static void check_spans(const struct http_head *h, size_t size)
{
	must(h->length > 0 && h->length <= size && h->length <= limits.head && h->body_length <= limits.body);
	must(h->method.at == 0 && h->method.len > 0 && h->target.len > 0 && h->target.len <= limits.target);
	for (int i = 0; i < HTTP_FIELDS; i++)
		must(h->field[i].at + h->field[i].len <= h->length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *bytes = (const char *)data;
	struct http_head whole, pieces;
	http_head_init(&whole, &limits);
	enum http_verdict verdict = http_head_parse(&whole, bytes, size), now = HTTP_MORE;

	http_head_init(&pieces, &limits);
	for (size_t n = 0, i = 0; now == HTTP_MORE && n < size; i++) {
		size_t step = 1 + data[i % size] % 7;
		n = size - n < step ? size : n + step;
		char *copy = malloc(n); /* exactly what has come, at a new place each time */
		must(copy != NULL);
		memcpy(copy, bytes, n);
		now = http_head_parse(&pieces, copy, n);
		free(copy);
	}
	must(now == verdict && memcmp(&whole, &pieces, sizeof(whole)) == 0);
	if (verdict == HTTP_COMPLETE)
		check_spans(&whole, size);
	return 0;
}
