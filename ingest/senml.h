/* SPDX-License-Identifier: Apache-2.0
 *
 * SenML (RFC 8428): records as they stand in a pack, in JSON or CBOR, become resolved records: base fields applied,
 * names joined and checked, times absolute. Nothing here knows what a tracker is. */
#ifndef COLDFLEET_INGEST_SENML_H
#define COLDFLEET_INGEST_SENML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/err.h"

#define SENML_VERSION    10  /* RFC 8428 section 4.4: a pack of a higher version must not be used */
#define SENML_FIELDS_MAX 32  /* fields in one record, known and unknown: RFC 8428 defines 15 */
#define SENML_NAME_MAX   256 /* bytes of base name and name: a base is repeated in every record after it */
#define SENML_UNIT_MAX   64
#define SENML_TIME_MAX   9e12 /* seconds: microseconds still fit an int64_t */

struct senml_text {
	const char *at; /* not terminated; NULL: absent */
	size_t len;
};

/* The CBOR label of RFC 8428 table 4, plus 6. */
enum senml_label {
	SENML_BS,
	SENML_BV,
	SENML_BU,
	SENML_BT,
	SENML_BN,
	SENML_BVER,
	SENML_N,
	SENML_U,
	SENML_V,
	SENML_VS,
	SENML_VB,
	SENML_S,
	SENML_T,
	SENML_UT,
	SENML_VD,
	SENML_LABELS
};
#define SENML_CBOR_LABEL_OFFSET 6

enum senml_type { SENML_NUMBER, SENML_TEXT, SENML_BOOLEAN, SENML_DATA };

struct senml_field {
	char label[8]; /* JSON member name, also allowed as a CBOR key */
	uint8_t len;
	enum senml_type type;
	const char *expected; /* words for a message: "a number" */
};
extern const struct senml_field senml_fields[SENML_LABELS];

/* One record as it stands in the pack. Only fields whose bit is set in `has` are initialised. */
struct senml_record {
	uint32_t has; /* bit per enum senml_label */
	union {
		double number;
		bool boolean;
		struct senml_text text; /* SENML_DATA: base64url without padding, whatever the pack's format */
	} field[SENML_LABELS];
};

struct senml_resolved {
	size_t number;          /* of the record within its pack, from 1 */
	struct senml_text base; /* the record's name is base followed by name; either may be empty */
	struct senml_text name;
	struct senml_text unit; /* `at` is NULL without one */
	bool unit_inherited;    /* from the pack's base unit */
	int64_t ts;             /* microseconds since 1970-01-01T00:00:00Z */
	enum senml_label value; /* SENML_V, _VS, _VB or _VD; SENML_S: it carries a sum and no value */
	double v;
	bool vb;
	struct senml_text text; /* vs or vd */
	bool has_sum;
	double sum;
};

enum senml_status {
	SENML_OK,
	SENML_SYNTAX,   /* not JSON, or not CBOR */
	SENML_INVALID,  /* well-formed, but not a SenML pack */
	SENML_TOO_MANY, /* more records than allowed */
	SENML_STOPPED,  /* the callback returned false */
};

/* A false return stops the decoder; the callback fills `e`. The resolved record is valid during the call; the texts it
 * points to live as long as the input and the arena. */
typedef bool senml_record_cb(const struct senml_resolved *r, void *arg, struct err *e);

struct senml_input {
	const uint8_t *bytes;
	size_t len;
	int64_t now; /* microseconds since 1970: what relative times are relative to */
	size_t max_records;
	struct arena *arena; /* text that cannot point into the input: unescaped, or base64url of bytes */
	senml_record_cb *record;
	void *arg;
};

/* Both hand over each record that carries a value or a sum, in the order of the pack. Records of base fields only are
 * applied and not handed over. Without SENML_OK `e` says what, where and what was expected (ERR_DECODE). */
enum senml_status senml_json_decode(const struct senml_input *in, struct err *e);
enum senml_status senml_cbor_decode(const struct senml_input *in, struct err *e);

/* What follows is for the two decoders. */

/* What base fields have left behind so far. Zero-initialised. */
struct senml_resolver {
	size_t records; /* seen so far */
	double version; /* 0 before the first record */
	struct senml_text bn, bu;
	double bt, bv, bs;
	bool has_bv, has_bs;
};

/* SENML_LABELS when the label is none of RFC 8428's. */
enum senml_label senml_label_find(const char *label, size_t len);
/* For a label that senml_label_find() does not know: false, with `e` filled, when it ends with '_' and so must be
 * understood (RFC 8428 section 4.4). */
bool senml_label_ignorable(const char *label, size_t len, size_t number, struct err *e);
/* Resolves the record and hands it to the input's callback. */
enum senml_status senml_push(struct senml_resolver *s, const struct senml_input *in, const struct senml_record *r,
			     struct err *e);

/* Text from outside for a message: printable ASCII, cut off with "..." */
#define SENML_SHOWN_MAX 64
struct senml_shown {
	char text[SENML_SHOWN_MAX];
};
struct senml_shown senml_show(const char *text, size_t len);

#endif
