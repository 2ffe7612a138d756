/* SPDX-License-Identifier: Apache-2.0
 *
 * The checks of the file are made on the open descriptor, so what was checked is what is read. PKCS#11 goes through
 * the engine of libp11, which is what Debian 12 has for OpenSSL 3; its module is named by PKCS11_MODULE_PATH or found
 * by p11-kit. */
#define OPENSSL_SUPPRESS_DEPRECATED /* engines: see above */
#include "broker-bridge/signer_key.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/ec.h>
#include <openssl/engine.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

/* The newest complaint of OpenSSL, in words; the queue is empty afterwards. */
static const char *openssl_words(char *out, size_t size)
{
	unsigned long code = ERR_peek_last_error();
	ERR_error_string_n(code, out, size);
	ERR_clear_error();
	return code == 0 ? "no reason given" : out;
}

static bool refuse(struct err *e, const char *source, const char *why)
{
	return err_set(e, ERR_CONFIG, "key %.100s: %s", source, why);
}

/* Nobody but this process's user, or root who can read everything anyway, may be able to read the file. */
static bool check_private(int fd, const char *path, struct err *e)
{
	struct stat st;
	if (fstat(fd, &st) != 0)
		return refuse(e, path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return refuse(e, path, "not a regular file");
	if (st.st_uid != geteuid() && st.st_uid != 0)
		return err_set(e, ERR_CONFIG, "key %.100s: owned by user %u, expected %u (this process) or root", path,
			       (unsigned)st.st_uid, (unsigned)geteuid());
	if ((st.st_mode & 077) != 0)
		return err_set(e, ERR_CONFIG, "key %.100s: mode %04o lets others in, expected 0600 or less (chmod 600)",
			       path, (unsigned)(st.st_mode & 07777));
	return true;
}

/* Never ask on a terminal: a daemon has none. */
static int no_passphrase(char *buf, int size, int rwflag, void *arg)
{
	(void)buf, (void)size, (void)rwflag, (void)arg;
	return -1;
}

static EVP_PKEY *load_file(const char *path, struct err *e)
{
	EVP_PKEY *key = NULL;
	FILE *f = NULL;
	char words[160];
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) {
		refuse(e, path, errno == ELOOP ? "a symbolic link, expected the file itself" : strerror(errno));
		return NULL;
	}
	if (!check_private(fd, path, e))
		goto out;
	f = fdopen(fd, "r");
	if (f == NULL) {
		refuse(e, path, strerror(errno));
		goto out;
	}
	fd = -1;
	ERR_clear_error();
	key = PEM_read_PrivateKey(f, NULL, no_passphrase, NULL);
	if (key == NULL)
		err_set(e, ERR_CONFIG, "key %.100s: no private key in PEM without a passphrase (%s)", path,
			openssl_words(words, sizeof(words)));
out:
	if (f != NULL)
		fclose(f);
	if (fd >= 0)
		close(fd);
	return key;
}

/* The engine stays loaded as long as the process: keys refer to it. */
static ENGINE *pkcs11_engine(const char *uri, struct err *e)
{
	static ENGINE *engine;
	char words[160];
	if (engine != NULL)
		return engine;
	ENGINE_load_builtin_engines();
	ENGINE *found = ENGINE_by_id("pkcs11");
	if (found == NULL) {
		err_set(e, ERR_CONFIG,
			"key %.60s: OpenSSL's engine pkcs11 is missing (package libengine-pkcs11-openssl): %s", uri,
			openssl_words(words, sizeof(words)));
		return NULL;
	}
	if (ENGINE_init(found) != 1) {
		err_set(e, ERR_CONFIG,
			"key %.60s: the engine pkcs11 does not start; PKCS11_MODULE_PATH names the token's module: %s",
			uri, openssl_words(words, sizeof(words)));
		ENGINE_free(found);
		return NULL;
	}
	engine = found;
	return engine;
}

static EVP_PKEY *load_token(const char *uri, struct err *e)
{
	char words[160];
	ENGINE *engine = pkcs11_engine(uri, e);
	if (engine == NULL)
		return NULL;
	EVP_PKEY *key = ENGINE_load_private_key(engine, uri, NULL, NULL);
	if (key == NULL)
		err_set(e, ERR_CONFIG, "key %.80s: the token has no such private key, or its PIN is wrong: %s", uri,
			openssl_words(words, sizeof(words)));
	return key;
}

static bool on_p256(EVP_PKEY *key)
{
	char group[64] = "";
	size_t len = 0;
	if (EVP_PKEY_get_base_id(key) != EVP_PKEY_EC)
		return false;
	if (EVP_PKEY_get_group_name(key, group, sizeof(group), &len) != 1)
		return false;
	return strcmp(group, "prime256v1") == 0 || strcmp(group, "P-256") == 0;
}

bool signer_key_load(const char *source, EVP_PKEY **key, struct err *e)
{
	*key = strncmp(source, "pkcs11:", 7) == 0 ? load_token(source, e) : load_file(source, e);
	if (*key == NULL)
		return false;
	if (on_p256(*key))
		return true;
	EVP_PKEY_free(*key);
	*key = NULL;
	return refuse(e, source, "not an elliptic-curve key on P-256, which ES256 needs");
}

struct cose_key *signer_key_open(const char *source, struct err *e)
{
	EVP_PKEY *pkey;
	if (!signer_key_load(source, &pkey, e))
		return NULL;
	struct cose_key *key = cose_key_from_evp(pkey, e);
	EVP_PKEY_free(pkey);
	return key;
}

bool signer_key_make(const char *path, struct err *e)
{
	bool ok = false;
	FILE *f = NULL;
	EVP_PKEY *key = EVP_EC_gen("P-256");
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0) {
		refuse(e, path, errno == EEXIST ? "exists already; a key is never overwritten" : strerror(errno));
		goto out;
	}
	f = fdopen(fd, "w");
	if (f == NULL || key == NULL || PEM_write_PKCS8PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) != 1 ||
	    fflush(f) != 0 || fsync(fd) != 0) {
		refuse(e, path, "could not be written");
		unlink(path);
		goto out;
	}
	ok = true;
out:
	if (f != NULL)
		fclose(f);
	else if (fd >= 0)
		close(fd);
	EVP_PKEY_free(key);
	return ok;
}
