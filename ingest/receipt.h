/* SPDX-License-Identifier: Apache-2.0
 *
 * The receipt as the tracker reads it (docs/protocol.md): {"epoch":0,"through":4713,"missing":[[4650,4655]]}. */
#ifndef COLDFLEET_INGEST_RECEIPT_H
#define COLDFLEET_INGEST_RECEIPT_H

#include <stddef.h>

#include "ingest/store.h"

/* 32 ranges of two ten-digit numbers with their punctuation, and the rest. */
#define RECEIPT_TEXT_MAX 1024

/* Returns the length; the text is terminated. */
size_t receipt_format(char out[RECEIPT_TEXT_MAX], const struct receipt *r);

#endif
