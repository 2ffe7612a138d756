/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as a telemetry message in JSON: refused with a reason, or a pack whose readings hold together. And a second
 * opinion: jansson parses the same bytes, and both must accept the same packs with the same records. */
#include <string.h>

#include "ingest/senml.h"
#include "ingest/senml_value.h"
#include "tests/fuzz/senml_check.h"

#define RECORDS_MAX 512

struct records {
	struct senml_resolved list[RECORDS_MAX];
	size_t count;
};

static bool collect(const struct senml_resolved *r, void *arg, struct err *e)
{
	(void)e;
	struct records *records = arg;
	records->list[records->count++] = *r;
	return true;
}

static bool field_read(struct senml_record *r, enum senml_label label, const json_t *v)
{
	static const int types[] = {[SENML_NUMBER] = JSON_REAL,
				    [SENML_TEXT] = JSON_STRING,
				    [SENML_BOOLEAN] = JSON_TRUE,
				    [SENML_DATA] = JSON_STRING};
	int type = json_is_boolean(v) ? JSON_TRUE : (int)json_typeof(v);
	if (type != types[senml_fields[label].type])
		return false;
	r->has |= 1U << label;
	if (type == JSON_REAL)
		r->field[label].number = json_real_value(v);
	else if (type == JSON_TRUE)
		r->field[label].boolean = json_is_true(v);
	else
		r->field[label].text = (struct senml_text){json_string_value(v), json_string_length(v)};
	return label != SENML_VD || senml_base64url_valid(r->field[label].text);
}

static bool record_read(struct senml_record *r, json_t *object)
{
	r->has = 0;
	if (!json_is_object(object) || json_object_size(object) > SENML_FIELDS_MAX)
		return false;
	const char *key;
	json_t *v;
	json_object_foreach(object, key, v)
	{
		enum senml_label label = senml_label_find(key, strlen(key));
		if (label == SENML_LABELS) {
			size_t len = strlen(key);
			if (json_is_object(v) || json_is_array(v) || (len > 0 && key[len - 1] == '_'))
				return false;
		} else if (!field_read(r, label, v)) {
			return false;
		}
	}
	return true;
}

static bool reference(const json_t *root, const struct senml_input *in)
{
	struct senml_resolver resolver = {0};
	if (json_array_size(root) == 0 || json_array_size(root) > in->max_records)
		return false;
	for (size_t i = 0; i < json_array_size(root); i++) {
		struct senml_record r;
		if (!record_read(&r, json_array_get(root, i)) || senml_push(&resolver, in, &r, NULL) != SENML_OK)
			return false;
	}
	return true;
}

static bool text_equal(struct senml_text a, struct senml_text b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

static void equal_require(const struct senml_resolved *a, const struct senml_resolved *b)
{
	REQUIRE(a->number == b->number && a->ts == b->ts && a->value == b->value && a->has_sum == b->has_sum);
	REQUIRE(text_equal(a->base, b->base) && text_equal(a->name, b->name) && text_equal(a->unit, b->unit));
	REQUIRE(!a->has_sum || a->sum == b->sum);
	REQUIRE(a->value != SENML_V || a->v == b->v);
	REQUIRE(a->value != SENML_VB || a->vb == b->vb);
	REQUIRE((a->value != SENML_VS && a->value != SENML_VD) || text_equal(a->text, b->text));
}

static void second_opinion(const uint8_t *data, size_t size)
{
	static struct arena *arena;
	static struct records ours, theirs;
	if (arena == NULL)
		arena = arena_new((size_t)1 << 20);
	arena_reset(arena);
	ours.count = theirs.count = 0;
	struct senml_input in = {data, size, 1790000000000000, RECORDS_MAX, arena, collect, &ours};
	enum senml_status status = senml_json_decode(&in, NULL);
	if (memchr(data, '\0', size) != NULL) {
		/* Never JSON; jansson 2.14 overlooks a NUL that follows a number (its stream_unget() loses it). */
		REQUIRE(status != SENML_OK);
		return;
	}

	json_t *root = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, NULL);
	in.arg = &theirs;
	bool accepted = json_is_array(root) && reference(root, &in);
	REQUIRE((status == SENML_OK) == accepted);
	REQUIRE(status != SENML_SYNTAX || !json_is_array(root));
	if (accepted) {
		REQUIRE(ours.count == theirs.count);
		for (size_t i = 0; i < ours.count; i++)
			equal_require(&ours.list[i], &theirs.list[i]);
	}
	json_decref(root);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	senml_check("application/senml+json", data, size);
	second_opinion(data, size);
	return 0;
}
