/* SPDX-License-Identifier: Apache-2.0
 *
 * One array a column. Columns of one batch are filled in one pass, so their elements stay in step. */
#include "broker-bridge/bridge_replies.h"

#include <stdlib.h>
#include <string.h>

#include "broker-bridge/topic.h"
#include "core/cbor_json.h"

#define ARENA_KEEP    ((size_t)1024 * 1024)
#define REPLIES_FIRST 64

void bridge_replies_init(struct bridge_replies *b)
{
	*b = (struct bridge_replies){.arena = arena_new(ARENA_KEEP), .limit = REPLIES_FIRST};
	b->list = malloc(b->limit * sizeof(*b->list));
	if (b->list == NULL)
		abort();
}

void bridge_replies_fini(struct bridge_replies *b)
{
	arena_free(&b->arena);
	free(b->list);
	b->list = NULL;
}

void bridge_replies_reset(struct bridge_replies *b)
{
	arena_reset(b->arena);
	b->count = 0;
}

void bridge_reply_spoil(struct bridge_replies *b, struct bridge_reply *r, const char *why)
{
	char *text = arena_text(b->arena, why, strlen(why));
	for (char *p = text; *p != '\0'; p++) {
		unsigned char c = (unsigned char)*p;
		if (c < 0x20 || c >= 0x7f)
			*p = '?';
	}
	r->bad = text;
}

/* The result as JSON. What JSON cannot say is named: the status that came with it counts all the same. */
static const char *result_text(struct bridge_replies *b, struct cbor_view result)
{
	struct err e = {0};
	struct cbor_reader reader;
	json_t *value = NULL;
	if (cbor_open(&reader, result.at, result.len, &e))
		value = cbor_to_json(&reader, &e);
	if (value == NULL)
		value = json_pack("{s:s}", "unreadable", e.detail);
	char *dumped = value != NULL ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
	const char *text = dumped != NULL ? arena_text(b->arena, dumped, strlen(dumped)) : NULL;
	free(dumped);
	json_decref(value);
	return text;
}

static struct bridge_reply *next_reply(struct bridge_replies *b)
{
	if (b->count == b->limit) {
		b->limit *= 2;
		b->list = realloc(b->list, b->limit * sizeof(*b->list));
		if (b->list == NULL)
			abort();
	}
	struct bridge_reply *r = &b->list[b->count++];
	*r = (struct bridge_reply){0};
	return r;
}

void bridge_replies_add(struct bridge_replies *b, const struct mqtt_message *m, int64_t now)
{
	struct err e = {0};
	struct topic topic;
	struct bridge_reply *r = next_reply(b);
	const char *name = arena_text(b->arena, m->topic, strlen(m->topic));
	r->raw_len = m->payload_len < BRIDGE_REPLY_KEPT ? m->payload_len : BRIDGE_REPLY_KEPT;
	r->raw = arena_copy(b->arena, m->payload, r->raw_len);
	r->received_at = now;
	r->serial = name;
	r->serial_len = strlen(name);
	if (!topic_parse(name, strlen(name), &topic, &e)) {
		bridge_reply_spoil(b, r, e.detail);
		return;
	}
	r->serial = topic.serial;
	r->serial_len = topic.serial_len;
	if (m->payload_len > BRIDGE_REPLY_KEPT)
		bridge_reply_spoil(b, r,
				   arena_format(b->arena,
						"reply of %zu bytes, of which %d are kept: expected at most %d",
						m->payload_len, BRIDGE_REPLY_KEPT, COMMAND_REPLY_MAX));
	else if (!command_reply_decode(r->raw, r->raw_len, &r->reply, &e))
		bridge_reply_spoil(b, r, e.detail);
	else if (r->reply.result.len > 0)
		r->result = result_text(b, r->reply.result);
}

/* ---- parameters ---- */

struct sizes {
	size_t count, serials, raws, statuses, reasons, results, bads;
};

static struct sizes measure(const struct bridge_replies *b, size_t from, size_t to, bool bad)
{
	struct sizes s = {0};
	for (size_t i = from; i < to; i++) {
		const struct bridge_reply *r = &b->list[i];
		if ((r->bad != NULL) != bad)
			continue;
		s.count++;
		s.serials += r->serial_len;
		s.raws += r->raw_len;
		s.bads += bad ? strlen(r->bad) : 0;
		s.statuses += bad ? 0 : strlen(command_status_name(r->reply.status));
		s.reasons += strlen(r->reply.reason);
		s.results += r->result != NULL ? strlen(r->result) : 0;
	}
	return s;
}

static void put_text(struct pg_array *a, const char *text)
{
	if (text == NULL || text[0] == '\0')
		pg_array_null(a);
	else
		pg_array_bytes(a, text, strlen(text));
}

static void put_known(struct pg_array *a, int64_t number)
{
	if (number < 0)
		pg_array_null(a);
	else
		pg_array_int8(a, number);
}

/* PostgreSQL's times end with the year 294276; who is beyond that has no clock. */
static void put_device_time(struct pg_array *a, int64_t seconds)
{
	if (seconds < 0 || seconds > INT64_C(253402300799))
		pg_array_null(a);
	else
		pg_array_time(a, seconds * 1000000);
}

size_t bridge_replies_params(struct pg_params *p, const struct bridge_replies *b, size_t from, size_t to)
{
	struct sizes n = measure(b, from, to, false);
	struct pg_array serials = pg_array_new(b->arena, PG_TEXT, n.count, n.serials);
	struct pg_array ids = pg_array_new(b->arena, PG_UUID, n.count, n.count * COMMAND_ID_BYTES);
	struct pg_array counters = pg_array_new(b->arena, PG_INT8, n.count, n.count * 8);
	struct pg_array statuses = pg_array_new(b->arena, PG_TEXT, n.count, n.statuses);
	struct pg_array reasons = pg_array_new(b->arena, PG_TEXT, n.count, n.reasons);
	struct pg_array results = pg_array_new(b->arena, PG_TEXT, n.count, n.results);
	struct pg_array times = pg_array_new(b->arena, PG_TIMESTAMPTZ, n.count, n.count * 8);
	struct pg_array boots = pg_array_new(b->arena, PG_INT8, n.count, n.count * 8);
	struct pg_array generations = pg_array_new(b->arena, PG_INT8, n.count, n.count * 8);
	struct pg_array raws = pg_array_new(b->arena, PG_BYTEA, n.count, n.raws);
	struct pg_array received = pg_array_new(b->arena, PG_TIMESTAMPTZ, n.count, n.count * 8);
	for (size_t i = from; i < to; i++) {
		const struct bridge_reply *r = &b->list[i];
		if (r->bad != NULL)
			continue;
		pg_array_bytes(&serials, r->serial, r->serial_len);
		pg_array_bytes(&ids, r->reply.id, COMMAND_ID_BYTES);
		pg_array_int8(&counters, r->reply.counter);
		put_text(&statuses, command_status_name(r->reply.status));
		put_text(&reasons, r->reply.reason);
		put_text(&results, r->result);
		put_device_time(&times, r->reply.device_time);
		pg_array_int8(&boots, r->reply.boot_count);
		put_known(&generations, r->reply.generation);
		pg_array_bytes(&raws, r->raw, r->raw_len);
		pg_array_time(&received, r->received_at);
	}
	struct pg_array *const columns[] = {&serials, &ids,   &counters,    &statuses, &reasons, &results,
					    &times,   &boots, &generations, &raws,     &received};
	*p = (struct pg_params){0};
	for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++)
		pg_params_array(p, columns[i]);
	return n.count;
}

size_t bridge_replies_bad_params(struct pg_params *p, const struct bridge_replies *b, size_t from, size_t to)
{
	struct sizes n = measure(b, from, to, true);
	struct pg_array serials = pg_array_new(b->arena, PG_TEXT, n.count, n.serials);
	struct pg_array raws = pg_array_new(b->arena, PG_BYTEA, n.count, n.raws);
	struct pg_array bads = pg_array_new(b->arena, PG_TEXT, n.count, n.bads);
	struct pg_array received = pg_array_new(b->arena, PG_TIMESTAMPTZ, n.count, n.count * 8);
	for (size_t i = from; i < to; i++) {
		const struct bridge_reply *r = &b->list[i];
		if (r->bad == NULL)
			continue;
		pg_array_bytes(&serials, r->serial, r->serial_len);
		pg_array_bytes(&raws, r->raw, r->raw_len);
		pg_array_bytes(&bads, r->bad, strlen(r->bad));
		pg_array_time(&received, r->received_at);
	}
	*p = (struct pg_params){0};
	pg_params_array(p, &serials);
	pg_params_array(p, &raws);
	pg_params_array(p, &bads);
	pg_params_array(p, &received);
	return n.count;
}
