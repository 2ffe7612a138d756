/* SPDX-License-Identifier: Apache-2.0
 *
 * Texts are counted by reference and handed to libevent as they are, so a thousand slow readers of the same events
 * hold one copy of them. */
#include "api/reader.h"

#include <stdlib.h>
#include <string.h>

struct shared_text {
	size_t holders;
	struct evbuffer *owner;
	const unsigned char *bytes;
};

struct shared_text *shared_text_new(struct evbuffer *from)
{
	struct shared_text *t = calloc(1, sizeof(*t));
	if (t == NULL || (t->owner = evbuffer_new()) == NULL)
		abort();
	evbuffer_add_buffer(t->owner, from);
	t->bytes = evbuffer_pullup(t->owner, -1);
	t->holders = 1;
	return t;
}

static void release(struct shared_text *t)
{
	if (--t->holders > 0)
		return;
	evbuffer_free(t->owner);
	free(t);
}

void shared_text_done(struct shared_text **t)
{
	release(*t);
	*t = NULL;
}

static void on_sent(const void *data, size_t len, void *arg)
{
	(void)data, (void)len;
	release(arg);
}

struct reader *reader_new(struct http_request *request, const unsigned char token_sha256[32])
{
	struct reader *r = calloc(1, sizeof(*r));
	if (r == NULL || (r->piece = evbuffer_new()) == NULL)
		abort();
	r->request = request;
	memcpy(r->token_sha256, token_sha256, sizeof(r->token_sha256));
	return r;
}

void reader_free(struct reader **rp)
{
	struct reader *r = *rp;
	if (r == NULL)
		return;
	evbuffer_free(r->piece);
	free(r->serial);
	free(r->team);
	free(r->types);
	free(r);
	*rp = NULL;
}

bool reader_wants(const struct reader *r, const char *type)
{
	size_t len = strlen(type);
	for (const char *p = r->types; p != NULL && *p != '\0'; p += *p == ',') {
		size_t word = strcspn(p, ",");
		if (word == len && memcmp(p, type, len) == 0)
			return true;
		p += word;
	}
	return r->types == NULL;
}

static void add_range(struct reader *r, struct shared_text *t)
{
	if (r->to == r->from)
		return;
	t->holders++;
	if (evbuffer_add_reference(r->piece, t->bytes + r->from, r->to - r->from, on_sent, t) != 0)
		abort();
	r->from = r->to = 0;
}

void reader_take(struct reader *r, struct shared_text *t, size_t from, size_t to)
{
	if (r->to != from) {
		add_range(r, t);
		r->from = from;
	}
	r->to = to;
}

bool reader_flush(struct reader *r, struct shared_text *t, size_t most)
{
	add_range(r, t);
	return http_live_write(r->request, r->piece, most);
}

bool reader_is_new(const struct reader *r, uint64_t xid, int64_t id)
{
	return xid > r->place.xid || (xid == r->place.xid && id > r->place.id);
}
