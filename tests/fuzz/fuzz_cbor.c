/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as deterministic CBOR: refused, or the one form of what they say. What is taken is written anew, by way of
 * JSON and by libcbor, which reads it with other code, and the bytes are the same. */
#include <cbor.h>
#include <stdlib.h>
#include <string.h>

#include "core/cbor_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool holds(struct cbor_reader r, enum cbor_kind wanted)
{
	struct err e;
	size_t n;
	for (enum cbor_kind kind = cbor_peek(&r); kind != CBOR_END; kind = cbor_peek(&r)) {
		bool ok = kind == CBOR_ARRAY ? cbor_take_array(&r, &n, &e)
			  : kind == CBOR_MAP ? cbor_take_map(&r, &n, &e)
					     : cbor_take_item(&r, NULL, &e);
		if (!ok)
			abort();
		if (kind == wanted)
			return true;
	}
	return false;
}

/* libcbor writes each number as wide as it read it and leaves the order of keys alone. Half floats it writes from a
 * single, not always into the same half (0.8.0): messages with floats are only read. */
static void compare_with_libcbor(const struct cbor_reader *r)
{
	struct cbor_load_result result;
	unsigned char *bytes = NULL;
	size_t room = 0;
	cbor_item_t *item = cbor_load(r->bytes, r->len, &result);
	if (item == NULL || result.read != r->len)
		abort();
	if (!holds(*r, CBOR_FLOAT)) {
		size_t len = cbor_serialize_alloc(item, &bytes, &room);
		if (len != r->len || memcmp(bytes, r->bytes, len) != 0)
			abort();
		free(bytes);
	}
	cbor_decref(&item);
}

/* Byte strings become text on the way. */
static void compare_with_json(struct cbor_reader r)
{
	struct cbor_writer w;
	struct err e;
	bool bytes = holds(r, CBOR_BYTES);
	uint8_t *again = malloc(r.len + 1);
	json_t *value = again != NULL ? cbor_to_json(&r, &e) : NULL;
	if (value != NULL && !bytes) {
		cbor_writer_init(&w, again, r.len);
		if (!cbor_from_json(&w, value, &e) || w.len != r.len || memcmp(again, r.bytes, r.len) != 0)
			abort();
	}
	json_decref(value);
	free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cbor_reader r, walk;
	struct cbor_view whole;
	struct err e;
	if (!cbor_open(&r, data, size, &e))
		return 0;
	walk = r;
	if (!cbor_take_item(&walk, &whole, &e) || whole.len != size || cbor_peek(&walk) != CBOR_END)
		abort();
	compare_with_libcbor(&r);
	compare_with_json(r);
	return 0;
}
