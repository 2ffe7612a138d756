/* SPDX-License-Identifier: Apache-2.0
 *
 * An answer becomes text once; each reader gets the parts of it that are in its view, that it wants, and that it has
 * not had. */
#include <stdlib.h>
#include <string.h>

#include "api/feed_internal.h"

/* Columns of an answer; its last row has no type and says where to go on. */
enum column { C_XID, C_ID, C_TYPE, C_DATA, C_VIEWS };

struct row {
	uint64_t xid;
	int64_t id;
	const char *type, *views;
	size_t from, to; /* of the text */
};

static bool is_state(const struct feed *f)
{
	return f->step == STEP_WATCHED || f->step == STEP_SWEEP;
}

static uint64_t number_at(const PGresult *res, int row, enum column column)
{
	return strtoull(PQgetvalue(res, row, (int)column), NULL, 10);
}

uint64_t feed_states_since(const struct feed *f)
{
	uint64_t least = UINT64_MAX;
	const struct reader *r;
	TAILQ_FOREACH(r, &f->readers, next)
	{
		bool as_swept = !feed_named(r->view) && r->place.since == 0 && f->swept != NULL;
		uint64_t since = as_swept              ? snapshot_xmin(f->swept)
				 : r->place.since != 0 ? r->place.since
						       : r->place.xid;
		least = since < least ? since : least;
	}
	return least;
}

static bool is_new_state(const struct feed *f, const struct reader *r, uint64_t xid)
{
	if (f->step == STEP_WATCHED)
		return r->fresh || f->watched == NULL || !snapshot_sees(f->watched, xid);
	if (r->place.since != 0)
		return xid >= r->place.since;
	return f->swept == NULL || !snapshot_sees(f->swept, xid);
}

static bool is_for(const struct feed *f, const struct reader *r, const struct row *row)
{
	return r->in_step && reader_wants(r, row->type) &&
	       (is_state(f) ? is_new_state(f, r, row->xid) : reader_is_new(r, row->xid, row->id));
}

/* `views` is an array of numbers as PostgreSQL writes it: {1,2}. */
static void deal_row(struct feed *f, struct shared_text *text, const struct row *row)
{
	struct reader *r;
	for (const char *p = row->views + 1; *p >= '0' && *p <= '9';) {
		char *end;
		size_t n = strtoul(p, &end, 10);
		p = end + (*end == ',');
		if (n == 0 || n > f->asked_count)
			continue;
		TAILQ_FOREACH(r, &f->asked[n - 1]->readers, of_view)
		if (is_for(f, r, row))
			reader_take(r, text, row->from, row->to);
	}
}

static void write_rows(struct feed *f, const PGresult *res, struct row *row, size_t count, struct evbuffer *to)
{
	struct sse_place at = {f->reached.xid, f->reached.id, feed_states_since(f)};
	for (size_t i = 0; i < count; i++) {
		int n = (int)i;
		row[i] = (struct row){.xid = number_at(res, n, C_XID),
				      .id = (int64_t)number_at(res, n, C_ID),
				      .type = PQgetvalue(res, n, C_TYPE),
				      .views = PQgetvalue(res, n, C_VIEWS),
				      .from = evbuffer_get_length(to)};
		if (!is_state(f)) {
			at.xid = row[i].xid;
			at.id = row[i].id;
		}
		sse_event(to, &at, row[i].type, PQgetvalue(res, n, C_DATA));
		row[i].to = evbuffer_get_length(to);
	}
}

void feed_deal(struct feed *f, const PGresult *res)
{
	size_t count = (size_t)PQntuples(res) - 1;
	struct evbuffer *written = evbuffer_new();
	struct row *row = calloc(count + 1, sizeof(*row));
	if (row == NULL || written == NULL)
		abort();
	write_rows(f, res, row, count, written);
	struct shared_text *text = shared_text_new(written);
	for (size_t i = 0; i < count; i++)
		deal_row(f, text, &row[i]);
	for (struct reader *r = TAILQ_FIRST(&f->readers), *after; r != NULL; r = after) {
		after = TAILQ_NEXT(r, next);
		if (r->in_step && !reader_flush(r, text, f->options.buffer))
			feed_cut_off(f, r);
	}
	shared_text_done(&text);
	evbuffer_free(written);
	free(row);
}
