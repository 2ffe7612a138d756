/* SPDX-License-Identifier: Apache-2.0
 *
 * One listener of the live stream: what it asked for, how far it has come, and what is on its way to it. Readers that
 * may see and want the same share a view; the text of an event is shared by all who get it. */
#ifndef COLDFLEET_API_READER_H
#define COLDFLEET_API_READER_H

#include <sys/queue.h>

#include "api/http.h"
#include "api/sse.h"

struct feed;
struct reader;
TAILQ_HEAD(readers, reader);

enum reader_state {
	READER_CATCHING, /* events of before are read for it */
	READER_LIVE      /* gets what all get */
};

/* What the database is asked for; texts are empty, not NULL, when nothing is asked. */
struct view {
	TAILQ_ENTRY(view) next;
	struct readers readers;
	char *scope, *serial, *team;
};
TAILQ_HEAD(views, view);

struct reader {
	TAILQ_ENTRY(reader) next;    /* of all readers */
	TAILQ_ENTRY(reader) of_view; /* of those of its view */
	struct feed *feed;
	struct http_request *request;
	enum reader_state state;
	unsigned char token_sha256[32];
	char *serial, *team, *types; /* as asked; NULL: any */
	struct view *view;
	struct sse_place place; /* all up to here has been sent; `since` 0: as the feed's last sweep says */
	double proved;          /* when it was last seen to be allowed; seconds of clock_seconds() */
	bool fresh;             /* the state of its device was never sent */
	bool in_step;           /* the statement under way asks for it */
	bool in_round;          /* was there when the sweep under way began */
	struct evbuffer *piece; /* to be sent with reader_flush() */
	size_t from, to;        /* of the shared text, to be added to it */
};

/* A text that many readers send parts of. */
struct shared_text;
struct shared_text *shared_text_new(struct evbuffer *from); /* empties it */
void shared_text_done(struct shared_text **t);              /* who still sends of it keeps it */

struct reader *reader_new(struct http_request *request, const unsigned char token_sha256[32]);
void reader_free(struct reader **r); /* not its request */

bool reader_wants(const struct reader *r, const char *type);
/* Adds bytes `from` to `to` of the text to what is sent next; calls come in rising order. */
void reader_take(struct reader *r, struct shared_text *t, size_t from, size_t to);
/* Sends what was taken. False: the client is too slow for it. */
bool reader_flush(struct reader *r, struct shared_text *t, size_t most);
/* Is that place behind what the reader has got? */
bool reader_is_new(const struct reader *r, uint64_t xid, int64_t id);

#endif
