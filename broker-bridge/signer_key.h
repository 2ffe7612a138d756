/* SPDX-License-Identifier: Apache-2.0
 *
 * Where the private keys of coldfleet-signer come from: a PEM file that its user alone can read, or a token that
 * never gives them away (PKCS#11). Whatever the source, what comes back is an ECDSA key on P-256 that can sign. */
#ifndef COLDFLEET_BROKER_BRIDGE_SIGNER_KEY_H
#define COLDFLEET_BROKER_BRIDGE_SIGNER_KEY_H

#include <stdbool.h>

#include <openssl/evp.h>

#include "core/cose.h"
#include "core/err.h"

/* `source` is the path of a PEM file (PKCS#8 or SEC1, not encrypted) or a PKCS#11 URI (RFC 7512, "pkcs11:token=...;
 * object=...;pin-source=file:..."). A file must be a regular one, not a symbolic link, owned by this process's user or
 * by root, and give nothing to group and others. ERR_CONFIG says what is wrong and how to mend it. The caller frees
 * *key with EVP_PKEY_free(). */
bool signer_key_load(const char *source, EVP_PKEY **key, struct err *e);
/* The same as a key that signs messages; NULL on failure. */
struct cose_key *signer_key_open(const char *source, struct err *e);

/* Makes a new key on P-256 in a new file with mode 0600 (PKCS#8 PEM). An existing file is never touched. */
bool signer_key_make(const char *path, struct err *e);

#endif
