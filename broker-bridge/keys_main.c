/* SPDX-License-Identifier: Apache-2.0
 *
 * coldfleet-keys: makes command keys, shows their public half, and makes the trust lists that tell trackers whose
 * commands to obey. For the person who holds the keys; no daemon needs it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/pem.h>

#include "broker-bridge/signer_key.h"
#include "core/cose.h"
#include "core/trust.h"

static const char usage_text[] =
	"usage: coldfleet-keys make FILE\n"
	"       coldfleet-keys show SOURCE\n"
	"       coldfleet-keys trust VERSION FILE KEY...\n"
	"       coldfleet-keys rotate LIST OLD NEW\n"
	"\n"
	"  make    a new private key (ECDSA P-256, PEM) in FILE, which must not exist\n"
	"  show    the public key of SOURCE in PEM, and its key id\n"
	"  trust   FILE becomes the trust list VERSION of the public keys KEY (PEM files): what a tracker is built "
	"with\n"
	"  rotate  signs LIST with a key of the list before and one of LIST, and prints the argument `list` of the\n"
	"          command rotate-key, which takes trackers from the one to the other\n"
	"\n"
	"SOURCE, OLD and NEW are private keys: a PEM file that only you can read, or a PKCS#11 URI.\n";

static int fail(const struct err *e)
{
	fprintf(stderr, "coldfleet-keys: %s\n", e->detail);
	return 1;
}

static int make(char **words)
{
	struct err e = {0};
	return signer_key_make(words[0], &e) ? 0 : fail(&e);
}

static int show(char **words)
{
	struct err e = {0};
	EVP_PKEY *pkey;
	if (!signer_key_load(words[0], &pkey, &e))
		return fail(&e);
	struct cose_key *key = cose_key_from_evp(pkey, &e);
	int status = 1;
	if (key == NULL) {
		fail(&e);
	} else {
		printf("kid ");
		for (size_t i = 0; i < COSE_KID_BYTES; i++)
			printf("%02x", cose_key_kid(key)[i]);
		printf("\n");
		status = PEM_write_PUBKEY(stdout, pkey) == 1 ? 0 : 1;
	}
	cose_key_free(&key);
	EVP_PKEY_free(pkey);
	return status;
}

static bool write_file(const char *path, const uint8_t *bytes, size_t len, struct err *e)
{
	FILE *f = fopen(path, "wxe");
	if (f == NULL)
		return err_set(e, ERR_SYSTEM, "%.200s: %s", path, strerror(errno));
	bool ok = fwrite(bytes, 1, len, f) == len;
	ok = fclose(f) == 0 && ok;
	return ok || err_set(e, ERR_SYSTEM, "%.200s: could not be written", path);
}

static bool read_version(const char *text, int64_t *version, struct err *e)
{
	char *end;
	errno = 0;
	long long value = strtoll(text, &end, 10);
	if (errno != 0 || *end != '\0' || end == text || value < 1)
		return err_set(e, ERR_INVALID, "version %.40s: expected a number from 1 on", text);
	*version = value;
	return true;
}

static bool fill_list(struct trust *list, char **files, struct err *e)
{
	for (; *files != NULL; files++) {
		struct cose_key *key = cose_key_load_pem(*files, e);
		if (key == NULL || !trust_add(list, key, TRUST_NEVER, e))
			return false;
	}
	return true;
}

static int trust(char **words)
{
	struct err e = {0};
	uint8_t bytes[TRUST_BYTES_MAX];
	int64_t version = 0;
	size_t len;
	if (!read_version(words[0], &version, &e))
		return fail(&e);
	struct trust *list = trust_new(version);
	bool ok = fill_list(list, words + 2, &e) && trust_encode(list, bytes, sizeof(bytes), &len, &e) &&
		  write_file(words[1], bytes, len, &e);
	trust_free(&list);
	return ok ? 0 : fail(&e);
}

static void print_base64url(const uint8_t *bytes, size_t len)
{
	static char text[TRUST_UPDATE_MAX * 4 / 3 + 8];
	EVP_EncodeBlock((unsigned char *)text, bytes, (int)len);
	for (char *c = text; *c != '\0' && *c != '='; c++)
		putchar(*c == '+' ? '-' : *c == '/' ? '_' : *c);
	putchar('\n');
}

static int rotate(char **words)
{
	struct err e = {0};
	static uint8_t bytes[TRUST_UPDATE_MAX];
	size_t len;
	bool ok = false;
	struct cose_key *old = NULL, *fresh = NULL;
	struct trust *list = trust_load(words[0], &e);
	if (list != NULL && (old = signer_key_open(words[1], &e)) != NULL &&
	    (fresh = signer_key_open(words[2], &e)) != NULL &&
	    trust_update_sign(list, old, fresh, bytes, sizeof(bytes), &len, &e)) {
		print_base64url(bytes, len);
		ok = true;
	}
	cose_key_free(&old);
	cose_key_free(&fresh);
	trust_free(&list);
	return ok ? 0 : fail(&e);
}

static const struct {
	const char *name;
	int (*run)(char **words);
	int least, most; /* words behind the name */
} commands[] = {
	{"make", make, 1, 1}, {"show", show, 1, 1}, {"trust", trust, 3, 2 + COSE_KEYS_MAX}, {"rotate", rotate, 3, 3}};

int main(int argc, char **argv)
{
	if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
		fputs(usage_text, stdout);
		return 0;
	}
	for (size_t i = 0; argc > 1 && i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(argv[1], commands[i].name) == 0 && argc - 2 >= commands[i].least &&
		    argc - 2 <= commands[i].most)
			return commands[i].run(argv + 2);
	}
	fputs(usage_text, stderr);
	return 2;
}
