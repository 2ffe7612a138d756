/* SPDX-License-Identifier: Apache-2.0
 *
 * zlib between two evbuffers. */
#include "api/gzip.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <zlib.h>

/* JSON of ours at level 1 is a sixth of its size, at 6 an eighth, for four times the work. */
#define LEVEL       1
#define WINDOW_GZIP (15 + 16)
#define MEMORY      8
#define ROOM        16384

struct gzip {
	z_stream z;
};

/* The weight of a coding is 0 exactly when its digits are all 0 (RFC 9110, 12.4.2). */
static bool weight_is_zero(const char *parameters, size_t len)
{
	const char *end = parameters + len, *q = parameters;
	while (q < end && (*q == ';' || *q == ' ' || *q == '\t'))
		q++;
	if (end - q < 3 || (*q != 'q' && *q != 'Q') || q[1] != '=')
		return false;
	for (q += 2; q < end && (*q == '0' || *q == '.'); q++)
		;
	return q == end || *q == ' ' || *q == '\t';
}

bool gzip_accepted(const char *accept_encoding)
{
	int gzip = -1, any = -1; /* -1: not named, 0: refused, 1: taken */
	for (const char *p = accept_encoding != NULL ? accept_encoding : ""; *p != '\0';) {
		p += strspn(p, ", \t");
		size_t len = strcspn(p, ","), name = strcspn(p, ",; \t");
		int taken = !weight_is_zero(p + name, len - name);
		if ((name == 4 && strncasecmp(p, "gzip", 4) == 0) || (name == 6 && strncasecmp(p, "x-gzip", 6) == 0))
			gzip = taken;
		else if (name == 1 && *p == '*')
			any = taken;
		p += len;
	}
	return gzip == 1 || (gzip == -1 && any == 1);
}

struct gzip *gzip_new(void)
{
	struct gzip *g = calloc(1, sizeof(*g));
	if (g == NULL || deflateInit2(&g->z, LEVEL, Z_DEFLATED, WINDOW_GZIP, MEMORY, Z_DEFAULT_STRATEGY) != Z_OK)
		abort();
	return g;
}

void gzip_free(struct gzip **gp)
{
	struct gzip *g = *gp;
	if (g == NULL)
		return;
	deflateEnd(&g->z);
	free(g);
	*gp = NULL;
}

/* Until zlib has taken all of its input and, at the end, given all of its output. */
static void run(struct gzip *g, struct evbuffer *to, int flush)
{
	struct evbuffer_iovec room;
	do {
		if (evbuffer_reserve_space(to, ROOM, &room, 1) != 1)
			abort();
		g->z.next_out = room.iov_base;
		g->z.avail_out = ROOM;
		if (deflate(&g->z, flush) == Z_STREAM_ERROR)
			abort();
		room.iov_len = ROOM - g->z.avail_out;
		evbuffer_commit_space(to, &room, 1);
	} while (g->z.avail_out == 0);
}

void gzip_add(struct gzip *g, struct evbuffer *from, struct evbuffer *to, bool last)
{
	while (evbuffer_get_length(from) > 0) {
		size_t n = evbuffer_get_contiguous_space(from); /* of the first piece, which may be an empty one */
		n = n > 0 ? n : 1;
		g->z.next_in = evbuffer_pullup(from, (ev_ssize_t)n);
		g->z.avail_in = (uInt)n;
		run(g, to, Z_NO_FLUSH);
		evbuffer_drain(from, n);
	}
	if (last)
		run(g, to, Z_FINISH);
}

void gzip_whole(struct evbuffer *body)
{
	struct gzip *g = gzip_new();
	struct evbuffer *to = evbuffer_new();
	if (to == NULL)
		abort();
	gzip_add(g, body, to, true);
	evbuffer_add_buffer(body, to);
	evbuffer_free(to);
	gzip_free(&g);
}

/* Until the member's end, an error, or a byte too many. Returns what zlib said last. */
static int inflate_into(z_stream *z, struct evbuffer *to, uint64_t most)
{
	struct evbuffer_iovec room;
	int said = Z_OK;
	while (said == Z_OK && z->total_out <= most) {
		if (evbuffer_reserve_space(to, ROOM, &room, 1) != 1)
			abort();
		z->next_out = room.iov_base;
		z->avail_out = ROOM;
		said = inflate(z, Z_NO_FLUSH);
		room.iov_len = ROOM - z->avail_out;
		evbuffer_commit_space(to, &room, 1);
	}
	return said;
}

bool gzip_inflate(struct evbuffer *body, uint64_t most, struct err *e)
{
	size_t len = evbuffer_get_length(body);
	struct evbuffer *to = evbuffer_new();
	z_stream z = {.next_in = evbuffer_pullup(body, -1), .avail_in = (uInt)len};
	if (to == NULL || len > UINT32_MAX || inflateInit2(&z, WINDOW_GZIP) != Z_OK)
		abort();
	int said = inflate_into(&z, to, most);
	bool ok = false;
	if (z.total_out > most)
		err_set(e, ERR_TOO_LARGE, "body: expected at most %" PRIu64 " bytes when inflated", most);
	else if (said != Z_STREAM_END)
		err_set(e, ERR_REQUEST,
			"body: expected gzip as Content-Encoding says, got something else or a part of it after %lu "
			"bytes",
			z.total_in);
	else if (z.avail_in > 0)
		err_set(e, ERR_REQUEST, "body: expected nothing after the gzip member, got %u bytes", z.avail_in);
	else
		ok = true;
	inflateEnd(&z);
	if (ok) {
		evbuffer_drain(body, len);
		evbuffer_add_buffer(body, to);
	}
	evbuffer_free(to);
	return ok;
}
