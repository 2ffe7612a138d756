/* SPDX-License-Identifier: Apache-2.0
 *
 * The signer's keys: only a file that its user alone can read is taken, only P-256, and a key in a PKCS#11 token
 * (SoftHSM) signs as one in a file does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "broker-bridge/signer_key.h"

#define SOFTHSM "/usr/lib/softhsm/libsofthsm2.so"

static char folder[64];
static char path_text[160];

static const char *path(const char *name)
{
	snprintf(path_text, sizeof(path_text), "%s/%s", folder, name);
	return path_text;
}

static int make_folder(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/signer-key-XXXXXX");
	return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
	char command[128];
	(void)state;
	snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	return system(command);
}

static void write_file(const char *name, const char *text, mode_t mode)
{
	FILE *f = fopen(path(name), "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	assert_int_equal(chmod(path(name), mode), 0);
}

static void write_key(const char *name, EVP_PKEY *key)
{
	FILE *f = fopen(path(name), "w");
	assert_non_null(f);
	assert_int_equal(PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL), 1);
	fclose(f);
	assert_int_equal(chmod(path(name), 0600), 0);
	EVP_PKEY_free(key);
}

static void assert_refused(const char *source, const char *because)
{
	struct err e = {0};
	EVP_PKEY *key = NULL;
	assert_false(signer_key_load(source, &key, &e));
	assert_null(key);
	assert_int_equal(e.code, ERR_CONFIG);
	if (strstr(e.detail, because) == NULL)
		fail_msg("said \"%s\", expected \"%s\"", e.detail, because);
}

static void assert_signs(EVP_PKEY *key)
{
	static const uint8_t bytes[] = "what is signed";
	uint8_t signature[128];
	size_t len = sizeof(signature);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	assert_int_equal(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key), 1);
	assert_int_equal(EVP_DigestSign(ctx, signature, &len, bytes, sizeof(bytes)), 1);
	EVP_MD_CTX_free(ctx);
	ctx = EVP_MD_CTX_new();
	assert_int_equal(EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key), 1);
	assert_int_equal(EVP_DigestVerify(ctx, signature, len, bytes, sizeof(bytes)), 1);
	EVP_MD_CTX_free(ctx);
}

static void test_a_key_that_was_made_is_private_and_signs(void **state)
{
	struct err e = {0};
	struct stat st;
	EVP_PKEY *key = NULL;
	(void)state;
	assert_true(signer_key_make(path("made.pem"), &e));
	assert_int_equal(stat(path("made.pem"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_true(signer_key_load(path("made.pem"), &key, &e));
	assert_signs(key);
	EVP_PKEY_free(key);
}

static void test_making_a_key_never_overwrites_a_file(void **state)
{
	struct err e = {0};
	char text[16] = "";
	(void)state;
	write_file("precious.pem", "precious", 0600);
	assert_false(signer_key_make(path("precious.pem"), &e));
	assert_non_null(strstr(e.detail, "exists already"));
	FILE *f = fopen(path("precious.pem"), "r");
	assert_non_null(fgets(text, sizeof(text), f));
	fclose(f);
	assert_string_equal(text, "precious");
}

static void test_a_key_file_that_others_can_read_is_refused(void **state)
{
	struct err e = {0};
	(void)state;
	assert_true(signer_key_make(path("open.pem"), &e));
	static const mode_t modes[] = {0640, 0604, 0660, 0610, 0601};
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		assert_int_equal(chmod(path("open.pem"), modes[i]), 0);
		assert_refused(path("open.pem"), "expected 0600 or less");
	}
}

static void test_a_key_file_of_another_user_is_refused(void **state)
{
	struct err e = {0};
	(void)state;
	if (geteuid() != 0)
		skip();
	assert_true(signer_key_make(path("theirs.pem"), &e));
	assert_int_equal(chown(path("theirs.pem"), 65534, 65534), 0);
	assert_refused(path("theirs.pem"), "owned by user 65534");
}

static void test_links_folders_and_missing_files_are_refused(void **state)
{
	struct err e = {0};
	char target[160];
	(void)state;
	assert_true(signer_key_make(path("target.pem"), &e));
	snprintf(target, sizeof(target), "%s", path("target.pem"));
	assert_int_equal(symlink(target, path("link.pem")), 0);
	assert_refused(path("link.pem"), "a symbolic link");
	assert_refused(folder, "not a regular file");
	assert_refused(path("nowhere.pem"), "No such file");
}

static void test_what_is_no_p256_private_key_is_refused(void **state)
{
	(void)state;
	write_file("text.pem", "not a key\n", 0600);
	assert_refused(path("text.pem"), "no private key in PEM");
	write_key("p384.pem", EVP_EC_gen("P-384"));
	assert_refused(path("p384.pem"), "P-256");
	write_key("ed25519.pem", EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"));
	assert_refused(path("ed25519.pem"), "P-256");
	write_key("rsa.pem", EVP_RSA_gen(2048));
	assert_refused(path("rsa.pem"), "P-256");
}

static void test_a_key_with_a_passphrase_is_refused_and_nobody_is_asked(void **state)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	(void)state;
	FILE *f = fopen(path("locked.pem"), "w");
	static unsigned char words[] = "secret";
	assert_int_equal(PEM_write_PrivateKey(f, key, EVP_aes_256_cbc(), words, (int)sizeof(words) - 1, NULL, NULL), 1);
	fclose(f);
	chmod(path("locked.pem"), 0600);
	EVP_PKEY_free(key);
	assert_refused(path("locked.pem"), "without a passphrase");
}

static bool softhsm_token(void)
{
	char command[512];
	if (access(SOFTHSM, R_OK) != 0 || system("command -v softhsm2-util >/dev/null 2>&1") != 0)
		return false;
	mkdir(path("tokens"), 0700);
	FILE *f = fopen(path("softhsm2.conf"), "w");
	assert_non_null(f);
	fprintf(f, "directories.tokendir = %s/tokens\nobjectstore.backend = file\nlog.level = ERROR\n", folder);
	fclose(f);
	setenv("SOFTHSM2_CONF", path("softhsm2.conf"), 1);
	setenv("PKCS11_MODULE_PATH", SOFTHSM, 1);
	struct err e = {0};
	assert_true(signer_key_make(path("hsm.pem"), &e));
	snprintf(command, sizeof(command),
		 "softhsm2-util --init-token --free --label coldfleet --pin 1234 --so-pin 5678 >/dev/null && "
		 "softhsm2-util --import '%s' --token coldfleet --label command --id a1 --pin 1234 >/dev/null",
		 path("hsm.pem"));
	assert_int_equal(system(command), 0);
	return true;
}

static void test_a_key_in_a_pkcs11_token_signs_as_one_in_a_file(void **state)
{
	struct err e = {0};
	EVP_PKEY *in_token = NULL, *in_file = NULL;
	(void)state;
	if (!softhsm_token())
		skip();
	if (!signer_key_load("pkcs11:token=coldfleet;object=command;type=private;pin-value=1234", &in_token, &e))
		fail_msg("%s", e.detail);
	assert_true(signer_key_load(path("hsm.pem"), &in_file, &e));
	assert_signs(in_token);
	assert_int_equal(EVP_PKEY_eq(in_token, in_file), 1);
	assert_refused("pkcs11:token=coldfleet;object=nobody;type=private;pin-value=1234", "no such private key");
	EVP_PKEY_free(in_token);
	EVP_PKEY_free(in_file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_key_that_was_made_is_private_and_signs),
		cmocka_unit_test(test_making_a_key_never_overwrites_a_file),
		cmocka_unit_test(test_a_key_file_that_others_can_read_is_refused),
		cmocka_unit_test(test_a_key_file_of_another_user_is_refused),
		cmocka_unit_test(test_links_folders_and_missing_files_are_refused),
		cmocka_unit_test(test_what_is_no_p256_private_key_is_refused),
		cmocka_unit_test(test_a_key_with_a_passphrase_is_refused_and_nobody_is_asked),
		cmocka_unit_test(test_a_key_in_a_pkcs11_token_signs_as_one_in_a_file),
	};
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
