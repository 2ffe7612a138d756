/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as a payload of a command, as a reply, as a signed command, as a list of keys: refused with a reason, or
 * something that is written back as the same bytes. Nothing is ever believed without a signature, and no input has one
 * that is right. */
#include <stdlib.h>
#include <string.h>

#include "broker-bridge/command_message.h"
#include "core/trust.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A point whose private key nobody knows: x is SHA-256 of "coldfleet fuzz", counted up until it is on the curve. */
static const uint8_t point[COSE_POINT_BYTES] = {
	0x04, 0x0f, 0x05, 0x4a, 0x52, 0x6c, 0xb9, 0x44, 0x50, 0x95, 0x5a, 0x08, 0xcc, 0x79, 0xad, 0x80, 0xa6,
	0x13, 0xe6, 0x65, 0x6d, 0x55, 0xc8, 0x52, 0x6c, 0x1c, 0x57, 0x42, 0x95, 0x67, 0x99, 0x66, 0x99, 0x6d,
	0x56, 0x65, 0x7c, 0x5a, 0x3d, 0x67, 0x2b, 0x96, 0x1d, 0xcb, 0xc4, 0x92, 0xd5, 0x0e, 0xc1, 0x33, 0xae,
	0xe0, 0xab, 0x0d, 0x4a, 0xfe, 0x63, 0x87, 0xea, 0x82, 0xcf, 0xd3, 0xd9, 0xba, 0xbd};

static void same(const uint8_t *again, size_t len, const uint8_t *data, size_t size)
{
	if (len != size || memcmp(again, data, size) != 0)
		abort();
}

static void as_payload(const uint8_t *data, size_t size)
{
	uint8_t again[COMMAND_PAYLOAD_MAX];
	struct command_message m;
	struct err e;
	size_t len;
	if (!command_decode(data, size, &m, &e))
		return;
	if (!command_encode(&m, again, sizeof(again), &len, &e))
		abort();
	same(again, len, data, size);
}

static void as_reply(const uint8_t *data, size_t size)
{
	uint8_t again[COMMAND_REPLY_MAX];
	struct command_reply r;
	struct err e;
	size_t len;
	if (!command_reply_decode(data, size, &r, &e))
		return;
	if (!command_reply_encode(&r, again, sizeof(again), &len, &e))
		abort();
	same(again, len, data, size);
}

static void as_list(const uint8_t *data, size_t size)
{
	uint8_t again[TRUST_BYTES_MAX];
	struct err e;
	size_t len;
	struct trust *t = trust_decode(data, size, &e);
	if (t == NULL)
		return;
	if (!trust_encode(t, again, sizeof(again), &len, &e))
		abort();
	same(again, len, data, size);
	trust_free(&t);
}

static void as_signed(const uint8_t *data, size_t size)
{
	static struct trust *present;
	struct command_message m;
	struct err e;
	if (present == NULL && (present = trust_of_key(cose_key_public(point, &e))) == NULL)
		abort();
	struct cose_keyring ring = trust_ring(present, -1);
	if (command_open(&ring, "T-1", data, size, &m, &e))
		abort();
	if (trust_update_open(present, -1, data, size, &e) != NULL)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	as_payload(data, size);
	as_reply(data, size);
	as_list(data, size);
	as_signed(data, size);
	return 0;
}
