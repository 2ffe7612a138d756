/* SPDX-License-Identifier: Apache-2.0
 *
 * Formats and sends receipts. */
#include "ingest/receipt.h"

#include <stdio.h>

#include "broker-bridge/topic.h"
#include "core/log.h"
#include "ingest/metrics.h"

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

static const struct message *message_of(const struct batch *b, int32_t device_id)
{
	for (size_t i = 0; i < b->count; i++) {
		if (b->messages[i].device_id == device_id)
			return &b->messages[i];
	}
	return NULL;
}

void receipts_send(struct mqtt *mqtt, const char *object, const struct batch *batch, const struct receipt *receipts,
		   size_t count, struct metrics *metrics)
{
	struct err e = {0};
	char text[RECEIPT_TEXT_MAX], topic[TOPIC_MAX];
	for (size_t i = 0; i < count; i++) {
		const struct message *m = message_of(batch, receipts[i].device_id);
		if (m == NULL)
			continue;
		topic_format(topic, m->serial, m->serial_len, TOPIC_RECEIPT);
		struct mqtt_publish publish = {.topic = topic, .payload = text, .content_type = "application/json"};
		publish.payload_len = receipt_format(text, &receipts[i]);
		if (!mqtt_publish(mqtt, &publish, NULL, &e)) {
			log_warn(object, "receipt not sent: %s", e.detail);
			return;
		}
		metric_add(metrics, M_RECEIPTS, 1);
	}
}
