/* SPDX-License-Identifier: Apache-2.0
 *
 * Parses receipts: exactly the known fields, in bounds, ranges in order. */
#include "tests/tracker/receipt.h"

#include <inttypes.h>

#include <jansson.h>

static bool integer(const json_t *value, const char *what, int64_t min, int64_t max, int32_t *out, struct err *e)
{
	if (!json_is_integer(value))
		return err_set(e, ERR_DECODE, "receipt: %s: expected an integer", what);
	json_int_t n = json_integer_value(value);
	if (n < min || n > max)
		return err_set(e, ERR_DECODE, "receipt: %s: expected %" PRId64 " to %" PRId64 ", got %" PRId64, what,
			       min, max, (int64_t)n);
	*out = (int32_t)n;
	return true;
}

static bool parse_missing(const json_t *list, struct receipt *out, struct err *e)
{
	int64_t least = 0;
	size_t i;
	json_t *pair;

	if (!json_is_array(list) || json_array_size(list) > RECEIPT_RANGES_MAX)
		return err_set(e, ERR_DECODE, "receipt: missing: expected an array of at most %d ranges",
			       RECEIPT_RANGES_MAX);
	json_array_foreach(list, i, pair)
	{
		struct range *r = &out->missing[i];
		if (!json_is_array(pair) || json_array_size(pair) != 2)
			return err_set(e, ERR_DECODE, "receipt: missing: range %zu: expected [first, last]", i);
		if (!integer(json_array_get(pair, 0), "missing: first", least, out->through, &r->first, e) ||
		    !integer(json_array_get(pair, 1), "missing: last", r->first, out->through, &r->last, e))
			return false;
		least = (int64_t)r->last + 1;
	}
	out->missing_count = i;
	return true;
}

static bool parse_status(const json_t *status, struct receipt *out, struct err *e)
{
	const json_t *uptime = json_object_get(status, "uptime");

	out->of_status = true;
	if (json_object_size(status) != 2 || !json_is_number(uptime))
		return err_set(e, ERR_DECODE, "receipt: status: expected an object of boot and uptime");
	out->uptime = json_number_value(uptime);
	return integer(json_object_get(status, "boot"), "status: boot", 0, INT32_MAX, &out->boot, e);
}

static bool parse_samples(const json_t *root, struct receipt *out, struct err *e)
{
	if (json_object_size(root) != 3)
		return err_set(e, ERR_DECODE,
			       "receipt: expected an object of epoch, through and missing, or of status");
	return integer(json_object_get(root, "epoch"), "epoch", 0, EPOCH_MAX, &out->epoch, e) &&
	       integer(json_object_get(root, "through"), "through", -1, INT32_MAX, &out->through, e) &&
	       parse_missing(json_object_get(root, "missing"), out, e);
}

bool receipt_parse(const uint8_t *payload, size_t len, struct receipt *out, struct err *e)
{
	bool ok = false;
	json_error_t je;
	json_t *root = NULL;
	struct receipt r = {0};

	if (len > RECEIPT_BYTES_MAX)
		return err_set(e, ERR_DECODE, "receipt: expected at most %d bytes, got %zu", RECEIPT_BYTES_MAX, len);
	root = json_loadb((const char *)payload, len, JSON_REJECT_DUPLICATES, &je);
	if (root == NULL) {
		err_set(e, ERR_DECODE, "receipt: not JSON: %s at byte %d", je.text, je.position);
		goto out;
	}
	const json_t *status = json_object_get(root, "status");
	ok = status != NULL && json_object_size(root) == 1 ? parse_status(status, &r, e) : parse_samples(root, &r, e);
	if (ok)
		*out = r;
out:
	json_decref(root);
	return ok;
}

bool receipt_covers(const struct receipt *r, int32_t seq)
{
	if (seq > r->through)
		return false;
	for (size_t i = 0; i < r->missing_count && r->missing[i].first <= seq; i++)
		if (seq <= r->missing[i].last)
			return false;
	return true;
}
