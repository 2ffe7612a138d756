/* SPDX-License-Identifier: Apache-2.0
 *
 * Formats receipts. */
#include "ingest/receipt.h"

#include <stdio.h>

size_t receipt_format(char out[RECEIPT_TEXT_MAX], const struct receipt *r)
{
	size_t len = (size_t)snprintf(out, RECEIPT_TEXT_MAX, "{\"epoch\":%d,\"through\":%d,\"missing\":[", r->epoch,
				      r->through);
	for (int i = 0; i < r->missing_count; i++)
		len += (size_t)snprintf(out + len, RECEIPT_TEXT_MAX - len, "%s[%d,%d]", i > 0 ? "," : "",
					r->missing[i].first, r->missing[i].last);
	len += (size_t)snprintf(out + len, RECEIPT_TEXT_MAX - len, "]}");
	return len;
}
