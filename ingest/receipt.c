/* SPDX-License-Identifier: Apache-2.0
 *
 * Formats and sends receipts. */
#include "ingest/receipt.h"

#include <stdio.h>
#include <stdlib.h>

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

size_t receipt_format_status(char out[RECEIPT_TEXT_MAX], const struct status *s)
{
	return (size_t)snprintf(out, RECEIPT_TEXT_MAX, "{\"status\":{\"boot\":%d,\"uptime\":%.17g}}", s->boot,
				s->uptime);
}

static int by_device(const void *a, const void *b)
{
	const struct message *x = *(const struct message *const *)a, *y = *(const struct message *const *)b;
	return (x->device_id > y->device_id) - (x->device_id < y->device_id);
}

/* The messages of a batch by their device, to be freed. */
static const struct message **sorted(const struct batch *b)
{
	const struct message **list = malloc(b->count * sizeof(*list));
	if (list == NULL)
		abort();
	for (size_t i = 0; i < b->count; i++)
		list[i] = &b->messages[i];
	qsort(list, b->count, sizeof(*list), by_device);
	return list;
}

static bool publish(struct mqtt *mqtt, const struct message *m, const char *text, size_t len, struct err *e)
{
	char topic[TOPIC_MAX];
	topic_format(topic, m->serial, m->serial_len, TOPIC_RECEIPT);
	struct mqtt_publish p = {
		.topic = topic, .payload = text, .payload_len = len, .content_type = "application/json"};
	return mqtt_publish(mqtt, &p, NULL, e);
}

static bool status_due(const struct message *m)
{
	return m->status_asked && m->store && m->quarantine == NULL;
}

/* False and `e` when the broker's connection does not take them. */
static bool send_samples(struct mqtt *mqtt, const struct batch *batch, const struct receipt *receipts, size_t count,
			 struct metrics *metrics, struct err *e)
{
	const struct message **list = sorted(batch);
	char text[RECEIPT_TEXT_MAX];
	bool sent = true;
	for (size_t i = 0; i < count && sent; i++) {
		const struct message wanted = {.device_id = receipts[i].device_id}, *key = &wanted;
		const struct message **m = bsearch(&key, list, batch->count, sizeof(*list), by_device);
		if (m == NULL)
			continue;
		sent = publish(mqtt, *m, text, receipt_format(text, &receipts[i]), e);
		metric_add(metrics, M_RECEIPTS, sent);
	}
	free(list);
	return sent;
}

void receipts_send(struct mqtt *mqtt, const char *object, const struct batch *batch, const struct receipt *receipts,
		   size_t count, struct metrics *metrics)
{
	struct err e = {0};
	char text[RECEIPT_TEXT_MAX];
	bool sent = count == 0 || send_samples(mqtt, batch, receipts, count, metrics, &e);
	for (size_t i = 0; i < batch->count && sent; i++) {
		const struct message *m = &batch->messages[i];
		if (!status_due(m))
			continue;
		sent = publish(mqtt, m, text, receipt_format_status(text, &m->status), &e);
		metric_add(metrics, M_RECEIPTS, sent);
	}
	if (!sent)
		log_warn(object, "receipt not sent: %s", e.detail);
}
