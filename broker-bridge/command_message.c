/* SPDX-License-Identifier: Apache-2.0
 *
 * Both messages are maps with small whole numbers as keys: a table of fields each, and one reader and one writer that
 * follow it. A field that may be missing says so by its value: -1, no bytes, an empty text. */
#include "broker-bridge/command_message.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>

static const char *const status_names[COMMAND_STATUSES] = {
	[COMMAND_ACCEPTED] = "accepted",
	[COMMAND_SUCCEEDED] = "succeeded",
	[COMMAND_FAILED] = "failed",
	[COMMAND_REJECTED] = "rejected",
};

enum form { FORM_INT, FORM_ID, FORM_TEXT, FORM_OPERATION, FORM_STATUS, FORM_MAP, FORM_HASH };

struct field {
	uint64_t key;
	const char *name;
	enum form form;
	bool required;
	size_t offset;
	size_t size; /* of a text's array */
};

#define IN_COMMAND(member) offsetof(struct command_message, member)
static const struct field command_fields[] = {
	{1, "version", FORM_INT, true, IN_COMMAND(version), 0},
	{2, "id", FORM_ID, true, IN_COMMAND(id), 0},
	{3, "issuer", FORM_TEXT, true, IN_COMMAND(issuer), COMMAND_ISSUER_MAX + 1},
	{4, "audience", FORM_TEXT, true, IN_COMMAND(audience), TOPIC_SERIAL_MAX + 1},
	{5, "epoch", FORM_INT, true, IN_COMMAND(epoch), 0},
	{6, "counter", FORM_INT, true, IN_COMMAND(counter), 0},
	{7, "issued at", FORM_INT, true, IN_COMMAND(issued_at), 0},
	{8, "not before", FORM_INT, true, IN_COMMAND(not_before), 0},
	{9, "expires", FORM_INT, true, IN_COMMAND(expires_at), 0},
	{10, "class", FORM_INT, true, IN_COMMAND(class), 0},
	{11, "operation", FORM_OPERATION, true, IN_COMMAND(operation), 0},
	{12, "arguments", FORM_MAP, true, IN_COMMAND(arguments), 0},
	{13, "approval", FORM_HASH, false, IN_COMMAND(approval), 0},
	{0},
};

#define IN_REPLY(member) offsetof(struct command_reply, member)
static const struct field reply_fields[] = {
	{1, "command id", FORM_ID, true, IN_REPLY(id), 0},
	{2, "counter", FORM_INT, true, IN_REPLY(counter), 0},
	{3, "status", FORM_STATUS, true, IN_REPLY(status), 0},
	{4, "reason", FORM_TEXT, false, IN_REPLY(reason), COMMAND_REASON_MAX + 1},
	{5, "result", FORM_MAP, false, IN_REPLY(result), 0},
	{6, "device time", FORM_INT, false, IN_REPLY(device_time), 0},
	{7, "boot count", FORM_INT, true, IN_REPLY(boot_count), 0},
	{8, "generation", FORM_INT, false, IN_REPLY(generation), 0},
	{0},
};

/* ---- one value: taken, put, left out ---- */

static bool take_int(struct cbor_reader *r, const struct field *f, void *at, struct err *e)
{
	(void)f;
	if (!cbor_take_int(r, at, e))
		return false;
	return *(int64_t *)at >= 0 || err_set(e, ERR_DECODE, "a negative number");
}

static bool take_sized(struct cbor_reader *r, size_t size, struct cbor_view *view, struct err *e)
{
	if (!cbor_take_bytes(r, view, e))
		return false;
	return view->len == size || err_set(e, ERR_DECODE, "%zu bytes, expected %zu", view->len, size);
}

static bool take_id(struct cbor_reader *r, const struct field *f, void *at, struct err *e)
{
	struct cbor_view view;
	(void)f;
	if (!take_sized(r, COMMAND_ID_BYTES, &view, e))
		return false;
	memcpy(at, view.at, COMMAND_ID_BYTES);
	return true;
}

static bool take_hash(struct cbor_reader *r, const struct field *f, void *at, struct err *e)
{
	(void)f;
	return take_sized(r, COMMAND_APPROVAL_BYTES, at, e);
}

static bool take_text(struct cbor_reader *r, const struct field *f, void *at, struct err *e)
{
	struct cbor_view view;
	char *text = at;
	if (!cbor_take_text(r, &view, e))
		return false;
	if (view.len == 0 || view.len >= f->size || memchr(view.at, 0, view.len) != NULL)
		return err_set(e, ERR_DECODE, "%zu bytes of text, expected 1 to %zu without NUL", view.len,
			       f->size - 1);
	memcpy(text, view.at, view.len);
	text[view.len] = '\0';
	return true;
}

static bool take_operation(struct cbor_reader *r, const struct field *f, void *at, struct err *e)
{
	struct cbor_view view;
	const struct command_operation **operation = at;
	(void)f;
	if (!cbor_take_text(r, &view, e))
		return false;
	*operation = command_operation(view);
	return *operation != NULL || err_set(e, ERR_INVALID, "no such operation");
}

static bool take_status(struct cbor_reader *r, const struct field *f, void *at, struct err *e)
{
	struct cbor_view view;
	int64_t *status = at;
	(void)f;
	if (!cbor_take_text(r, &view, e))
		return false;
	for (*status = COMMAND_ACCEPTED; *status < COMMAND_STATUSES; ++*status)
		if (cbor_text_is(view, status_names[*status]))
			return true;
	return err_set(e, ERR_DECODE, "expected accepted, succeeded, failed or rejected");
}

static bool take_map(struct cbor_reader *r, const struct field *f, void *at, struct err *e)
{
	(void)f;
	if (cbor_peek(r) != CBOR_MAP)
		return err_set(e, ERR_DECODE, "%s, expected a map", cbor_kind_name(cbor_peek(r)));
	return cbor_take_item(r, at, e);
}

static void put_int(struct cbor_writer *w, const void *at)
{
	cbor_put_int(w, *(const int64_t *)at);
}

static void put_id(struct cbor_writer *w, const void *at)
{
	cbor_put_bytes(w, at, COMMAND_ID_BYTES);
}

static void put_hash(struct cbor_writer *w, const void *at)
{
	const struct cbor_view *view = at;
	cbor_put_bytes(w, view->at, view->len);
}

static void put_text(struct cbor_writer *w, const void *at)
{
	cbor_put_text(w, at);
}

static void put_operation(struct cbor_writer *w, const void *at)
{
	cbor_put_text(w, (*(const struct command_operation *const *)at)->name);
}

static void put_status(struct cbor_writer *w, const void *at)
{
	cbor_put_text(w, command_status_name(*(const int64_t *)at));
}

static void put_map(struct cbor_writer *w, const void *at)
{
	cbor_put_raw(w, *(const struct cbor_view *)at);
}

static const struct {
	bool (*take)(struct cbor_reader *r, const struct field *f, void *at, struct err *e);
	void (*put)(struct cbor_writer *w, const void *at);
} forms[] = {
	[FORM_INT] = {take_int, put_int},          [FORM_ID] = {take_id, put_id},
	[FORM_TEXT] = {take_text, put_text},       [FORM_OPERATION] = {take_operation, put_operation},
	[FORM_STATUS] = {take_status, put_status}, [FORM_MAP] = {take_map, put_map},
	[FORM_HASH] = {take_hash, put_hash},
};

static bool missing(const struct field *f, const void *at)
{
	if (f->form == FORM_INT)
		return *(const int64_t *)at < 0;
	if (f->form == FORM_TEXT)
		return *(const char *)at == '\0';
	return (f->form == FORM_MAP || f->form == FORM_HASH) && ((const struct cbor_view *)at)->len == 0;
}

static void leave_out(const struct field *f, void *at)
{
	if (f->form == FORM_INT)
		*(int64_t *)at = -1;
	else if (f->form == FORM_TEXT)
		*(char *)at = '\0';
	else
		*(struct cbor_view *)at = (struct cbor_view){0};
}

/* ---- a whole map ---- */

static bool put_fields(const struct field *fields, const void *object, uint8_t *out, size_t cap, size_t *len,
		       struct err *e)
{
	const char *base = object;
	struct cbor_writer w;
	size_t pairs = 0;
	for (const struct field *f = fields; f->name != NULL; f++) {
		pairs += !missing(f, base + f->offset);
		if (f->required && missing(f, base + f->offset))
			return err_set(e, ERR_INVALID, "%s is missing", f->name);
	}
	cbor_writer_init(&w, out, cap);
	cbor_put_map(&w, pairs);
	for (const struct field *f = fields; f->name != NULL; f++) {
		if (missing(f, base + f->offset))
			continue;
		cbor_put_uint(&w, f->key);
		forms[f->form].put(&w, base + f->offset);
	}
	*len = w.len;
	return cbor_written(&w, e);
}

/* Keys rise in the table, and cbor_open() has seen that they rise in the map. */
static bool take_fields(const struct field *fields, const void *bytes, size_t len, void *object, struct err *e)
{
	struct cbor_reader r;
	char *base = object;
	uint64_t key = 0;
	size_t pairs;
	if (!cbor_open(&r, bytes, len, e) || !cbor_take_map(&r, &pairs, e))
		return false;
	for (const struct field *f = fields; f->name != NULL; f++) {
		if (key == 0 && pairs > 0 && !cbor_take_uint(&r, &key, e))
			return false;
		if (key == f->key) {
			if (!forms[f->form].take(&r, f, base + f->offset, e))
				return err_prefix(e, "%s: ", f->name);
			key = 0;
			pairs--;
		} else if (f->required) {
			return err_set(e, ERR_DECODE, "%s (key %u) is missing", f->name, (unsigned)f->key);
		} else {
			leave_out(f, base + f->offset);
		}
	}
	return pairs == 0 || err_set(e, ERR_DECODE, "a key that this version does not know");
}

/* ---- commands ---- */

static bool check_command(const struct command_message *m, struct err *e)
{
	static const uint8_t nobody[COMMAND_ID_BYTES];
	bool approval = m->operation->class >= COMMAND_STATE;
	if (m->version != COMMAND_VERSION)
		return err_set(e, ERR_INVALID, "version: expected %d", COMMAND_VERSION);
	if (memcmp(m->id, nobody, sizeof(nobody)) == 0)
		return err_set(e, ERR_INVALID, "id: expected other than all zero");
	if (!topic_serial_valid(m->audience, strlen(m->audience)))
		return err_set(e, ERR_INVALID, "audience: expected the serial of one tracker");
	if (m->counter < 1)
		return err_set(e, ERR_INVALID, "counter: expected at least 1");
	if (m->expires_at <= m->not_before || m->expires_at <= m->issued_at)
		return err_set(e, ERR_INVALID, "expires: expected later than issued at and not before");
	if (m->class != (int64_t)m->operation->class)
		return err_set(e, ERR_INVALID, "class: expected %d for %s", (int)m->operation->class,
			       m->operation->name);
	if (m->approval.len != (approval ? COMMAND_APPROVAL_BYTES : 0))
		return err_set(e, ERR_INVALID, "approval: expected %s for class %d", approval ? "one" : "none",
			       (int)m->operation->class);
	return command_check_arguments(m->operation, m->arguments, e);
}

bool command_encode(const struct command_message *m, uint8_t *out, size_t cap, size_t *len, struct err *e)
{
	struct cbor_reader r;
	if (m->operation == NULL)
		return err_set(e, ERR_INVALID, "operation: missing");
	if (!cbor_open(&r, m->arguments.at, m->arguments.len, e))
		return err_prefix(e, "arguments: ");
	return check_command(m, e) && put_fields(command_fields, m, out, cap, len, e);
}

bool command_decode(const void *bytes, size_t len, struct command_message *m, struct err *e)
{
	m->payload = (struct cbor_view){bytes, len};
	return take_fields(command_fields, bytes, len, m, e) && check_command(m, e);
}

/* "coldfleet-command-v1", a zero byte, the serial. */
static size_t external_data(const char *serial, char out[COSE_TYPE_MAX * 2])
{
	return (size_t)snprintf(out, (size_t)COSE_TYPE_MAX * 2, "coldfleet-command-v1%c%.*s", 0, TOPIC_SERIAL_MAX,
				serial);
}

bool command_sign(const struct cose_key *key, const struct command_message *m, uint8_t *out, size_t cap, size_t *len,
		  struct err *e)
{
	uint8_t payload[COMMAND_PAYLOAD_MAX];
	char aad[COSE_TYPE_MAX * 2];
	size_t payload_len, aad_len = external_data(m->audience, aad);
	return command_encode(m, payload, sizeof(payload), &payload_len, e) &&
	       cose_sign1(key, COMMAND_CONTENT_TYPE, aad, aad_len, payload, payload_len, out, cap, len, e);
}

bool command_open(const struct cose_keyring *ring, const char *serial, const void *bytes, size_t len,
		  struct command_message *m, struct err *e)
{
	struct cbor_view payload;
	char aad[COSE_TYPE_MAX * 2];
	size_t aad_len = external_data(serial, aad);
	*m = (struct command_message){.version = 0};
	if (len > COMMAND_BYTES_MAX)
		return err_set(e, ERR_DECODE, "%zu bytes, expected at most %d", len, COMMAND_BYTES_MAX);
	if (!cose_verify1(ring, COMMAND_CONTENT_TYPE, aad, aad_len, bytes, len, &payload, NULL, e) ||
	    !command_decode(payload.at, payload.len, m, e))
		return false;
	if (strcmp(m->audience, serial) == 0)
		return true;
	*m = (struct command_message){.version = 0};
	return err_set(e, ERR_UNAUTHORIZED, "audience: another tracker");
}

bool command_approval(const uint8_t request_sha256[32], const char *requester, const char *approver,
		      int64_t approved_at, uint8_t out[COMMAND_APPROVAL_BYTES], struct err *e)
{
	uint8_t record[1024];
	struct cbor_writer w;
	cbor_writer_init(&w, record, sizeof(record));
	cbor_put_array(&w, 4);
	cbor_put_bytes(&w, request_sha256, 32);
	cbor_put_text(&w, requester);
	cbor_put_text(&w, approver);
	cbor_put_int(&w, approved_at);
	if (!cbor_written(&w, e))
		return err_prefix(e, "record of the approval: ");
	return EVP_Digest(record, w.len, out, NULL, EVP_sha256(), NULL) == 1 || err_set(e, ERR_INTERNAL, "no SHA-256");
}

/* ---- replies ---- */

static bool check_reply(const struct command_reply *r, struct err *e)
{
	if (r->status < COMMAND_ACCEPTED || r->status >= COMMAND_STATUSES)
		return err_set(e, ERR_INVALID, "status: expected accepted, succeeded, failed or rejected");
	return r->generation <= UINT32_MAX || err_set(e, ERR_INVALID, "generation: expected 32 bits");
}

bool command_reply_encode(const struct command_reply *r, uint8_t *out, size_t cap, size_t *len, struct err *e)
{
	return check_reply(r, e) && put_fields(reply_fields, r, out, cap, len, e);
}

bool command_reply_decode(const void *bytes, size_t len, struct command_reply *r, struct err *e)
{
	if (len > COMMAND_REPLY_MAX)
		return err_set(e, ERR_DECODE, "%zu bytes, expected at most %d", len, COMMAND_REPLY_MAX);
	return take_fields(reply_fields, bytes, len, r, e) && check_reply(r, e);
}

const char *command_status_name(int64_t status)
{
	return status >= COMMAND_ACCEPTED && status < COMMAND_STATUSES ? status_names[status] : "?";
}

/* ---- ids and generations ---- */

void command_id_text(const uint8_t id[COMMAND_ID_BYTES], char out[COMMAND_ID_TEXT])
{
	size_t n = 0;
	for (size_t i = 0; i < COMMAND_ID_BYTES; i++) {
		bool dash = i == 4 || i == 6 || i == 8 || i == 10;
		n += (size_t)snprintf(out + n, COMMAND_ID_TEXT - n, "%s%02x", dash ? "-" : "", id[i]);
	}
}

/* What command_id_text() writes, in either case of letters. */
bool command_id_parse(const char *text, uint8_t id[COMMAND_ID_BYTES])
{
	char back[COMMAND_ID_TEXT];
	unsigned byte;
	size_t n = 0;
	if (strlen(text) != COMMAND_ID_TEXT - 1)
		return false;
	for (const char *p = text; *p != '\0' && n < COMMAND_ID_BYTES; p += *p == '-' ? 1 : 2)
		if (*p != '-' &&
		    (!isxdigit((unsigned char)p[0]) || !isxdigit((unsigned char)p[1]) || sscanf(p, "%2x", &byte) != 1))
			return false;
		else if (*p != '-')
			id[n++] = (uint8_t)byte;
	if (n != COMMAND_ID_BYTES)
		return false;
	command_id_text(id, back);
	return strcasecmp(text, back) == 0;
}

void command_generation_put(uint32_t generation, uint8_t out[COMMAND_GENERATION])
{
	for (size_t i = 0; i < COMMAND_GENERATION; i++)
		out[i] = (uint8_t)(generation >> 8 * (COMMAND_GENERATION - 1 - i));
}

int64_t command_generation_get(const void *bytes, size_t len)
{
	const uint8_t *p = bytes;
	if (len != COMMAND_GENERATION)
		return -1;
	return (int64_t)p[0] << 24 | (int64_t)p[1] << 16 | (int64_t)p[2] << 8 | p[3];
}
