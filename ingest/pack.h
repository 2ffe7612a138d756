/* SPDX-License-Identifier: Apache-2.0
 *
 * One telemetry message, decoded: SenML (RFC 8428) in JSON or CBOR becomes rows of telemetry.reading and the things a
 * tracker says beside its readings (sequence numbers, clock, lost samples, a wish for a receipt). Pure: bytes, a
 * content type and the time of receipt go in; rows or a reason that a person understands come out.
 *
 * A *sample* is one moment of measurement: all records of a pack with the same resolved time, over all probes. A
 * *reading* is what one probe of one device measured at one moment: one row. A name that comes again for the same probe
 * and time starts a further sample, so two different samples with equal time stay apart. */
#ifndef COLDFLEET_INGEST_PACK_H
#define COLDFLEET_INGEST_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/err.h"

/* One bit a channel; the order is that of the columns of telemetry.reading. Names and units: pack_record.c. */
enum channel {
	CH_TEMP,
	CH_HUM,
	CH_LUX,
	CH_SHOCK,
	CH_BATT,
	CH_RSRP,
	CH_LAT,
	CH_LON,
	CH_ALT,
	CH_ACC,
	CH_NUMBERS, /* channels below this one are numbers, above are booleans */
	CH_DOOR = CH_NUMBERS,
	CH_TAMPER,
	CH_POWER,
	CHANNELS
};

/* Bits of telemetry.reading.flags */
enum reading_flag {
	READING_SENSOR_FAULT = 1, /* temperature outside -200..+150 degC: kept, never judged as a temperature */
};

struct reading {
	int64_t ts;  /* microseconds since 1970-01-01T00:00:00Z, what the device said */
	int32_t seq; /* number of its sample; below 0: the pack carried no seq, -k is the k-th sample of that moment */
	int16_t epoch;      /* 0 when the pack names none */
	int16_t probe;      /* 0..255; a prefix with a larger number is no probe: the whole name goes to `extra` */
	uint16_t has;       /* bit c: channel c is present */
	uint16_t flags;     /* enum reading_flag */
	bool out_of_window; /* ts outside the accepted window: not to be stored as a reading, see pack.rejected */
	double number[CH_NUMBERS];
	bool boolean[CHANNELS - CH_NUMBERS];
	const char *extra; /* JSON object with every other record of this probe and sample, terminated, or NULL:
			    * {"co2":{"v":412,"u":"ppm"}}, keys v, vs, vb, vd (base64url), s (sum), u as given */
	size_t extra_len;
};

/* Largest sample number: one below the largest int4, so that the end of a range is one too. */
#define PACK_SEQ_MAX 2147483646

struct seq_range {
	int32_t first, last; /* inclusive */
};

struct pack {
	struct reading *readings; /* in the arena; ascending by (ts, sample, probe) */
	size_t reading_count;
	bool sequenced;   /* the pack carried `seq` */
	bool names_epoch; /* the pack carried `epoch` */
	int16_t epoch;
	struct seq_range
		samples; /* numbers of its samples, stored or rejected; valid when sequenced and sample_count > 0 */
	size_t sample_count;
	struct seq_range *lost; /* `lost` records: ranges the device can no longer send */
	size_t lost_count;
	bool wants_receipt; /* record rr = true */
	bool has_clock;
	int64_t clock;           /* microseconds, what the device's clock said when it sent the pack */
	size_t rejected;         /* readings with out_of_window set */
	struct err rejected_why; /* "clock: 3 of 37 samples: first 1970-01-01T00:00:10Z is more than 400 days before
				  * receipt"; empty when rejected is 0 */
};

struct pack_limits {
	size_t max_bytes;                    /* 65536 */
	size_t max_samples;                  /* 2048 */
	double past_seconds, future_seconds; /* 400 days, 10 minutes */
	size_t max_status_bytes;             /* 4096; of a status, see ingest/status.h */
};
#define PACK_LIMITS_DEFAULT                                                                                            \
	{                                                                                                              \
		65536, 2048, 400.0 * 86400.0, 600.0, 4096                                                              \
	}

/* What kind of quarantine a refusal is; the word in telemetry.quarantine.reason. pack_decode() never returns
 * PACK_CLOCK: it is for the caller's quarantine of a pack with rejected readings. */
enum pack_fault { PACK_OK, PACK_EMPTY, PACK_TOO_LARGE, PACK_SYNTAX, PACK_SENML, PACK_CONTENT, PACK_CLOCK, PACK_FAULTS };
const char *pack_fault_name(enum pack_fault fault); /* "empty", "too-large", "syntax", "senml", "content", "clock" */

/* Decodes one payload into *out; everything in it lives in `arena`, nothing points into the payload. `content_type` may
 * be NULL: then the first byte tells ('[' or white space: JSON). `now` is the time of receipt in microseconds. On
 * anything but PACK_OK, `e` says what, where and what was expected ("record 3: field 'v': expected a number, got
 * string"), and *out is empty. When every reading is out of the accepted time window the pack is PACK_OK with all
 * readings marked and `rejected` counting them. */
enum pack_fault pack_decode(const uint8_t *payload, size_t len, const char *content_type, int64_t now,
			    const struct pack_limits *limits, struct arena *arena, struct pack *out, struct err *e);

#endif
