/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys, the mapping of claims, and a small table of who was proved. The table is emptied when the keys change, so a key
 * that was withdrawn ends what it had proved. */
#include "api/oidc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/web.h"

#define JWKS_MAX      (256 * 1024)
#define FETCH_SECONDS 10
#define AGAIN_SECONDS 10 /* the keys are not asked for sooner, however many tokens name one that is not known */
#define KNOWN_SETS    256
#define KNOWN_WAYS    4

struct known {
	unsigned char sha256[32];
	uint64_t used; /* 0: free */
	struct oidc_identity who;
};

struct oidc {
	struct oidc_options options;
	struct jwt_rules rules;
	struct jwt_keys *keys; /* NULL: none yet */
	uint64_t keys_hash;    /* of the text that they came from */
	struct web *web;       /* NULL: a file */
	struct event *timer;
	time_t asked;
	uint64_t uses;
	struct known known[KNOWN_SETS][KNOWN_WAYS];
};

/* ---- the keys ---- */

static uint64_t hash_of(const char *bytes, size_t len)
{
	unsigned char md[32];
	uint64_t hash = 0;
	if (EVP_Digest(bytes, len, md, NULL, EVP_sha256(), NULL) == 1)
		memcpy(&hash, md, sizeof(hash));
	return hash;
}

static bool take_keys(struct oidc *o, const char *bytes, size_t len, struct err *e)
{
	uint64_t hash = hash_of(bytes, len);
	if (o->keys != NULL && hash == o->keys_hash)
		return true;
	struct jwt_keys *keys = jwt_keys_new(bytes, len, e);
	if (keys == NULL)
		return false;
	jwt_keys_free(&o->keys);
	o->keys = keys;
	o->keys_hash = hash;
	memset(o->known, 0, sizeof(o->known));
	log_info("oidc", "keys=%zu from=%s", jwt_keys_count(keys), o->options.jwks);
	return true;
}

static bool read_file(struct oidc *o, struct err *e)
{
	char *bytes = malloc(JWKS_MAX);
	FILE *f = fopen(o->options.jwks, "re");
	if (bytes == NULL)
		abort();
	size_t len = f != NULL ? fread(bytes, 1, JWKS_MAX, f) : 0;
	bool ok = len > 0 && len < JWKS_MAX;
	if (!ok)
		err_set(e, ERR_CONFIG, "%.160s: expected a file of 1 to %d bytes%s%s", o->options.jwks, JWKS_MAX - 1,
			f == NULL ? ": " : "", f == NULL ? strerror(errno) : "");
	ok = ok && take_keys(o, bytes, len, e);
	if (f != NULL)
		fclose(f);
	free(bytes);
	return ok;
}

static void on_fetched(const struct web_answer *a, void *arg)
{
	struct oidc *o = arg;
	struct err e = {0};
	bool got = a->status == 200 && a->body != NULL;
	if (!got)
		err_set(&e, ERR_SYSTEM, "%s", a->why[0] != '\0' ? a->why : "the answer is not 200 with a body");
	if (!got || !take_keys(o, a->body, a->body_len, &e))
		log_error("oidc", "%s: %s; %s", o->options.jwks, e.detail,
			  o->keys != NULL ? "the keys from before stay in force" : "there are no keys yet");
}

static void fetch(struct oidc *o)
{
	const struct web_request request = {.url = o->options.jwks, .timeout = FETCH_SECONDS, .most = JWKS_MAX};
	if (web_count(o->web) == 0)
		web_send(o->web, &request);
}

void oidc_reload(struct oidc *o)
{
	struct err e = {0};
	o->asked = time(NULL);
	if (o->web != NULL)
		fetch(o);
	else if (!read_file(o, &e))
		log_error("oidc", "the keys from before stay in force: %s", e.detail);
}

static void on_refresh(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	oidc_reload(arg);
}

/* ---- options ---- */

static bool check_options(struct oidc *o, struct err *e)
{
	const struct oidc_options *p = &o->options;
	char algs[64];
	enum jwt_alg alg;
	char *rest = NULL;
	if (p->audience[0] == '\0' || p->jwks[0] == '\0' || p->roles[0] == '\0')
		return err_set(e, ERR_CONFIG, "oidc_issuer needs oidc_audience, oidc_jwks and oidc_roles beside it");
	snprintf(algs, sizeof(algs), "%s", p->algorithms);
	for (char *w = strtok_r(algs, ", ", &rest); w != NULL; w = strtok_r(NULL, ", ", &rest)) {
		if (!jwt_alg_parse(w, &alg))
			return err_set(e, ERR_CONFIG, "oidc_algorithms: expected RS256, ES256 or both, got '%.40s'", w);
		o->rules.algs[alg] = true;
	}
	if (strncmp(p->jwks, "http:", 5) == 0)
		return err_set(e, ERR_CONFIG, "oidc_jwks: expected the path of a file or https://…, not clear text");
	return true;
}

struct oidc *oidc_new(struct event_base *base, const struct oidc_options *options, struct err *e)
{
	struct timeval every = {(time_t)options->refresh, 0};
	struct oidc *o = calloc(1, sizeof(*o));
	if (o == NULL)
		abort();
	o->options = *options;
	o->rules.issuer = options->issuer;
	o->rules.audience = options->audience;
	o->rules.type = options->type;
	bool ok = check_options(o, e);
	if (ok && strncmp(options->jwks, "https://", 8) == 0) {
		const struct web_options w = {.ca = options->ca};
		o->web = web_new(base, &w, on_fetched, o);
		oidc_reload(o);
	} else {
		ok = ok && read_file(o, e);
	}
	o->timer = event_new(base, -1, EV_PERSIST, on_refresh, o);
	event_add(o->timer, &every);
	if (!ok)
		oidc_free(&o);
	return o;
}

void oidc_free(struct oidc **op)
{
	struct oidc *o = *op;
	if (o == NULL)
		return;
	web_free(&o->web);
	event_free(o->timer);
	jwt_keys_free(&o->keys);
	free(o);
	*op = NULL;
}

/* ---- who was proved ---- */

static struct known *known_set(struct oidc *o, const unsigned char sha256[32])
{
	return o->known[sha256[0] % KNOWN_SETS];
}

const struct oidc_identity *oidc_who(struct oidc *o, const unsigned char sha256[32])
{
	struct known *set = o != NULL ? known_set(o, sha256) : NULL;
	for (int i = 0; o != NULL && i < KNOWN_WAYS; i++) {
		if (set[i].used == 0 || memcmp(set[i].sha256, sha256, 32) != 0)
			continue;
		set[i].used = ++o->uses;
		return time(NULL) < set[i].who.expires + JWT_LEEWAY ? &set[i].who : NULL;
	}
	return NULL;
}

static void remember(struct oidc *o, const unsigned char sha256[32], const struct oidc_identity *who)
{
	struct known *set = known_set(o, sha256), *place = set;
	for (int i = 1; i < KNOWN_WAYS; i++)
		if (set[i].used < place->used)
			place = &set[i];
	memcpy(place->sha256, sha256, 32);
	place->used = ++o->uses;
	place->who = *who;
}

/* ---- claims ---- */

/* A claim by its path: "realm_access.roles". A name with a dot in it is found whole first. */
static const json_t *claim_at(const json_t *claims, const char *path)
{
	const json_t *whole = json_object_get(claims, path);
	size_t len = strcspn(path, ".");
	char name[128];
	if (whole != NULL || path[len] == '\0' || len >= sizeof(name))
		return whole;
	memcpy(name, path, len);
	name[len] = '\0';
	return claim_at(json_object_get(claims, name), path + len + 1);
}

static bool has_value(const json_t *claim, const char *value, size_t len)
{
	const json_t *one;
	size_t i;
	if (json_is_string(claim))
		return json_string_length(claim) == len && memcmp(json_string_value(claim), value, len) == 0;
	json_array_foreach(claim, i, one) if (json_is_string(one) && has_value(one, value, len)) return true;
	return false;
}

static bool take_role(const struct oidc *o, const json_t *claims, struct oidc_identity *who, struct err *e)
{
	const json_t *claim = claim_at(claims, o->options.roles_claim);
	for (const char *p = o->options.roles; *p != '\0';) {
		p += strspn(p, ", ");
		size_t pair = strcspn(p, ", "), value = strcspn(p, "=, ");
		size_t role = value < pair ? pair - value - 1 : 0;
		if (role > 0 && role < sizeof(who->role) && has_value(claim, p, value)) {
			memcpy(who->role, p + value + 1, role);
			who->role[role] = '\0';
			return true;
		}
		p += pair;
	}
	return err_set(e, ERR_FORBIDDEN, "the access token gives no role here");
}

/* Without the claim: no device at all. */
static bool take_groups(const struct oidc *o, const json_t *claims, struct oidc_identity *who, struct err *e)
{
	if (o->options.groups_claim[0] == '\0')
		return true;
	const json_t *claim = claim_at(claims, o->options.groups_claim), *one;
	json_t *names = json_array();
	size_t i;
	if (json_is_string(claim))
		json_array_append_new(names, json_string(json_string_value(claim)));
	json_array_foreach(claim, i, one) if (json_is_string(one))
		json_array_append_new(names, json_string(json_string_value(one)));
	size_t len = json_dumpb(names, who->groups, sizeof(who->groups) - 1, JSON_COMPACT);
	bool ok = json_array_size(names) > 0 && len < sizeof(who->groups);
	json_decref(names);
	return ok || err_set(e, ERR_FORBIDDEN, "the access token names no group of devices, or too many");
}

bool oidc_is_jwt(const char *token)
{
	return strncmp(token, "cf_", 3) != 0 && strchr(token, '.') != NULL;
}

static json_t *verify(struct oidc *o, const char *token, enum jwt_fault *fault, struct err *e)
{
	time_t now = time(NULL);
	json_t *claims = jwt_verify(token, o->keys, &o->rules, now, fault, e);
	if (*fault != JWT_KEY)
		return claims;
	bool again = now >= o->asked + AGAIN_SECONDS;
	if (again)
		oidc_reload(o);
	if (o->web == NULL)
		return again ? jwt_verify(token, o->keys, &o->rules, now, fault, e) : NULL;
	if (web_count(o->web) > 0)
		err_set(e, ERR_OVERLOADED, "the keys of the identity provider are being fetched, try again");
	return NULL;
}

bool oidc_prove(struct oidc *o, const char *token, const unsigned char sha256[32], enum jwt_fault *fault, struct err *e)
{
	struct oidc_identity who = {0};
	*fault = JWT_OK;
	if (oidc_who(o, sha256) != NULL)
		return true;
	json_t *claims = verify(o, token, fault, e);
	if (claims == NULL)
		return false;
	snprintf(who.subject, sizeof(who.subject), "%s", json_string_value(json_object_get(claims, "sub")));
	who.expires = (time_t)json_number_value(json_object_get(claims, "exp"));
	bool ok = take_role(o, claims, &who, e) && take_groups(o, claims, &who, e);
	json_decref(claims);
	if (ok)
		remember(o, sha256, &who);
	return ok;
}
