/* SPDX-License-Identifier: Apache-2.0
 *
 * People who sign in at an identity provider: its access tokens are verified here (jwt.h), and what they claim becomes
 * a role and a scope by configuration. Who was proved is remembered until the token ends, by the token's SHA-256. The
 * keys come from a file or over HTTPS; while they cannot be had, the ones from before stay in force. */
#ifndef COLDFLEET_API_OIDC_H
#define COLDFLEET_API_OIDC_H

#include <event2/event.h>

#include "api/jwt.h"

struct oidc;

struct oidc_options {
	const char *issuer, *audience;
	const char *algorithms;   /* "RS256,ES256" */
	const char *type;         /* "at+jwt" or "JWT" */
	const char *jwks;         /* the path of a file, or https://… */
	const char *ca;           /* PEM, for the URL; empty: those of the system */
	double refresh;           /* seconds after which the keys are fetched again */
	const char *roles_claim;  /* "roles", "realm_access.roles" */
	const char *roles;        /* "value=role,…": the first one that the token has counts */
	const char *groups_claim; /* names of groups of devices; empty: all devices */
};

struct oidc_identity {
	char subject[256];
	char role[16];
	char groups[1024]; /* a JSON array of names; empty: all devices */
	time_t expires;
};

/* Reads the file or begins to fetch. Wrong options: ERR_CONFIG. */
struct oidc *oidc_new(struct event_base *base, const struct oidc_options *options, struct err *e);
void oidc_free(struct oidc **o);
void oidc_reload(struct oidc *o); /* the keys, now */

/* Is it for us, rather than a token of our own? */
bool oidc_is_jwt(const char *token);

/* Proves `token` and remembers who it is under `sha256`. ERR_UNAUTHORIZED: it does not hold; ERR_FORBIDDEN: it does,
 * and gives no role; ERR_OVERLOADED: its key is not known yet and is being fetched. */
bool oidc_prove(struct oidc *o, const char *token, const unsigned char sha256[32], enum jwt_fault *fault,
		struct err *e);

/* Borrowed until the next call; NULL: not proved, forgotten, or expired. `o` may be NULL. */
const struct oidc_identity *oidc_who(struct oidc *o, const unsigned char sha256[32]);

#endif
