/* SPDX-License-Identifier: Apache-2.0
 *
 * The receipt as the tracker reads it (docs/protocol.md): {"epoch":0,"through":4713,"missing":[[4650,4655]]}. */
#ifndef COLDFLEET_INGEST_RECEIPT_H
#define COLDFLEET_INGEST_RECEIPT_H

#include <stddef.h>

#include "broker-bridge/mqtt.h"
#include "core/metrics.h"
#include "ingest/batch.h"
#include "ingest/store.h"

/* 32 ranges of two ten-digit numbers with their punctuation, and the rest. */
#define RECEIPT_TEXT_MAX 1024

/* Returns the length; the text is terminated. */
size_t receipt_format(char out[RECEIPT_TEXT_MAX], const struct receipt *r);

/* {"status":{"boot":7,"uptime":12.5}}: this one is stored. Returns the length; the text is terminated. */
size_t receipt_format_status(char out[RECEIPT_TEXT_MAX], const struct status *s);

/* Publishes the receipts of a batch that is committed: those given, and one for each status that asked. What cannot be
 * sent is left: the tracker asks again. */
void receipts_send(struct mqtt *mqtt, const char *object, const struct batch *batch, const struct receipt *receipts,
		   size_t count, struct metrics *metrics);

#endif
