/* SPDX-License-Identifier: Apache-2.0
 *
 * One array a part, each with a function that writes it and one that reads it, in the same order. */
#include "tests/tracker/mcu_image.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#define HASH_BYTES 32
#define PARTS      6

static void put_text(struct cbor_writer *w, const char *text)
{
	cbor_put_text(w, text != NULL ? text : "");
}

static bool take_flag(struct cbor_reader *r, bool *flag, struct err *e)
{
	return cbor_take_bool(r, flag, e);
}

static bool take_list(struct cbor_reader *r, size_t least, size_t most, size_t *items, struct err *e)
{
	if (!cbor_take_array(r, items, e))
		return false;
	return (*items >= least && *items <= most) ||
	       err_set(e, ERR_DECODE, "%zu items, expected %zu to %zu", *items, least, most);
}

static bool take_copy(struct cbor_reader *r, uint8_t **copy, size_t *len, struct err *e)
{
	struct cbor_view view;
	if (!cbor_take_bytes(r, &view, e))
		return false;
	*len = view.len;
	*copy = view.len > 0 ? malloc(view.len) : NULL;
	if (view.len > 0 && *copy == NULL)
		abort();
	if (view.len > 0)
		memcpy(*copy, view.at, view.len);
	return true;
}

static bool take_text(struct cbor_reader *r, char *text, size_t size, struct err *e)
{
	struct cbor_view view;
	if (!cbor_take_text(r, &view, e))
		return false;
	if (view.len >= size)
		return err_set(e, ERR_DECODE, "%zu bytes of text, expected less than %zu", view.len, size);
	memcpy(text, view.at, view.len);
	text[view.len] = '\0';
	return true;
}

/* ---- the parts ---- */

static void put_mode(struct cbor_writer *w, const struct mcu_state *s)
{
	cbor_put_array(w, 5);
	cbor_put_int(w, s->boot_count);
	cbor_put_int(w, s->running_since);
	cbor_put_bool(w, s->disabled);
	cbor_put_bool(w, s->halted);
	cbor_put_int(w, s->until);
}

static bool take_mode(struct cbor_reader *r, struct mcu_state *s, struct err *e)
{
	size_t items;
	return take_list(r, 5, 5, &items, e) && cbor_take_int(r, &s->boot_count, e) &&
	       cbor_take_int(r, &s->running_since, e) && take_flag(r, &s->disabled, e) && take_flag(r, &s->halted, e) &&
	       cbor_take_int(r, &s->until, e);
}

static void put_config(struct cbor_writer *w, const struct mcu_state *s)
{
	cbor_put_array(w, 2);
	cbor_put_int(w, s->config_version);
	cbor_put_bytes(w, s->config, s->config_len);
}

static bool take_config(struct cbor_reader *r, struct mcu_state *s, struct err *e)
{
	size_t items;
	return take_list(r, 2, 2, &items, e) && cbor_take_int(r, &s->config_version, e) &&
	       take_copy(r, &s->config, &s->config_len, e);
}

static void put_firmware(struct cbor_writer *w, const struct mcu_state *s)
{
	cbor_put_array(w, 2 + MCU_SLOTS);
	cbor_put_int(w, s->slot);
	cbor_put_int(w, s->release_counter);
	for (size_t i = 0; i < MCU_SLOTS; i++)
		cbor_put_text(w, s->firmware[i]);
}

static bool take_firmware(struct cbor_reader *r, struct mcu_state *s, struct err *e)
{
	size_t items;
	if (!take_list(r, 2 + MCU_SLOTS, 2 + MCU_SLOTS, &items, e) || !cbor_take_int(r, &s->slot, e) ||
	    !cbor_take_int(r, &s->release_counter, e))
		return false;
	if (s->slot < 0 || s->slot >= MCU_SLOTS)
		return err_set(e, ERR_DECODE, "no such slot");
	for (size_t i = 0; i < MCU_SLOTS; i++)
		if (!take_text(r, s->firmware[i], sizeof(s->firmware[i]), e))
			return false;
	return true;
}

static void put_pending(struct cbor_writer *w, const struct mcu_state *s)
{
	cbor_put_array(w, 2 + 2 * s->pending_count);
	cbor_put_int(w, s->epoch);
	cbor_put_int(w, s->counter);
	for (size_t i = 0; i < s->pending_count; i++) {
		cbor_put_bytes(w, s->pending[i].payload, s->pending[i].payload_len);
		cbor_put_int(w, s->pending[i].generation);
	}
}

static bool take_pending(struct cbor_reader *r, struct mcu_state *s, struct err *e)
{
	size_t items;
	if (!take_list(r, 2, 2 + 2 * MCU_PENDING, &items, e) || !cbor_take_int(r, &s->epoch, e) ||
	    !cbor_take_int(r, &s->counter, e))
		return false;
	for (size_t n = (items - 2) / 2; s->pending_count < n;) {
		struct mcu_pending *p = &s->pending[s->pending_count];
		if (!take_copy(r, &p->payload, &p->payload_len, e))
			return false;
		s->pending_count++;
		if (!cbor_take_int(r, &p->generation, e))
			return false;
	}
	return true;
}

#define OUTCOME_ITEMS 7

static void put_outcomes(struct cbor_writer *w, const struct mcu_state *s)
{
	cbor_put_array(w, s->outcome_count);
	for (size_t i = 0; i < s->outcome_count; i++) {
		const struct mcu_outcome *o = &s->outcomes[(s->outcome_first + i) % MCU_OUTCOMES];
		cbor_put_array(w, OUTCOME_ITEMS);
		cbor_put_bytes(w, o->id, sizeof(o->id));
		cbor_put_int(w, o->counter);
		cbor_put_int(w, o->generation);
		cbor_put_int(w, o->status);
		cbor_put_bool(w, o->told);
		put_text(w, o->reason);
		cbor_put_bytes(w, o->result, o->result_len);
	}
}

static bool take_outcome(struct cbor_reader *r, struct mcu_outcome *o, struct err *e)
{
	char reason[COMMAND_REASON_MAX + 1];
	struct cbor_view id;
	size_t items;
	if (!take_list(r, OUTCOME_ITEMS, OUTCOME_ITEMS, &items, e) || !cbor_take_bytes(r, &id, e) ||
	    id.len != sizeof(o->id) || !cbor_take_int(r, &o->counter, e) || !cbor_take_int(r, &o->generation, e) ||
	    !cbor_take_int(r, &o->status, e) || !take_flag(r, &o->told, e) ||
	    !take_text(r, reason, sizeof(reason), e) || !take_copy(r, &o->result, &o->result_len, e))
		return false;
	memcpy(o->id, id.at, sizeof(o->id));
	o->reason = reason[0] != '\0' ? strdup(reason) : NULL;
	return true;
}

static bool take_outcomes(struct cbor_reader *r, struct mcu_state *s, struct err *e)
{
	size_t items;
	if (!take_list(r, 0, MCU_OUTCOMES, &items, e))
		return false;
	while (s->outcome_count < items)
		if (!take_outcome(r, &s->outcomes[s->outcome_count++], e))
			return false;
	return true;
}

static void put_trust(struct cbor_writer *w, const struct mcu_state *s)
{
	uint8_t list[TRUST_BYTES_MAX];
	size_t len = 0;
	if (s->trust != NULL && trust_version(s->trust) > 0)
		trust_encode(s->trust, list, sizeof(list), &len, NULL);
	cbor_put_bytes(w, list, len);
}

static bool take_trust(struct cbor_reader *r, struct mcu_state *s, struct err *e)
{
	struct cbor_view list;
	if (!cbor_take_bytes(r, &list, e))
		return false;
	s->trust = list.len > 0 ? trust_decode(list.at, list.len, e) : NULL;
	return list.len == 0 || s->trust != NULL;
}

static const struct {
	const char *name;
	void (*put)(struct cbor_writer *w, const struct mcu_state *s);
	bool (*take)(struct cbor_reader *r, struct mcu_state *s, struct err *e);
} parts[PARTS] = {
	{"mode", put_mode, take_mode},
	{"configuration", put_config, take_config},
	{"firmware", put_firmware, take_firmware},
	{"pending commands", put_pending, take_pending},
	{"outcomes", put_outcomes, take_outcomes},
	{"trust list", put_trust, take_trust},
};

bool mcu_image_write(const struct mcu_state *s, uint8_t *out, size_t cap, size_t *len, struct err *e)
{
	struct cbor_writer w;
	cbor_writer_init(&w, out, cap - HASH_BYTES);
	cbor_put_array(&w, PARTS);
	for (size_t i = 0; i < PARTS; i++)
		parts[i].put(&w, s);
	if (!cbor_written(&w, e))
		return false;
	*len = w.len + HASH_BYTES;
	return EVP_Digest(out, w.len, out + w.len, NULL, EVP_sha256(), NULL) == 1 ||
	       err_set(e, ERR_INTERNAL, "no SHA-256");
}

bool mcu_image_read(const uint8_t *bytes, size_t len, struct mcu_state *s, struct err *e)
{
	uint8_t hash[HASH_BYTES];
	struct cbor_reader r;
	size_t items;
	if (len < HASH_BYTES || EVP_Digest(bytes, len - HASH_BYTES, hash, NULL, EVP_sha256(), NULL) != 1 ||
	    memcmp(hash, bytes + len - HASH_BYTES, HASH_BYTES) != 0)
		return err_set(e, ERR_DECODE, "damaged: its checksum is not right");
	if (!cbor_open(&r, bytes, len - HASH_BYTES, e) || !take_list(&r, PARTS, PARTS, &items, e))
		return false;
	for (size_t i = 0; i < PARTS; i++)
		if (!parts[i].take(&r, s, e))
			return err_prefix(e, "%s: ", parts[i].name);
	return true;
}
