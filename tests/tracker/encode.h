/* SPDX-License-Identifier: Apache-2.0
 *
 * A telemetry message: SenML (RFC 8428) as JSON or as deterministic CBOR (RFC 8949 section 4.2.1). Pure. A pack names
 * its epoch, the number of its first sample and what is lost, then its samples in order of time. */
#ifndef COLDFLEET_TRACKER_ENCODE_H
#define COLDFLEET_TRACKER_ENCODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/tracker/sample.h"

#define ENCODE_MAX         65536 /* bytes of a message that the backend accepts */
#define ENCODE_SAMPLES_MAX 2048
#define ENCODE_NUMBER_MAX  32
#define LOST_MAX           32

enum encoding { ENCODING_JSON, ENCODING_CBOR };

struct message {
	int32_t epoch;
	int32_t next; /* without samples: the number of the next one, so that the epoch is not taken for left out */
	bool ask;     /* a record that asks for a receipt */
	double clock; /* the device's clock, seconds; below 0: not told */
	const struct range *lost;            /* told as lost at source */
	size_t lost_count;                   /* at most LOST_MAX */
	const struct sample *const *samples; /* consecutive numbers, ascending time */
	size_t sample_count;
};

/* *taken says how many samples went in: those that fit, have consecutive numbers and do not go back in time; the rest
 * belong into further messages. Returns the length; never 0. */
size_t encode_message(enum encoding encoding, const struct message *m, uint8_t out[ENCODE_MAX], size_t *taken);

const char *encoding_content_type(enum encoding encoding);

/* The shortest decimal that reads back as the same double, as in "4.1". Returns its length. */
size_t encode_number(char out[ENCODE_NUMBER_MAX], double value);

/* As in a record: "temp". */
const char *encode_quantity(uint16_t quantity);

#endif
