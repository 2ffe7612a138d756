/* SPDX-License-Identifier: Apache-2.0
 *
 * The same records in JSON and in CBOR are the same pack: what jansson reads is written as CBOR, with integer or text
 * labels and in definite or indefinite lengths, and both messages are decoded. */
#include <cbor.h>
#include <string.h>

#include "ingest/senml.h"
#include "ingest/senml_value.h"
#include "tests/fuzz/senml_check.h"

#define NOW      INT64_C(1790000000000000)
#define CBOR_MAX ((size_t)1 << 18)

struct writer {
	uint8_t bytes[CBOR_MAX];
	size_t len;
	bool text_labels, endless;
};

#define PUT(w, encode, ...) (w)->len += encode(__VA_ARGS__, (w)->bytes + (w)->len, CBOR_MAX - (w)->len)

static void put_string(struct writer *w, bool binary, const char *text, size_t len)
{
	if (binary)
		PUT(w, cbor_encode_bytestring_start, len);
	else
		PUT(w, cbor_encode_string_start, len);
	memcpy(w->bytes + w->len, text, len);
	w->len += len;
}

static int sextet(char c)
{
	return c >= 'A' && c <= 'Z'   ? c - 'A'
	       : c >= 'a' && c <= 'z' ? c - 'a' + 26
	       : c >= '0' && c <= '9' ? c - '0' + 52
	       : c == '-'             ? 62
				      : 63;
}

/* False for text that is not base64url, or whose last bits say nothing and are not zero: they would not come back. */
static bool put_data(struct writer *w, struct senml_text text)
{
	char bytes[8192];
	size_t n = 0;
	uint32_t bits = 0;
	int held = 0;
	if (!senml_base64url_valid(text) || text.len > sizeof(bytes))
		return false;
	for (size_t i = 0; i < text.len; i++) {
		bits = bits << 6 | (uint32_t)sextet(text.at[i]);
		held += 6;
		if (held < 8)
			continue;
		held -= 8;
		bytes[n++] = (char)(bits >> held);
		bits &= (1U << held) - 1;
	}
	put_string(w, true, bytes, n);
	return bits == 0;
}

static bool put_value(struct writer *w, enum senml_label label, const json_t *v)
{
	if (json_is_string(v) && label == SENML_VD)
		return put_data(w, (struct senml_text){json_string_value(v), json_string_length(v)});
	if (json_is_string(v))
		put_string(w, false, json_string_value(v), json_string_length(v));
	else if (json_is_real(v))
		PUT(w, cbor_encode_double, json_real_value(v));
	else if (json_is_boolean(v))
		PUT(w, cbor_encode_bool, json_is_true(v));
	else if (json_is_null(v))
		w->len += cbor_encode_null(w->bytes + w->len, CBOR_MAX - w->len);
	return !json_is_object(v) && !json_is_array(v);
}

static void put_label(struct writer *w, enum senml_label label, const char *key)
{
	int number = (int)label - SENML_CBOR_LABEL_OFFSET;
	if (label == SENML_LABELS || w->text_labels)
		put_string(w, false, key, strlen(key));
	else if (number >= 0)
		PUT(w, cbor_encode_uint, (uint64_t)number);
	else
		PUT(w, cbor_encode_negint, (uint64_t)(-1 - number));
}

static bool put_record(struct writer *w, json_t *object)
{
	if (!json_is_object(object))
		return false;
	if (w->endless)
		w->len += cbor_encode_indef_map_start(w->bytes + w->len, CBOR_MAX - w->len);
	else
		PUT(w, cbor_encode_map_start, json_object_size(object));
	const char *key;
	json_t *v;
	json_object_foreach(object, key, v)
	{
		enum senml_label label = senml_label_find(key, strlen(key));
		put_label(w, label, key);
		if (!put_value(w, label, v))
			return false;
	}
	if (w->endless)
		w->len += cbor_encode_break(w->bytes + w->len, CBOR_MAX - w->len);
	return true;
}

static bool put_pack(struct writer *w, json_t *root)
{
	if (!json_is_array(root))
		return false;
	if (w->endless)
		w->len += cbor_encode_indef_array_start(w->bytes + w->len, CBOR_MAX - w->len);
	else
		PUT(w, cbor_encode_array_start, json_array_size(root));
	for (size_t i = 0; i < json_array_size(root); i++)
		if (!put_record(w, json_array_get(root, i)))
			return false;
	if (w->endless)
		w->len += cbor_encode_break(w->bytes + w->len, CBOR_MAX - w->len);
	return true;
}

static void equal_require(const struct pack *a, const struct pack *b)
{
	REQUIRE(a->reading_count == b->reading_count && a->sample_count == b->sample_count);
	REQUIRE(a->sequenced == b->sequenced && a->epoch == b->epoch && a->samples.first == b->samples.first);
	REQUIRE(a->wants_receipt == b->wants_receipt && a->has_clock == b->has_clock && a->clock == b->clock);
	REQUIRE(a->lost_count == b->lost_count && a->rejected == b->rejected);
	for (size_t i = 0; i < a->lost_count; i++)
		REQUIRE(a->lost[i].first == b->lost[i].first && a->lost[i].last == b->lost[i].last);
	for (size_t i = 0; i < a->reading_count; i++) {
		const struct reading *x = &a->readings[i], *y = &b->readings[i];
		REQUIRE(x->ts == y->ts && x->seq == y->seq && x->probe == y->probe && x->has == y->has);
		REQUIRE(x->flags == y->flags && x->out_of_window == y->out_of_window);
		REQUIRE(memcmp(x->number, y->number, sizeof(x->number)) == 0);
		REQUIRE(memcmp(x->boolean, y->boolean, sizeof(x->boolean)) == 0);
		REQUIRE(x->extra_len == y->extra_len && (x->extra == NULL) == (y->extra == NULL));
		REQUIRE(x->extra == NULL || memcmp(x->extra, y->extra, x->extra_len) == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct arena *arena;
	static struct writer w;
	if (arena == NULL)
		arena = arena_new((size_t)1 << 20);
	if (size > 8192 || memchr(data, '\0', size) != NULL)
		return 0;
	arena_reset(arena);
	w.len = 0;
	w.text_labels = size & 1;
	w.endless = size & 2;
	json_t *root = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, NULL);
	bool encoded = put_pack(&w, root);
	json_decref(root);
	if (!encoded)
		return 0;
	const struct pack_limits limits = {CBOR_MAX, 2048, 86400, 600, 0};
	struct pack a, b;
	struct err e;
	enum pack_fault json = pack_decode(data, size, "application/senml+json", NOW, &limits, arena, &a, &e);
	enum pack_fault cbor = pack_decode(w.bytes, w.len, "application/senml+cbor", NOW, &limits, arena, &b, &e);
	REQUIRE(json == cbor);
	if (json == PACK_OK)
		equal_require(&a, &b);
	return 0;
}
