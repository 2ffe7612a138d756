/* SPDX-License-Identifier: Apache-2.0
 *
 * One payload becomes one pack: size, format by content type or first byte, then record by record. */
#include "ingest/pack.h"

#include <string.h>
#include <strings.h>

#include "ingest/pack_build.h"

/* A sample has a record for each channel of each probe; this many on average over a pack are let in. */
#define RECORDS_PER_SAMPLE 16

const char *pack_fault_name(enum pack_fault fault)
{
	static const char *const names[PACK_FAULTS] = {
		[PACK_OK] = "ok",         [PACK_EMPTY] = "empty", [PACK_TOO_LARGE] = "too-large",
		[PACK_SYNTAX] = "syntax", [PACK_SENML] = "senml", [PACK_CONTENT] = "content",
		[PACK_CLOCK] = "clock",
	};
	return (unsigned)fault < PACK_FAULTS ? names[fault] : "unknown";
}

static const enum pack_fault fault_of[] = {
	[SENML_OK] = PACK_OK,           [SENML_SYNTAX] = PACK_SYNTAX,
	[SENML_INVALID] = PACK_SENML,   [SENML_TOO_MANY] = PACK_TOO_LARGE,
	[SENML_STOPPED] = PACK_CONTENT,
};

typedef enum senml_status decoder(const struct senml_input *in, struct err *e);

static decoder *decoder_by_type(const char *content_type, struct err *e)
{
	static const struct {
		const char *type;
		decoder *decode;
	} types[] = {{"application/senml+json", senml_json_decode}, {"application/senml+cbor", senml_cbor_decode}};
	size_t len = strcspn(content_type, "; \t"); /* parameters follow */
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (strlen(types[i].type) == len && strncasecmp(types[i].type, content_type, len) == 0)
			return types[i].decode;
	err_set(e, ERR_DECODE, "content type '%s': expected application/senml+json or application/senml+cbor",
		senml_show(content_type, strlen(content_type)).text);
	return NULL;
}

/* '[' and white space begin JSON; as CBOR they would be a byte string and integers, never the array that a pack is. */
static decoder *decoder_by_byte(uint8_t first, struct err *e)
{
	if (strchr("[ \t\r\n", first) != NULL && first != '\0')
		return senml_json_decode;
	if (first >> 5 == 4) /* major type of arrays, RFC 8949 section 3.1 */
		return senml_cbor_decode;
	err_set(e, ERR_DECODE, "first byte is 0x%02x: expected '[' (JSON) or a CBOR array", first);
	return NULL;
}

static enum pack_fault decode(const uint8_t *payload, size_t len, const char *content_type, struct pack_build *b,
			      struct err *e)
{
	if (len == 0) {
		err_set(e, ERR_DECODE, "the payload is empty: expected a SenML pack");
		return PACK_EMPTY;
	}
	if (len > b->limits->max_bytes) {
		err_set(e, ERR_DECODE, "%zu bytes: expected at most %zu", len, b->limits->max_bytes);
		return PACK_TOO_LARGE;
	}
	bool typed = content_type != NULL && content_type[0] != '\0';
	decoder *decode_senml = typed ? decoder_by_type(content_type, e) : decoder_by_byte(payload[0], e);
	if (decode_senml == NULL)
		return PACK_SYNTAX;
	const struct senml_input in = {
		.bytes = payload,
		.len = len,
		.now = b->now,
		.max_records = b->limits->max_samples * RECORDS_PER_SAMPLE,
		.arena = b->arena,
		.record = pack_record,
		.arg = b,
	};
	enum senml_status status = decode_senml(&in, e);
	return status == SENML_OK ? pack_finish(b, e) : fault_of[status];
}

enum pack_fault pack_decode(const uint8_t *payload, size_t len, const char *content_type, int64_t now,
			    const struct pack_limits *limits, struct arena *arena, struct pack *out, struct err *e)
{
	*out = (struct pack){0};
	struct pack_build b = {.limits = limits, .now = now, .payload_len = len, .arena = arena, .pack = out};
	enum pack_fault fault = decode(payload, len, content_type, &b, e);
	if (fault != PACK_OK)
		*out = (struct pack){0};
	return fault;
}
