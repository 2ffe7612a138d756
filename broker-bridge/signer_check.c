/* SPDX-License-Identifier: Apache-2.0
 *
 * From the outside in: the hash holds the canonical bytes, the canonical bytes hold this command, the signer's own
 * table knows the operation, and the approval is somebody else's and about this hash. */
#include "broker-bridge/signer_check.h"

#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/sha.h>

#define HASH_BYTES SHA256_DIGEST_LENGTH

static json_t *parse(const void *text, size_t len)
{
	json_error_t ignored;
	return json_loadb(text, len, JSON_REJECT_DUPLICATES, &ignored);
}

/* ---- the devices ---- */

static int hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c == '\0' ? NULL : strchr(digits, c);
	return at == NULL ? -1 : (int)(at - digits);
}

static bool hash_from_hex(const char *text, uint8_t out[HASH_BYTES])
{
	if (text == NULL || strlen(text) != 2 * HASH_BYTES)
		return false;
	for (size_t i = 0; i < HASH_BYTES; i++) {
		int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);
		if (high < 0 || low < 0)
			return false;
		out[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

/* The same bytes say the same, whatever else the order says. */
static void read_request(struct sign_request *r, const struct sign_order *order)
{
	uint8_t hash[HASH_BYTES];
	SHA256(order->canonical.at, order->canonical.len, hash);
	if (r->read && memcmp(r->sha256, hash, HASH_BYTES) == 0)
		return;
	json_decref(r->canonical);
	r->canonical = parse(order->canonical.at, order->canonical.len);
	r->by_hash = hash_from_hex(json_string_value(json_object_get(r->canonical, "serials_sha256")), r->claimed);
	memcpy(r->sha256, hash, HASH_BYTES);
	r->read = true;
}

void signer_request_fini(struct sign_request *request)
{
	json_decref(request->canonical);
	*request = (struct sign_request){0};
}

bool signer_targets_known(const struct sign_order *order, struct sign_request *request)
{
	read_request(request, order);
	return !request->by_hash ||
	       (request->text != NULL && memcmp(request->listed, request->claimed, HASH_BYTES) == 0);
}

void signer_targets_set(struct sign_request *request, const struct sign_order *order, const char *text)
{
	read_request(request, order);
	request->text = request->by_hash ? text : NULL;
	request->text_len = strlen(text);
	memcpy(request->listed, request->claimed, HASH_BYTES);
	SHA256((const unsigned char *)text, request->text_len, request->actual);
}

/* `text` is sorted, so the line that stands across the middle says in which half to look. */
static bool has_line(const char *text, size_t text_len, const char *line)
{
	const char *from = text, *to = text + text_len;
	size_t len = strlen(line);
	while (from < to) {
		const char *at = from + (to - from) / 2;
		while (at > from && at[-1] != '\n')
			at--;
		size_t at_len = strcspn(at, "\n");
		int order = memcmp(line, at, len < at_len ? len : at_len);
		if (order == 0 && len == at_len)
			return true;
		if (order < 0 || (order == 0 && len < at_len))
			to = at > from ? at - 1 : from;
		else
			from = at + at_len < to ? at + at_len + 1 : to;
	}
	return false;
}

static bool in_array(const json_t *serials, const char *serial)
{
	size_t i;
	json_t *one;
	json_array_foreach(serials, i, one)
	{
		if (json_is_string(one) && strcmp(json_string_value(one), serial) == 0)
			return true;
	}
	return false;
}

static bool check_device(const struct sign_order *order, const struct sign_request *r, struct err *e)
{
	const json_t *serials = json_object_get(r->canonical, "serials");
	if (json_is_array(serials) && in_array(serials, order->serial))
		return true;
	if (serials == NULL && r->by_hash && r->text != NULL && memcmp(r->claimed, r->actual, HASH_BYTES) == 0 &&
	    has_line(r->text, r->text_len, order->serial))
		return true;
	return err_set(e, ERR_INVALID, "the device %.64s is not among those of the request", order->serial);
}

/* ---- the request ---- */

static bool text_is(const json_t *object, const char *key, const char *expected)
{
	const char *text = json_string_value(json_object_get(object, key));
	return text != NULL && strcmp(text, expected) == 0;
}

static bool int_is(const json_t *object, const char *key, int64_t expected)
{
	const json_t *value = json_object_get(object, key);
	return json_is_integer(value) && json_integer_value(value) == expected;
}

/* What the order says is what stands in the canonical bytes. */
static bool check_content(const struct sign_order *order, const json_t *canonical, const json_t *arguments,
			  struct err *e)
{
	const struct {
		const char *what;
		bool same;
	} parts[] = {
		{"operation", text_is(canonical, "operation", order->operation)},
		{"class", int_is(canonical, "class", order->class)},
		{"arguments", arguments != NULL && json_equal(arguments, json_object_get(canonical, "arguments"))},
		{"not_before", int_is(canonical, "not_before", order->not_before)},
		{"expires_at", int_is(canonical, "expires_at", order->expires_at)},
	};
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		if (!parts[i].same)
			return err_set(e, ERR_INVALID, "the command's %s is not the request's", parts[i].what);
	}
	return true;
}

static bool check_approval(const struct sign_order *order, int64_t now, struct err *e)
{
	if (order->approver == NULL || order->approved_sha256.len == 0)
		return err_set(e, ERR_FORBIDDEN, "%.40s has class %d and nobody approved it", order->operation,
			       order->class);
	if (strcmp(order->approver, order->requested_by) == 0)
		return err_set(e, ERR_FORBIDDEN, "%.100s asked for it and cannot approve it", order->approver);
	if (order->approved_sha256.len != HASH_BYTES ||
	    CRYPTO_memcmp(order->approved_sha256.at, order->request_sha256.at, HASH_BYTES) != 0)
		return err_set(e, ERR_FORBIDDEN, "what %.100s approved is not this request", order->approver);
	if (order->approved_at <= 0 || order->approved_at > now + SIGN_CLOCK_SLACK)
		return err_set(e, ERR_FORBIDDEN, "the approval is dated in the future; do the clocks agree?");
	return true;
}

static bool check_times(const struct sign_order *order, int64_t now, struct err *e)
{
	if (order->expires_at <= now)
		return err_set(e, ERR_INVALID, "it has expired");
	if (order->not_before >= order->expires_at)
		return err_set(e, ERR_INVALID, "it would expire before it begins");
	if (order->issued_at > now + SIGN_CLOCK_SLACK || order->issued_at < now - SIGN_CLOCK_SLACK)
		return err_set(e, ERR_INVALID, "it is dated %lld s from now; do the clocks agree?",
			       (long long)(order->issued_at - now));
	return true;
}

/* ---- the message ---- */

static bool fill(const struct sign_order *order, const struct command_operation *operation, const json_t *arguments,
		 const char *issuer, struct sign_draft *draft, struct err *e)
{
	struct command_message *m = &draft->message;
	size_t len;
	*m = (struct command_message){.version = COMMAND_VERSION,
				      .epoch = order->epoch,
				      .counter = order->counter,
				      .issued_at = order->issued_at,
				      .not_before = order->not_before,
				      .expires_at = order->expires_at,
				      .class = operation->class,
				      .operation = operation};
	memcpy(m->id, order->id, sizeof(m->id));
	if ((size_t)snprintf(m->issuer, sizeof(m->issuer), "%s", issuer) >= sizeof(m->issuer) ||
	    (size_t)snprintf(m->audience, sizeof(m->audience), "%s", order->serial) >= sizeof(m->audience))
		return err_set(e, ERR_INVALID, "issuer or serial is too long");
	if (!command_arguments_from_json(operation, arguments, draft->arguments, sizeof(draft->arguments), &len, e))
		return false;
	m->arguments = (struct cbor_view){.at = draft->arguments, .len = len};
	if (operation->class < COMMAND_STATE)
		return true;
	m->approval = (struct cbor_view){.at = draft->approval, .len = sizeof(draft->approval)};
	return command_approval(order->request_sha256.at, order->requested_by, order->approver, order->approved_at,
				draft->approval, e);
}

static bool judge(const struct sign_order *order, const struct sign_request *r, const json_t *arguments, int64_t now,
		  const struct command_operation **operation, struct err *e)
{
	struct cbor_view name = {.at = (const uint8_t *)order->operation, .len = strlen(order->operation)};
	if (!json_is_object(r->canonical))
		return err_set(e, ERR_INVALID, "the request's canonical bytes are no JSON object");
	if (!check_content(order, r->canonical, arguments, e) || !check_device(order, r, e) ||
	    !check_times(order, now, e))
		return false;
	*operation = command_operation(name);
	if (*operation == NULL)
		return err_set(e, ERR_INVALID, "no operation %.40s is known here", order->operation);
	if ((int32_t)(*operation)->class != order->class)
		return err_set(e, ERR_INVALID, "%.40s has class %d, not %d", order->operation, (int)(*operation)->class,
			       order->class);
	return (*operation)->class < COMMAND_STATE || check_approval(order, now, e);
}

bool signer_check(const struct sign_order *order, struct sign_request *request, const char *issuer, int64_t now,
		  struct sign_draft *draft, struct err *e)
{
	const struct command_operation *operation = NULL;
	if (order->serial == NULL || order->operation == NULL || order->arguments == NULL ||
	    order->requested_by == NULL)
		return err_set(e, ERR_INVALID, "the command is incomplete");
	read_request(request, order);
	if (order->request_sha256.len != HASH_BYTES ||
	    CRYPTO_memcmp(order->request_sha256.at, request->sha256, HASH_BYTES) != 0)
		return err_set(e, ERR_INVALID, "the request's hash is not that of its canonical bytes");
	json_t *arguments = parse(order->arguments, strlen(order->arguments));
	bool ok = judge(order, request, arguments, now, &operation, e) &&
		  fill(order, operation, arguments, issuer, draft, e);
	json_decref(arguments);
	return ok;
}
