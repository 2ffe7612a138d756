/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the feed share: the feed itself, and the steps of a tick. */
#ifndef COLDFLEET_API_FEED_INTERNAL_H
#define COLDFLEET_API_FEED_INTERNAL_H

#include "api/feed.h"
#include "api/snapshot.h"
#include "core/arena.h"
#include "core/db.h"
#include "core/pg_array.h"

#define PROOFS_MOST 64 /* in one tick */
#define STATE_TYPE  "device.state"

enum step { STEP_PROVE, STEP_BACKLOG, STEP_EVENTS, STEP_WATCHED, STEP_SWEEP, STEPS };

/* May readers of this token go on with this view? */
struct proof {
	struct feed *feed;
	struct view *view;
	unsigned char token_sha256[32];
	struct err refused;
	char *scope, *reset; /* NULL: not answered; events are not missing */
	struct sse_place place;
};

struct feed {
	struct service *service;
	struct feed_options options;
	struct db *db;
	struct event *tick, *beat;
	struct readers readers;
	struct views views;
	size_t count; /* of readers, those that are being opened too */
	bool stopping;

	enum step step; /* of the tick under way; STEPS: none is */
	double began;   /* when the tick did */
	bool again;     /* there is more, so the next one comes soon */
	struct arena *arena;
	struct view **asked; /* the views of the statement under way, by their number less one */
	size_t asked_count;

	struct proof proofs[PROOFS_MOST];
	size_t proofs_owed;
	struct sse_place reached;  /* all events up to here have been read by the statement under way */
	struct snapshot *looked;   /* what the statement under way saw, of states */
	struct snapshot *watched;  /* what the last look at named devices saw; NULL: there was none */
	struct snapshot *swept;    /* what the last sweep over all devices saw when it began; NULL: there was none */
	struct snapshot *sweeping; /* the same of the one under way */
	int32_t sweep_after;       /* its place, a device_id; 0: none is under way */
	int32_t sweep_next;        /* the same as of the answer */
	double swept_at;           /* when the last one ended */
};

/* Readers (feed.c). */
void feed_set_view(struct feed *f, struct reader *r, const char *scope);
uint64_t
feed_states_since(const struct feed *f); /* whoever resumes here may have missed states of these transactions on */
void feed_end_reader(struct feed *f, struct reader *r, bool whole); /* `r` is gone */
void feed_cut_off(struct feed *f, struct reader *r);                /* too slow; `r` is gone */
bool feed_named(const struct view *v); /* a device is named, and looked at each time; others are swept over */

/* Each sends a statement, false: there is nothing to ask; when it has been answered, done() of its row is called. */
bool feed_send_proofs(struct feed *f); /* feed_proof.c; calls feed_step_done() itself */
void feed_step_done(struct feed *f);
void feed_failed(struct feed *f); /* the tick ends here */

extern const struct feed_step {
	const char *name;
	bool (*send)(struct feed *f);
	bool (*done)(struct feed *f); /* false: the step is sent once more */
} feed_steps[STEPS];

/* The rows of an answer go to the readers that they are for (feed_deal.c). */
void feed_deal(struct feed *f, const PGresult *res);

#endif
