/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys and certificates with OpenSSL's EVP and X509 calls. Key files are written under their own mode 0600, and each
 * file is complete before it gets its name. */
#include "tests/tracker/ca.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "broker-bridge/topic.h"

#define DAYS       825 /* the longest life that common TLS clients accept of a leaf */
#define CA_DAYS    3650
#define BACKDATE   3600 /* a tracker whose clock is slow can connect at once */
#define PATH_BYTES 4096

struct ca {
	char *dir;
	EVP_PKEY *key;
	X509 *cert;
};

/* What a certificate is for. */
struct purpose {
	const char *constraints, *usage, *extended; /* in the words of OpenSSL's configuration files */
	long days;
};
static const struct purpose purpose_ca = {"critical,CA:TRUE,pathlen:0", "critical,keyCertSign,cRLSign", NULL, CA_DAYS};
static const struct purpose purpose_server = {"critical,CA:FALSE", "critical,digitalSignature", "serverAuth", DAYS};
static const struct purpose purpose_tracker = {"critical,CA:FALSE", "critical,digitalSignature", "clientAuth", DAYS};

static bool ssl_failed(struct err *e, const char *what)
{
	char words[160];

	ERR_error_string_n(ERR_get_error(), words, sizeof(words));
	ERR_clear_error();
	return err_set(e, ERR_INTERNAL, "%s: %s", what, words);
}

static bool path_of(const struct ca *ca, const char *name, const char *suffix, char out[PATH_BYTES], struct err *e)
{
	int n = snprintf(out, PATH_BYTES, "%s/%s.%s", ca->dir, name, suffix);

	return (n > 0 && n < PATH_BYTES) || err_set(e, ERR_INVALID, "%s: the folder's name is too long", ca->dir);
}

static bool exists(const char *path)
{
	return access(path, F_OK) == 0;
}

typedef bool pem_write(FILE *to, const void *what);

static bool write_key(FILE *to, const void *key)
{
	return PEM_write_PrivateKey(to, (const EVP_PKEY *)key, NULL, NULL, 0, NULL, NULL) == 1;
}

static bool write_cert(FILE *to, const void *cert)
{
	return PEM_write_X509(to, (const X509 *)cert) == 1;
}

static bool save(const char *path, mode_t mode, pem_write *write, const void *what, struct err *e)
{
	char temporary[PATH_BYTES + 8];
	FILE *file = NULL;
	bool ok = false;

	snprintf(temporary, sizeof(temporary), "%s.new", path);
	unlink(temporary);
	int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	if (fd < 0 || (file = fdopen(fd, "w")) == NULL)
		return err_set(e, ERR_SYSTEM, "%s: %s", temporary, strerror(errno));
	ok = write(file, what);
	ok = fclose(file) == 0 && ok && rename(temporary, path) == 0;
	return ok || err_set(e, ERR_SYSTEM, "%s: write: %s", path, strerror(errno));
}

static bool load(const char *cert_path, const char *key_path, X509 **cert, EVP_PKEY **key, struct err *e)
{
	FILE *c = fopen(cert_path, "r");
	FILE *k = key_path != NULL ? fopen(key_path, "r") : NULL;
	bool ok = false;

	if (c == NULL || (key_path != NULL && k == NULL)) {
		err_set(e, ERR_SYSTEM, "%s: %s", c == NULL ? cert_path : key_path, strerror(errno));
		goto out;
	}
	*cert = PEM_read_X509(c, NULL, NULL, NULL);
	if (k != NULL)
		*key = PEM_read_PrivateKey(k, NULL, NULL, NULL);
	ok = *cert != NULL && (k == NULL || *key != NULL);
	if (!ok)
		ssl_failed(e, *cert == NULL ? cert_path : key_path);
out:
	if (c != NULL)
		fclose(c);
	if (k != NULL)
		fclose(k);
	return ok;
}

static bool add_extension(X509 *cert, X509V3_CTX *ctx, int nid, const char *value)
{
	X509_EXTENSION *ext = value != NULL ? X509V3_EXT_nconf_nid(NULL, ctx, nid, value) : NULL;
	bool ok = value == NULL || (ext != NULL && X509_add_ext(cert, ext, -1) == 1);

	X509_EXTENSION_free(ext);
	return ok;
}

/* RFC 5280 section 4.1.2.2: positive, at most 20 bytes, not guessable. */
static bool set_number(X509 *cert)
{
	uint8_t bytes[16];
	BIGNUM *n = NULL;

	if (RAND_bytes(bytes, sizeof(bytes)) != 1)
		return false;
	bytes[0] = (uint8_t)((bytes[0] & 0x7f) | 0x40);
	n = BN_bin2bn(bytes, sizeof(bytes), NULL);
	bool ok = n != NULL && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(cert)) != NULL;
	BN_free(n);
	return ok;
}

static bool fill(const struct ca *ca, X509 *cert, EVP_PKEY *key, const char *cn, const struct purpose *purpose,
		 const char *names)
{
	X509 *issuer = ca->cert != NULL ? ca->cert : cert;
	X509_NAME *subject = X509_get_subject_name(cert);
	X509V3_CTX ctx;

	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	return X509_set_version(cert, X509_VERSION_3) == 1 && set_number(cert) &&
	       X509_gmtime_adj(X509_getm_notBefore(cert), -BACKDATE) != NULL &&
	       X509_gmtime_adj(X509_getm_notAfter(cert), purpose->days * 86400) != NULL &&
	       X509_set_pubkey(cert, key) == 1 &&
	       X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)cn, -1, -1, 0) == 1 &&
	       X509_set_issuer_name(cert, X509_get_subject_name(issuer)) == 1 &&
	       add_extension(cert, &ctx, NID_basic_constraints, purpose->constraints) &&
	       add_extension(cert, &ctx, NID_key_usage, purpose->usage) &&
	       add_extension(cert, &ctx, NID_ext_key_usage, purpose->extended) &&
	       add_extension(cert, &ctx, NID_subject_key_identifier, "hash") &&
	       add_extension(cert, &ctx, NID_authority_key_identifier, "keyid") &&
	       add_extension(cert, &ctx, NID_subject_alt_name, names);
}

/* Gives a new certificate and its key, both to be freed. */
static bool make(const struct ca *ca, const char *cn, const struct purpose *purpose, const char *names, X509 **cert,
		 EVP_PKEY **key, struct err *e)
{
	*key = EVP_EC_gen("P-256");
	*cert = X509_new();
	if (*key == NULL || *cert == NULL || !fill(ca, *cert, *key, cn, purpose, names) ||
	    X509_sign(*cert, ca->key != NULL ? ca->key : *key, EVP_sha256()) == 0)
		return ssl_failed(e, cn);
	return true;
}

/* The key goes first: a certificate without its key would look complete. */
static bool make_files(const struct ca *ca, const char *name, const char *cn, const struct purpose *purpose,
		       const char *names, X509 **cert, EVP_PKEY **key, struct err *e)
{
	char cert_path[PATH_BYTES], key_path[PATH_BYTES];

	return path_of(ca, name, "crt", cert_path, e) && path_of(ca, name, "key", key_path, e) &&
	       make(ca, cn, purpose, names, cert, key, e) && save(key_path, 0600, write_key, *key, e) &&
	       save(cert_path, 0644, write_cert, *cert, e);
}

static bool have_files(const struct ca *ca, const char *name, struct err *e, bool *have)
{
	char cert_path[PATH_BYTES], key_path[PATH_BYTES];

	if (!path_of(ca, name, "crt", cert_path, e) || !path_of(ca, name, "key", key_path, e))
		return false;
	*have = exists(cert_path) && exists(key_path);
	return true;
}

static bool ca_load_or_make(struct ca *ca, struct err *e)
{
	char cert_path[PATH_BYTES], key_path[PATH_BYTES];
	X509 *cert = NULL;
	EVP_PKEY *key = NULL;
	bool ok;

	if (!path_of(ca, "ca", "crt", cert_path, e) || !path_of(ca, "ca", "key", key_path, e))
		return false;
	if (exists(cert_path) != exists(key_path))
		return err_set(e, ERR_CONFLICT, "%s has one of ca.crt and ca.key: expected both or neither", ca->dir);
	if (exists(cert_path))
		ok = load(cert_path, key_path, &cert, &key, e);
	else
		ok = make_files(ca, "ca", "coldfleet development CA", &purpose_ca, NULL, &cert, &key, e);
	ca->cert = cert;
	ca->key = key;
	return ok;
}

struct ca *ca_open(const char *dir, struct err *e)
{
	struct ca *ca = calloc(1, sizeof(*ca));

	if (ca == NULL || (ca->dir = strdup(dir)) == NULL)
		abort();
	if (mkdir(dir, 0755) != 0 && errno != EEXIST)
		err_set(e, ERR_SYSTEM, "%s: %s", dir, strerror(errno));
	else if (ca_load_or_make(ca, e))
		return ca;
	ca_free(&ca);
	return NULL;
}

void ca_free(struct ca **ca)
{
	if (*ca == NULL)
		return;
	X509_free((*ca)->cert);
	EVP_PKEY_free((*ca)->key);
	free((*ca)->dir);
	free(*ca);
	*ca = NULL;
}

static bool is_address(const char *name)
{
	uint8_t bytes[16];

	return inet_pton(AF_INET, name, bytes) == 1 || inet_pton(AF_INET6, name, bytes) == 1;
}

bool ca_server(struct ca *ca, const char *name, struct err *e)
{
	char names[512];
	X509 *cert = NULL;
	EVP_PKEY *key = NULL;
	bool have = false, ok;

	if (!have_files(ca, "server", e, &have))
		return false;
	if (have && name == NULL)
		return true;
	if (name != NULL && (strlen(name) > 253 || strpbrk(name, ",: \t") != NULL) && !is_address(name))
		return err_set(e, ERR_INVALID, "--server: expected a host name or an address, got '%s'", name);
	snprintf(names, sizeof(names), "DNS:localhost,IP:127.0.0.1,IP:::1%s%s",
		 name == NULL ? "" : (is_address(name) ? ",IP:" : ",DNS:"), name == NULL ? "" : name);
	ok = make_files(ca, "server", name != NULL && strlen(name) <= 64 ? name : "localhost", &purpose_server, names,
			&cert, &key, e);
	X509_free(cert);
	EVP_PKEY_free(key);
	return ok;
}

static void hex(char *out, const uint8_t *bytes, unsigned len)
{
	for (unsigned i = 0; i < len; i++)
		sprintf(out + 2 * i, "%02x", bytes[i]);
}

static bool time_text(const ASN1_TIME *time, char out[32])
{
	struct tm tm;

	return ASN1_TIME_to_tm(time, &tm) == 1 && strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm) > 0;
}

static bool print_line(const char *serial, const X509 *cert, FILE *to, struct err *e)
{
	uint8_t print[EVP_MAX_MD_SIZE], spki[EVP_MAX_MD_SIZE];
	char print_hex[2 * EVP_MAX_MD_SIZE + 1], spki_hex[2 * EVP_MAX_MD_SIZE + 1], before[32], after[32];
	unsigned char *der = NULL;
	unsigned len = 0;
	int der_len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);
	bool ok = der_len > 0 && X509_digest(cert, EVP_sha256(), print, &len) == 1 &&
		  EVP_Digest(der, (size_t)der_len, spki, &len, EVP_sha256(), NULL) == 1 &&
		  time_text(X509_get0_notBefore(cert), before) && time_text(X509_get0_notAfter(cert), after);

	OPENSSL_free(der);
	if (!ok)
		return ssl_failed(e, serial);
	hex(print_hex, print, len);
	hex(spki_hex, spki, len);
	return fprintf(to, "%s\t%s\t%s\t%s\t%s\n", serial, print_hex, spki_hex, before, after) > 0 ||
	       err_set(e, ERR_SYSTEM, "standard output: %s", strerror(errno));
}

bool ca_tracker(struct ca *ca, const char *serial, FILE *to, struct err *e)
{
	char cert_path[PATH_BYTES];
	X509 *cert = NULL;
	EVP_PKEY *key = NULL;
	bool have = false, ok;

	if (!topic_serial_valid(serial, strlen(serial)))
		return err_set(e, ERR_INVALID, "serial '%s': expected 1 to 64 of A-Z a-z 0-9 . _ -", serial);
	if (strcmp(serial, "ca") == 0 || strcmp(serial, "server") == 0)
		return err_set(e, ERR_INVALID, "serial '%s': that file name belongs to the %s certificate", serial,
			       serial);
	if (!have_files(ca, serial, e, &have) || !path_of(ca, serial, "crt", cert_path, e))
		return false;
	if (have)
		ok = load(cert_path, NULL, &cert, NULL, e);
	else
		ok = make_files(ca, serial, serial, &purpose_tracker, NULL, &cert, &key, e);
	ok = ok && print_line(serial, cert, to, e);
	X509_free(cert);
	EVP_PKEY_free(key);
	return ok;
}
