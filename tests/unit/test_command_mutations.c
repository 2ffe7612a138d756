/* SPDX-License-Identifier: Apache-2.0
 *
 * A million messages that were valid commands before somebody changed them: bits, bytes, fields, targets, order, keys,
 * algorithms, encodings, signatures. The tracker carries out none of them. The same changes at every run, under new
 * keys; with sanitizers a tenth of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/pem.h>

#include "tests/tracker/command.h"

#if defined(__SANITIZE_ADDRESS__)
#define MUTATIONS 100000
#else
#define MUTATIONS 1000000
#endif

#define SERIAL   "T-1"
#define NOW      INT64_C(1790000000)
#define STORED   1000 /* the counter of the newest command that the tracker has carried out */
#define BASES    48
#define BYTES    2048
#define REACHING 0.2 /* the least share that must get as far as the signature */

struct bytes {
	uint8_t at[BYTES];
	size_t len;
};

/* A command in its four parts. */
struct parts {
	struct bytes header, payload;
	uint8_t signature[COSE_SIGNATURE_BYTES];
};

struct base {
	struct command_message m;
	uint8_t arguments[BYTES];
	struct parts parts;
	struct bytes whole;
};

static struct base bases[BASES], others[BASES], old[BASES], loose[BASES];
static struct cose_key *key, *other_key;
static struct mcu *mcu;
static uint64_t chance = UINT64_C(88172645463325252);

static uint32_t draw(uint32_t below)
{
	chance ^= chance << 13;
	chance ^= chance >> 7;
	chance ^= chance << 17;
	return (uint32_t)((chance >> 16) % below);
}

/* ---- valid commands ---- */

static const char *const wishes[][2] = {
	{"disable", "{\"mode\":\"halt\"}"},
	{"disable", "{\"mode\":\"radio-off\",\"until\":1790086400}"},
	{"enable", "{}"},
	{"reboot", "{}"},
	{"locate", "{}"},
	{"report-now", "{}"},
	{"resend", "{\"first\":100,\"last\":65536,\"epoch\":2}"},
	{"set-config", "{\"version\":12,\"config\":{\"interval\":60,\"limits\":[2.0,8.5],\"name\":\"K\u00fchlbox\"}}"},
	{"clear-config", "{}"},
	{"update-firmware",
	 "{\"release\":\"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\",\"counter\":7}"},
	{"rotate-key", "{\"list\":\"gkEA_-8\"}"},
	{"restore-defaults", "{}"},
};
#define WISHES (sizeof(wishes) / sizeof(wishes[0]))

static void take_apart(struct base *b)
{
	struct cbor_reader r;
	struct cbor_view view;
	size_t n;
	assert_true(cbor_open(&r, b->whole.at, b->whole.len, NULL) && cbor_take_array(&r, &n, NULL));
	assert_true(cbor_take_bytes(&r, &view, NULL));
	memcpy(b->parts.header.at, view.at, b->parts.header.len = view.len);
	assert_true(cbor_take_map(&r, &n, NULL) && cbor_take_bytes(&r, &view, NULL));
	memcpy(b->parts.payload.at, view.at, b->parts.payload.len = view.len);
	assert_true(cbor_take_bytes(&r, &view, NULL));
	memcpy(b->parts.signature, view.at, view.len);
}

static void fill(struct base *b, size_t i, int64_t counter)
{
	static const uint8_t approval[COMMAND_APPROVAL_BYTES] = {0xa9};
	struct err e = {0};
	json_t *arguments = json_loads(wishes[i % WISHES][1], 0, NULL);
	const char *name = wishes[i % WISHES][0];
	b->m = (struct command_message){
		.version = COMMAND_VERSION,
		.id = {1, (uint8_t)(counter >> 8), (uint8_t)counter},
		.issuer = "admin",
		.audience = SERIAL,
		.epoch = 3,
		.counter = counter,
		.issued_at = NOW - 10,
		.not_before = NOW - 10,
		.expires_at = NOW + 3600,
		.operation = command_operation((struct cbor_view){(const uint8_t *)name, strlen(name)})};
	b->m.class = b->m.operation->class;
	if (b->m.class >= COMMAND_STATE)
		b->m.approval = (struct cbor_view){approval, sizeof(approval)};
	b->m.arguments.at = b->arguments;
	if (!command_arguments_from_json(b->m.operation, arguments, b->arguments, sizeof(b->arguments),
					 &b->m.arguments.len, &e))
		fail_msg("%s", e.detail);
	json_decref(arguments);
}

static void sign(struct base *b, const struct cose_key *with)
{
	struct err e = {0};
	if (!command_sign(with, &b->m, b->whole.at, BYTES, &b->whole.len, &e))
		fail_msg("%s", e.detail);
	take_apart(b);
}

/* ---- messages out of parts ---- */

static void put_together(const struct parts *p, struct bytes *out)
{
	struct cbor_writer w;
	cbor_writer_init(&w, out->at, BYTES);
	cbor_put_array(&w, 4);
	cbor_put_bytes(&w, p->header.at, p->header.len);
	cbor_put_map(&w, 0);
	cbor_put_bytes(&w, p->payload.at, p->payload.len);
	cbor_put_bytes(&w, p->signature, sizeof(p->signature));
	assert_true(cbor_written(&w, NULL));
	out->len = w.len;
}

static const struct base *any(void)
{
	return &bases[draw(BASES)];
}

/* The payload signed as it is, by the right key, whatever it says. */
static void sign_payload(struct base *b)
{
	static const char aad[] = "coldfleet-command-v1\0" SERIAL;
	assert_true(cose_sign1(key, COMMAND_CONTENT_TYPE, aad, sizeof(aad) - 1, b->parts.payload.at,
			       b->parts.payload.len, b->whole.at, BYTES, &b->whole.len, NULL));
	take_apart(b);
}

/* Offsets of items that begin with a head whose number could be written longer. */
static bool lengthen(struct bytes *b)
{
	for (int tries = 0; tries < 50; tries++) {
		size_t at = draw((uint32_t)b->len);
		unsigned info = b->at[at] & 0x1f;
		if (info >= 24 || b->len + 1 > BYTES)
			continue;
		memmove(b->at + at + 2, b->at + at + 1, b->len - at - 1);
		b->at[at] = (uint8_t)((b->at[at] & 0xe0) | 24);
		b->at[at + 1] = (uint8_t)info;
		b->len++;
		return true;
	}
	return false;
}

/* The outer map of a payload: of indefinite length, with a key twice, out of order, with a further key. */
static void loosen(struct bytes *b, size_t how)
{
	uint8_t was = b->at[0];
	switch (how % 5) {
	case 0:
		b->at[0] = 0xbf;
		b->at[b->len++] = 0xff;
		break;
	case 1: /* {1: 1, 1: 1, 2: ...} */
		memmove(b->at + 3, b->at + 1, b->len - 1);
		b->at[0] = (uint8_t)(was + 1);
		memcpy(b->at + 1, "\x01\x01", 2);
		b->len += 2;
		break;
	case 2: /* version behind everything else */
		memmove(b->at + 1, b->at + 3, b->len - 3);
		memcpy(b->at + b->len - 2, "\x01\x01", 2);
		break;
	case 3:
		b->at[0] = (uint8_t)(was + 1);
		memcpy(b->at + b->len, "\x18\x20\x00", 3);
		b->len += 3;
		break;
	default:
		while (!lengthen(b))
			;
		break;
	}
}

static int make(void **state)
{
	char path[] = "/tmp/mutations-XXXXXX";
	struct err e = {0};
	EVP_PKEY *pkey = EVP_EC_gen("P-256"), *foreign = EVP_EC_gen("P-256");
	FILE *f = fdopen(mkstemp(path), "w");
	(void)state;
	PEM_write_PUBKEY(f, pkey);
	fclose(f);
	key = cose_key_from_evp(pkey, NULL);
	other_key = cose_key_from_evp(foreign, NULL);
	EVP_PKEY_free(pkey);
	EVP_PKEY_free(foreign);
	mcu = mcu_open(NULL, path, &e);
	unlink(path);
	if (mcu == NULL)
		fail_msg("%s", e.detail);
	mcu_change(mcu)->epoch = 3;
	mcu_change(mcu)->counter = STORED;
	for (size_t i = 0; i < BASES; i++) {
		fill(&bases[i], i, STORED + 1 + (int64_t)i);
		sign(&bases[i], key);
		fill(&others[i], i, STORED + 1 + (int64_t)i);
		sign(&others[i], other_key);
		fill(&old[i], i, STORED - (int64_t)i);
		sign(&old[i], key);
		loose[i] = bases[i];
		loosen(&loose[i].parts.payload, i);
		sign_payload(&loose[i]);
	}
	return 0;
}

static int unmake(void **state)
{
	(void)state;
	mcu_free(&mcu);
	cose_key_free(&key);
	cose_key_free(&other_key);
	return 0;
}

/* ---- mutations: each fills *out and may choose who is asked ---- */

static void flip_bits(struct bytes *out, const char **serial)
{
	(void)serial;
	*out = any()->whole;
	for (uint32_t n = 1 + draw(3); n > 0; n--) {
		uint32_t bit = draw((uint32_t)out->len * 8);
		out->at[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

/* Bytes overwritten, cut out, put in, doubled, cut off, appended. */
static void edit_bytes(struct bytes *out, const char **serial)
{
	*out = any()->whole;
	size_t at = draw((uint32_t)out->len), n = 1 + draw(16), rest = out->len - at;
	(void)serial;
	n = n < rest ? n : rest;
	switch (draw(6)) {
	case 0:
		out->at[at] = (uint8_t)draw(256);
		break;
	case 1:
		memmove(out->at + at, out->at + at + n, rest - n);
		out->len -= n;
		break;
	case 2:
		memmove(out->at + at + 1, out->at + at, rest);
		out->at[at] = (uint8_t)draw(256);
		out->len++;
		break;
	case 3:
		memmove(out->at + at + n, out->at + at, rest);
		out->len += n;
		break;
	case 4:
		out->len = at;
		break;
	default:
		out->at[out->len++] = (uint8_t)draw(256);
		break;
	}
}

/* Another valid payload under the signature of this one. */
static void edit_field(struct bytes *out, const char **serial)
{
	static struct base b;
	b = *any();
	const struct base *donor = any();
	b.m.arguments.at = b.arguments;
	(void)serial;
	switch (draw(9)) {
	case 0:
		b.m.counter += 1 + draw(1000000);
		break;
	case 1:
		b.m.epoch += 1 + draw(10);
		break;
	case 2:
		b.m.expires_at += 1 + draw(1000000);
		break;
	case 3:
		b.m.not_before -= 1 + draw(1000);
		break;
	case 4:
		b.m.id[draw(COMMAND_ID_BYTES)] ^= (uint8_t)(1 + draw(255));
		break;
	case 5:
		b.m.issuer[0] = (char)('b' + draw(24));
		break;
	case 6:
		b.m.issued_at -= 1 + draw(1000);
		break;
	case 7:
		snprintf(b.m.audience, sizeof(b.m.audience), "T-%u", 2 + draw(1000));
		break;
	default: /* what another command does */
		b.m.operation = donor->m.operation;
		b.m.class = donor->m.class;
		b.m.arguments = donor->m.arguments;
		b.m.approval = donor->m.approval;
		break;
	}
	assert_true(command_encode(&b.m, b.parts.payload.at, BYTES, &b.parts.payload.len, NULL));
	put_together(&b.parts, out);
}

static void retarget(struct bytes *out, const char **serial)
{
	static const char *const neighbours[] = {"T-2", "T-10", "T", "T-1.", "t-1", "T-11", "-T-1", "T-"};
	*out = any()->whole;
	*serial = neighbours[draw(8)];
}

/* Commands that were good once: the counter has passed them. */
static void replay(struct bytes *out, const char **serial)
{
	(void)serial;
	*out = old[draw(BASES)].whole;
}

static void splice(struct bytes *out, const char **serial)
{
	struct parts p = any()->parts;
	const struct base *donor = draw(4) == 0 ? &others[draw(BASES)] : any();
	(void)serial;
	if (draw(2) == 0)
		p.payload = donor->parts.payload;
	else
		memcpy(p.signature, donor->parts.signature, sizeof(p.signature));
	put_together(&p, out);
}

/* Signed by somebody else: as it is, or under the name of the right key. */
static void other_signer(struct bytes *out, const char **serial)
{
	struct parts p = others[draw(BASES)].parts;
	(void)serial;
	if (draw(2) == 0)
		p.header = bases[0].parts.header;
	put_together(&p, out);
}

/* Headers of other algorithms, other types, other key ids, none, and one in the wrong place. */
static void other_header(struct bytes *out, const char **serial)
{
	static const int64_t algorithms[] = {-8, -35, -36, -37, -38, -39, -47, -257, 0, 1, 4, 5, 6, 7};
	static const char *const types[] = {"application/cose", "application/coldfleet-trust+cbor", "",
					    "application/cwt"};
	struct parts p = any()->parts;
	struct cbor_writer w;
	uint32_t how = draw(5);
	(void)serial;
	cbor_writer_init(&w, p.header.at, BYTES);
	cbor_put_map(&w, how == 0 ? 2 : 3);
	cbor_put_uint(&w, 1);
	cbor_put_int(&w, how == 1 ? algorithms[draw(14)] : -7);
	cbor_put_uint(&w, 4);
	cbor_put_bytes(&w, cose_key_kid(how == 2 ? other_key : key), COSE_KID_BYTES - (how == 3));
	if (how != 0) {
		cbor_put_uint(&w, 16);
		cbor_put_text(&w, how == 4 ? types[draw(4)] : COMMAND_CONTENT_TYPE);
	}
	p.header.len = w.len;
	if (draw(8) == 0)
		p.header.len = 0;
	put_together(&p, out);
	if (draw(8) == 0 && p.header.len > 0) { /* the header where nothing protects it */
		cbor_writer_init(&w, out->at, BYTES);
		cbor_put_array(&w, 4);
		cbor_put_bytes(&w, NULL, 0);
		cbor_put_raw(&w, (struct cbor_view){p.header.at, p.header.len});
		cbor_put_bytes(&w, p.payload.at, p.payload.len);
		cbor_put_bytes(&w, p.signature, sizeof(p.signature));
		out->len = w.len;
	}
}

/* Right key, right signature, another encoding: of the payload, or of the message around it. */
static void other_encoding(struct bytes *out, const char **serial)
{
	(void)serial;
	if (draw(3) == 0) {
		*out = loose[draw(BASES)].whole;
		return;
	}
	*out = any()->whole;
	switch (draw(4)) {
	case 0: /* a tag in front */
		memmove(out->at + 1, out->at, out->len++);
		out->at[0] = 0xd2;
		break;
	case 1: /* an endless array */
		out->at[0] = 0x9f;
		out->at[out->len++] = 0xff;
		break;
	case 2: /* its length in two bytes */
		memmove(out->at + 2, out->at + 1, out->len - 1);
		memcpy(out->at, "\x98\x04", 2);
		out->len++;
		break;
	default:
		while (!lengthen(out))
			;
		break;
	}
}

/* The other form of the same signature, r and s exchanged, zeros, the order itself. */
static void other_signature(struct bytes *out, const char **serial)
{
	struct parts p = any()->parts;
	uint8_t *r = p.signature, *s = p.signature + COSE_SIGNATURE_BYTES / 2, copy[COSE_SIGNATURE_BYTES / 2];
	EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
	BIGNUM *n = BN_bin2bn(s, COSE_SIGNATURE_BYTES / 2, NULL);
	(void)serial;
	switch (draw(4)) {
	case 0:
		BN_sub(n, EC_GROUP_get0_order(group), n);
		BN_bn2binpad(n, s, COSE_SIGNATURE_BYTES / 2);
		break;
	case 1:
		memcpy(copy, r, sizeof(copy));
		memcpy(r, s, sizeof(copy));
		memcpy(s, copy, sizeof(copy));
		break;
	case 2:
		memset(draw(2) ? r : s, draw(2) ? 0 : 0xff, COSE_SIGNATURE_BYTES / 2);
		break;
	default:
		BN_bn2binpad(EC_GROUP_get0_order(group), draw(2) ? r : s, COSE_SIGNATURE_BYTES / 2);
		break;
	}
	BN_free(n);
	EC_GROUP_free(group);
	put_together(&p, out);
}

static const struct {
	const char *name;
	uint32_t share; /* of a hundred */
	bool genuine;   /* its signature may be right: then it is refused for what it says */
	void (*mutate)(struct bytes *out, const char **serial);
} mutations[] = {
	{"bits flipped", 12, false, flip_bits},
	{"bytes edited", 38, false, edit_bytes},
	{"fields edited", 7, false, edit_field},
	{"re-targeted", 4, false, retarget},
	{"replayed", 2, true, replay},
	{"spliced", 5, false, splice},
	{"signed by another key", 4, false, other_signer},
	{"another header", 13, false, other_header},
	{"another encoding", 12, true, other_encoding},
	{"another signature", 3, false, other_signature},
};
#define KINDS (sizeof(mutations) / sizeof(mutations[0]))

static bool is_base(const struct bytes *b)
{
	for (size_t i = 0; i < BASES; i++)
		if (b->len == bases[i].whole.len && memcmp(b->at, bases[i].whole.at, b->len) == 0)
			return true;
	return false;
}

static size_t choose(void)
{
	uint32_t at = draw(100);
	size_t kind = 0;
	while (at >= mutations[kind].share)
		at -= mutations[kind++].share;
	return kind;
}

static void print(const struct bytes *b)
{
	for (size_t i = 0; i < b->len; i++)
		fprintf(stderr, "%02x", b->at[i]);
	fprintf(stderr, "\n");
}

static bool reached_signature(const struct err *e)
{
	return strstr(e->detail, "signature is not") != NULL;
}

/* One message. True when it was one; false when the mutation changed nothing. */
static bool try_one(size_t kind, size_t *reached)
{
	static struct bytes b;
	const char *serial = SERIAL;
	struct command_message m;
	struct err e = {.detail = ""};
	mutations[kind].mutate(&b, &serial);
	if (strcmp(serial, SERIAL) == 0 && is_base(&b))
		return false;
	enum command_verdict v = command_judge(mcu, serial, NOW, b.at, b.len, &m, &e);
	*reached += reached_signature(&e) || v == VERDICT_REJECTED;
	if (v == VERDICT_FOREIGN || (v == VERDICT_REJECTED && mutations[kind].genuine))
		return true;
	print(&b);
	fail_msg("%s: verdict %d (%s)", mutations[kind].name, (int)v, e.detail);
	return true;
}

static void test_unchanged_commands_are_new(void **state)
{
	struct command_message m;
	struct err e = {0};
	(void)state;
	for (size_t i = 0; i < BASES; i++)
		if (command_judge(mcu, SERIAL, NOW, bases[i].whole.at, bases[i].whole.len, &m, &e) != VERDICT_NEW)
			fail_msg("%s: %s", wishes[i % WISHES][0], e.detail);
}

static void test_of_a_million_changed_commands_none_is_carried_out(void **state)
{
	size_t counts[KINDS] = {0}, total = 0, reached = 0;
	(void)state;
	while (total < MUTATIONS) {
		size_t kind = choose();
		if (!try_one(kind, &reached))
			continue;
		counts[kind]++;
		total++;
	}
	for (size_t i = 0; i < KINDS; i++) {
		printf("%8zu %s\n", counts[i], mutations[i].name);
		assert_in_range(counts[i], MUTATIONS / 100, MUTATIONS);
	}
	printf("%8zu in all, none carried out; %.0f %% got as far as the signature or further\n", total,
	       100.0 * (double)reached / (double)total);
	assert_true((double)reached >= REACHING * (double)total);
}

/* Every order of ten commands: each is carried out at most once, and never after one with a higher counter. */
static void test_reordered_and_repeated_commands_never_act_twice_or_backwards(void **state)
{
	(void)state;
	for (int round = 0; round < (MUTATIONS / 5000); round++) {
		struct err e = {0};
		bool acted[BASES] = {false};
		struct command_message m;
		int64_t highest = STORED;
		for (int step = 0; step < 20; step++) {
			size_t i = draw(10);
			const struct bytes *b = &bases[i].whole;
			enum command_verdict v = command_judge(mcu, SERIAL, NOW, b->at, b->len, &m, &e);
			assert_int_equal(v == VERDICT_NEW, !acted[i] && bases[i].m.counter > highest);
			assert_int_equal(v == VERDICT_REPEATED, acted[i]);
			if (v != VERDICT_NEW)
				continue;
			assert_true(mcu_begin(mcu, &m, m.payload, -1, &e));
			assert_non_null(mcu_done(mcu, &m, COMMAND_SUCCEEDED, "", (struct cbor_view){0}, &e));
			acted[i] = true;
			highest = m.counter;
		}
		mcu_change(mcu)->counter = STORED;
		mcu_change(mcu)->outcome_count = 0;
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unchanged_commands_are_new),
		cmocka_unit_test(test_of_a_million_changed_commands_none_is_carried_out),
		cmocka_unit_test(test_reordered_and_repeated_commands_never_act_twice_or_backwards),
	};
	return cmocka_run_group_tests(tests, make, unmake);
}
