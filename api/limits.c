/* SPDX-License-Identifier: Apache-2.0
 *
 * Two tables of buckets. An IPv6 client owns a whole /64, so that counts as one address; a Unix socket has none. */
#include "api/limits.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/problem.h"
#include "api/rate.h"
#include "core/clock.h"

#define TABLE 16384 /* tokens, and addresses: 1.4 MiB each */

enum limited { PER_TOKEN, PER_ADDRESS, LIMITED };
static const char *const names[LIMITED] = {"token", "address"};

struct limits {
	struct rate *rate[LIMITED]; /* NULL: no limit */
	int64_t burst[LIMITED], window[LIMITED];
};

struct limits *limits_new(const struct limits_options *o)
{
	const int64_t per_second[LIMITED] = {o->per_token, o->per_address};
	const int64_t burst[LIMITED] = {o->token_burst, o->address_burst};
	struct limits *l = calloc(1, sizeof(*l));
	if (l == NULL)
		abort();
	for (int i = 0; i < LIMITED; i++) {
		if (per_second[i] == 0)
			continue;
		l->burst[i] = burst[i];
		l->window[i] = (burst[i] + per_second[i] - 1) / per_second[i];
		l->rate[i] = rate_new((double)per_second[i], (double)burst[i], TABLE);
	}
	return l;
}

void limits_free(struct limits **lp)
{
	struct limits *l = *lp;
	if (l == NULL)
		return;
	for (int i = 0; i < LIMITED; i++)
		rate_free(&l->rate[i]);
	free(l);
	*lp = NULL;
}

static bool address_key(const struct http_request *r, unsigned char key[RATE_KEY])
{
	const struct in6_addr *from = http_from(r);
	memset(key, 0, RATE_KEY);
	if (IN6_IS_ADDR_UNSPECIFIED(from))
		return false;
	memcpy(key, from, IN6_IS_ADDR_V4MAPPED(from) ? 16 : 8);
	return true;
}

static bool refuse(struct http_request *r, const char *what, const struct rate_verdict *v)
{
	struct err e;
	const struct err_http *h = err_http(ERR_RATE);
	err_set(&e, ERR_RATE, "this %s has asked too often, the next request is taken in %.1f s", what, v->next_in);
	http_add_field(r, "Retry-After", "%.0f", ceil(v->next_in));
	http_problem(r, h->status, h->slug, h->title, e.detail);
	return false;
}

bool limits_allow(struct limits *l, struct http_request *r, const unsigned char token[32])
{
	unsigned char key[LIMITED][RATE_KEY];
	struct rate_verdict v = {0};
	bool known[LIMITED] = {token != NULL, address_key(r, key[PER_ADDRESS])};
	if (token != NULL)
		memcpy(key[PER_TOKEN], token, RATE_KEY);
	for (int i = LIMITED - 1; i >= 0; i--) { /* a stranger must not use up the room of tokens */
		if (l->rate[i] == NULL || !known[i])
			continue;
		v = rate_take(l->rate[i], key[i], clock_seconds());
		http_add_field(r, "RateLimit-Policy", "\"%s\";q=%lld;w=%lld", names[i], (long long)l->burst[i],
			       (long long)l->window[i]);
		http_add_field(r, "RateLimit", "\"%s\";r=%lld;t=%.0f", names[i], (long long)v.remaining,
			       ceil(v.full_in));
		if (!v.allowed)
			return refuse(r, names[i], &v);
	}
	return true;
}
