/* SPDX-License-Identifier: Apache-2.0
 *
 * The way of a command: judged, begun (its counter is on disk), accepted, logged, done, told. Work waits in timers and
 * never happens inside the connection's callback. */
#include "tests/tracker/command.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/evp.h>

#include "core/log.h"
#include "tests/tracker/acts.h"
#include "tests/tracker/chance.h"
#include "tests/tracker/replies.h"

#define SHA256_HEX 65
#define CLOCK_SLOW 120 /* seconds that a tracker's clock may be behind, or nothing could be told to it at once */

struct work {
	struct commander *commander; /* NULL: free */
	struct event *timer;
	uint8_t id[COMMAND_ID_BYTES];
};

struct commander {
	struct event_base *base;
	const char *serial;
	struct mcu *mcu;
	const struct command_faults *faults;
	const struct command_hooks *hooks;
	void *arg;
	struct work works[MCU_PENDING];
	struct replies *replies;
	struct event *until; /* a disable with an end */
	uint64_t chance;
	struct command_counts counts;
};

static double seconds(clockid_t id)
{
	struct timespec now;
	clock_gettime(id, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int64_t device_time(const struct commander *c)
{
	return c->faults->no_clock ? -1 : (int64_t)seconds(CLOCK_REALTIME);
}

static void arm(struct event *timer, double wait)
{
	wait = wait > 0 ? wait : 0;
	struct timeval tv = {.tv_sec = (time_t)wait, .tv_usec = (suseconds_t)((wait - (double)(time_t)wait) * 1e6)};
	evtimer_add(timer, &tv);
}

/* Without its memory a controller must not act: a tracker that cannot write stops. */
static void must_keep(bool kept, const struct commander *c, const struct err *e)
{
	if (kept)
		return;
	log_error(c->serial, "memory of the controller: %s", e->detail);
	exit(1);
}

/* ---- judging ---- */

static bool in_time(const struct command_message *c, int64_t now, struct err *e)
{
	if (now < 0)
		return true;
	if (now + CLOCK_SLOW < c->not_before)
		return err_set(e, ERR_CONFLICT, "not before %" PRId64 ", now %" PRId64, c->not_before, now);
	return now <= c->expires_at ||
	       err_set(e, ERR_CONFLICT, "expired at %" PRId64 ", now %" PRId64, c->expires_at, now);
}

static bool newer(const struct mcu_state *s, const struct command_message *c, struct err *e)
{
	if (c->epoch < s->epoch)
		return err_set(e, ERR_CONFLICT, "epoch %" PRId64 ", expected no less than %" PRId64, c->epoch,
			       s->epoch);
	return c->epoch > s->epoch || c->counter > s->counter ||
	       err_set(e, ERR_CONFLICT, "counter %" PRId64 ", expected more than %" PRId64, c->counter, s->counter);
}

static bool some_id(const struct command_message *c)
{
	static const uint8_t nobody[COMMAND_ID_BYTES];
	return memcmp(c->id, nobody, sizeof(nobody)) != 0;
}

enum command_verdict command_judge(struct mcu *m, const char *serial, int64_t now, const void *bytes, size_t len,
				   struct command_message *c, struct err *e)
{
	const struct mcu_state *s = mcu_state(m);
	struct cose_keyring ring = {.count = 0};
	if (s->trust != NULL)
		ring = trust_ring(s->trust, now);
	if (!command_open(&ring, serial, bytes, len, c, e))
		return some_id(c) ? VERDICT_REJECTED : VERDICT_FOREIGN;
	if (mcu_find_outcome(m, c->id) != NULL || mcu_find_pending(m, c->id) != NULL)
		return VERDICT_REPEATED;
	if (!newer(s, c, e))
		return VERDICT_REJECTED;
	return in_time(c, now, e) ? VERDICT_NEW : VERDICT_UNTIMELY;
}

/* ---- replies ---- */

static void told(const uint8_t id[COMMAND_ID_BYTES], void *arg)
{
	struct commander *c = arg;
	struct mcu_outcome *o = mcu_find_outcome(c->mcu, id);
	struct err e;
	if (o == NULL || o->told)
		return;
	o->told = true;
	must_keep(mcu_save(c->mcu, &e), c, &e);
}

static void queue_reply(struct commander *c, const struct command_reply *r, double delay)
{
	struct err e;
	if (chance_hits(&c->chance, c->faults->drop_replies))
		told(r->id, c);
	else if (!replies_put(c->replies, r, delay, &e))
		log_error(c->serial, "reply: %s", e.detail);
}

static struct command_reply new_reply(const struct commander *c, int64_t status, int64_t generation)
{
	return (struct command_reply){.status = status,
				      .device_time = device_time(c),
				      .boot_count = mcu_state(c->mcu)->boot_count,
				      .generation = generation};
}

static void reply_accepted(struct commander *c, const struct command_message *m, int64_t generation)
{
	struct command_reply r = new_reply(c, COMMAND_ACCEPTED, generation);
	memcpy(r.id, m->id, sizeof(r.id));
	r.counter = m->counter;
	queue_reply(c, &r, 0);
}

static void reply_outcome(struct commander *c, const struct mcu_outcome *o, double delay)
{
	struct command_reply r = new_reply(c, o->status, o->generation);
	memcpy(r.id, o->id, sizeof(r.id));
	r.counter = o->counter;
	snprintf(r.reason, sizeof(r.reason), "%s", o->reason != NULL ? o->reason : "");
	r.result = (struct cbor_view){o->result, o->result_len};
	queue_reply(c, &r, delay);
}

/* A reason may be cut off in the middle of a character: words of our own are ASCII, names of others may not be. */
static void set_reason(struct command_reply *r, const char *detail)
{
	size_t n = 0;
	for (; detail[n] != '\0' && n < COMMAND_REASON_MAX; n++)
		r->reason[n] = (unsigned char)detail[n] < 0x80 ? detail[n] : '?';
	r->reason[n] = '\0';
}

static void reply_rejected(struct commander *c, const struct command_message *m, int64_t generation,
			   const struct err *why)
{
	struct command_reply r = new_reply(c, COMMAND_REJECTED, generation);
	memcpy(r.id, m->id, sizeof(r.id));
	r.counter = m->counter > 0 ? m->counter : 0;
	set_reason(&r, why->detail);
	queue_reply(c, &r, 0);
}

/* Nothing of the message is believed, so the reply is about no command: it says which bytes it refused. */
static void reply_foreign(struct commander *c, const void *bytes, size_t len, int64_t generation, const struct err *why)
{
	struct command_reply r = new_reply(c, COMMAND_REJECTED, generation);
	uint8_t hash[32], map[128];
	char text[SHA256_HEX];
	struct cbor_writer w;
	if (EVP_Digest(bytes, len, hash, NULL, EVP_sha256(), NULL) != 1)
		abort();
	for (size_t i = 0; i < sizeof(hash); i++)
		snprintf(text + 2 * i, 3, "%02x", hash[i]);
	cbor_writer_init(&w, map, sizeof(map));
	cbor_put_map(&w, 1);
	cbor_put_text(&w, "sha256");
	cbor_put_text(&w, text);
	r.result = (struct cbor_view){map, w.len};
	set_reason(&r, why->detail);
	queue_reply(c, &r, 0);
}

/* ---- carrying out ---- */

static void on_until(evutil_socket_t fd, short what, void *arg)
{
	struct commander *c = arg;
	struct mcu_state *s = mcu_change(c->mcu);
	int64_t now = device_time(c);
	struct err e;
	(void)fd;
	(void)what;
	if (!s->disabled || s->until == 0 || now < 0)
		return;
	if (now < s->until) {
		arm(c->until, (double)s->until - seconds(CLOCK_REALTIME));
		return;
	}
	if (s->halted)
		s->running_since = now;
	s->disabled = s->halted = false;
	s->until = 0;
	must_keep(mcu_save(c->mcu, &e), c, &e);
	log_info(c->serial, "disabled until now: running");
	c->hooks->changed(c->arg);
}

static struct act new_act(struct commander *c, const struct command_message *m)
{
	return (struct act){.mcu = c->mcu, .command = m, .hooks = c->hooks, .arg = c->arg, .now = device_time(c)};
}

static void finish(struct commander *c, const struct command_message *m, const struct act *a, bool ok,
		   const struct err *why)
{
	struct command_reply cleaned = {.reason = ""};
	struct cbor_view result = {a->bytes, ok ? a->result.len : 0};
	struct err e;
	set_reason(&cleaned, ok ? "" : why->detail);
	struct mcu_outcome *o =
		mcu_done(c->mcu, m, ok ? COMMAND_SUCCEEDED : COMMAND_FAILED, cleaned.reason, result, &e);
	must_keep(o != NULL, c, &e);
	c->counts.succeeded += ok;
	c->counts.failed += !ok;
	log_info(c->serial, "command %s counter=%" PRId64 " %s %s", m->operation->name, o->counter,
		 command_status_name(o->status), cleaned.reason);
	reply_outcome(c, o, c->faults->late_reply);
	arm(c->until, 0);
	if (a->changed)
		c->hooks->changed(c->arg);
	if (a->reboots)
		c->hooks->reboot(c->arg);
}

static bool is_switch(const struct command_message *m)
{
	return strcmp(m->operation->name, "disable") == 0 || strcmp(m->operation->name, "enable") == 0;
}

static void stop_work(struct commander *c, const uint8_t id[COMMAND_ID_BYTES])
{
	for (struct work *w = c->works; w < c->works + MCU_PENDING; w++) {
		if (w->commander == NULL || memcmp(w->id, id, COMMAND_ID_BYTES) != 0)
			continue;
		event_free(w->timer);
		w->commander = NULL;
	}
}

/* Of disable and enable the later one counts: an earlier one that has not been carried out by then never is. */
static void supersede(struct commander *c, const struct command_message *by)
{
	const struct mcu_state *s = mcu_state(c->mcu);
	struct act nothing = {.result = {.len = 0}};
	size_t i = 0;
	while (i < s->pending_count) {
		struct command_message m;
		struct err why;
		if (!command_decode(s->pending[i].payload, s->pending[i].payload_len, &m, NULL) || !is_switch(&m) ||
		    m.epoch > by->epoch || (m.epoch == by->epoch && m.counter >= by->counter)) {
			i++;
			continue;
		}
		err_set(&why, ERR_CONFLICT, "%s, counter %" PRId64 ", came after it", by->operation->name, by->counter);
		stop_work(c, m.id);
		finish(c, &m, &nothing, false, &why); /* which takes it out of the list */
	}
}

/* `decided`: the log has it already. The pending copy goes with the outcome, so a copy of the message is worked with.
 */
static void carry_out(struct commander *c, const uint8_t id[COMMAND_ID_BYTES], bool decided)
{
	static uint8_t copy[COMMAND_PAYLOAD_MAX];
	const struct mcu_pending *p = mcu_find_pending(c->mcu, id);
	struct command_message m;
	struct err e = {.code = ERR_NONE}, not_logged = {.code = ERR_NONE};
	if (p == NULL || p->payload_len > sizeof(copy))
		return;
	memcpy(copy, p->payload, p->payload_len);
	if (!command_decode(copy, p->payload_len, &m, &e))
		return;
	struct act a = new_act(c, &m);
	bool ok = act_possible(&a, &e);
	if (ok && !decided)
		must_keep(mcu_log_act(c->mcu, &m, &not_logged), c, &not_logged);
	ok = ok && act_do(&a, &e);
	finish(c, &m, &a, ok, &e);
	if (ok && is_switch(&m))
		supersede(c, &m);
}

static void on_work(evutil_socket_t fd, short what, void *arg)
{
	struct work *w = arg;
	struct commander *c = w->commander;
	(void)fd;
	(void)what;
	event_free(w->timer);
	w->commander = NULL;
	carry_out(c, w->id, false);
}

static bool is_slow(const struct command_faults *f, const struct command_message *m)
{
	return f->slow > 0 && (f->slow_operation == NULL || strcmp(f->slow_operation, m->operation->name) == 0);
}

static void schedule(struct commander *c, const struct command_message *m)
{
	struct work *w = c->works;
	while (w->commander != NULL) /* there are as many as can be pending */
		w++;
	w->commander = c;
	w->timer = evtimer_new(c->base, on_work, w);
	if (w->timer == NULL)
		abort();
	memcpy(w->id, m->id, sizeof(w->id));
	arm(w->timer, is_slow(c->faults, m) ? c->faults->slow : 0);
}

/* ---- what comes in ---- */

/* A disable or enable is never refused for want of room: what waits to be done gives way to it, the oldest first and
 * another disable or enable last, which the new one would undo anyway. Nothing that was begun does: acts take no time.
 */
static void make_room(struct commander *c, const struct command_message *by)
{
	const struct mcu_state *s = mcu_state(c->mcu);
	struct act nothing = {.result = {.len = 0}};
	struct command_message m, first;
	struct err why;
	size_t i = 0;
	bool found = command_decode(s->pending[0].payload, s->pending[0].payload_len, &first, &why);
	must_keep(found, c, &why);
	for (found = false; i < s->pending_count && !found; i++)
		found = command_decode(s->pending[i].payload, s->pending[i].payload_len, &m, NULL) && !is_switch(&m);
	if (!found)
		m = first;
	err_set(&why, ERR_OVERLOADED, "gave way to %s, counter %" PRId64, by->operation->name, by->counter);
	stop_work(c, m.id);
	finish(c, &m, &nothing, false, &why);
}

/* What was refused once is never done: else whoever holds the bytes could bring them again at a better moment, after
 * everybody was told that it did not happen. */
static void refuse(struct commander *c, const struct command_message *m, int64_t generation, const struct err *why)
{
	struct command_reply cleaned = {.reason = ""};
	struct err e;
	c->counts.rejected++;
	log_warn(c->serial, "command rejected: %s", why->detail);
	set_reason(&cleaned, why->detail);
	struct mcu_outcome *o = mcu_refuse(c->mcu, m, generation, cleaned.reason, &e);
	must_keep(o != NULL, c, &e);
	reply_outcome(c, o, 0);
}

static void take_new(struct commander *c, const struct command_message *m, int64_t generation)
{
	struct err e;
	if (is_switch(m) && mcu_state(c->mcu)->pending_count == MCU_PENDING)
		make_room(c, m);
	if (!mcu_begin(c->mcu, m, m->payload, generation, &e)) {
		must_keep(e.code == ERR_OVERLOADED, c, &e);
		refuse(c, m, generation, &e);
		return;
	}
	if (c->faults->die_after_persist)
		raise(SIGKILL);
	c->counts.accepted++;
	reply_accepted(c, m, generation);
	schedule(c, m);
}

static void take_repeated(struct commander *c, const struct command_message *m, int64_t generation)
{
	struct mcu_outcome *o = mcu_find_outcome(c->mcu, m->id);
	struct mcu_pending *p = mcu_find_pending(c->mcu, m->id);
	c->counts.repeated++;
	if (p != NULL) {
		p->generation = generation;
		reply_accepted(c, m, generation);
	} else {
		o->generation = generation;
		reply_outcome(c, o, 0);
	}
}

void commander_take(struct commander *c, const void *bytes, size_t len, const void *correlation, size_t correlation_len)
{
	struct command_message m;
	struct err e = {.code = ERR_NONE};
	int64_t generation = command_generation_get(correlation, correlation_len);
	c->counts.received++;
	if (c->faults->deaf)
		return;
	switch (command_judge(c->mcu, c->serial, device_time(c), bytes, len, &m, &e)) {
	case VERDICT_NEW:
		take_new(c, &m, generation);
		break;
	case VERDICT_REPEATED:
		take_repeated(c, &m, generation);
		break;
	case VERDICT_REJECTED:
		c->counts.rejected++;
		log_warn(c->serial, "command rejected: %s", e.detail);
		reply_rejected(c, &m, generation, &e);
		break;
	case VERDICT_UNTIMELY:
		refuse(c, &m, generation, &e);
		break;
	case VERDICT_FOREIGN:
		c->counts.foreign++;
		log_warn(c->serial, "%zu bytes that are no command: %s", len, e.detail);
		reply_foreign(c, bytes, len, generation, &e);
		break;
	}
}

void commander_up(struct commander *c)
{
	replies_up(c->replies);
}

void commander_down(struct commander *c)
{
	replies_down(c->replies);
}

bool commander_published(struct commander *c, int mid, int reason)
{
	return replies_published(c->replies, mid, reason);
}

bool commander_idle(const struct commander *c)
{
	return replies_empty(c->replies) && mcu_state(c->mcu)->pending_count == 0;
}

const struct command_counts *commander_counts(const struct commander *c)
{
	return &c->counts;
}

/* ---- from one life to the next ---- */

static void give_up(struct commander *c, const struct command_message *m)
{
	struct err why;
	struct act nothing = {.result = {.len = 0}};
	err_set(&why, ERR_INTERNAL, "power was lost before it was carried out");
	finish(c, m, &nothing, false, &why);
}

void commander_resume(struct commander *c)
{
	const struct mcu_state *s = mcu_state(c->mcu);
	for (size_t i = 0; i < s->outcome_count; i++) {
		const struct mcu_outcome *o = &s->outcomes[(s->outcome_first + i) % MCU_OUTCOMES];
		if (!o->told)
			reply_outcome(c, o, 0);
	}
	while (s->pending_count > 0) {
		struct command_message m;
		struct err e = {.code = ERR_NONE};
		bool ok = command_decode(s->pending[0].payload, s->pending[0].payload_len, &m, &e);
		must_keep(ok, c, &e);
		if (mcu_has_acted(c->mcu, m.id))
			carry_out(c, m.id, true);
		else
			give_up(c, &m);
	}
	arm(c->until, 0);
}

struct commander *commander_new(struct event_base *base, const char *serial, struct mcu *mcu,
				const struct command_faults *faults, const struct command_hooks *hooks, void *arg)
{
	struct commander *c = calloc(1, sizeof(*c));
	if (c == NULL)
		abort();
	c->base = base;
	c->serial = serial;
	c->mcu = mcu;
	c->faults = faults;
	c->hooks = hooks;
	c->arg = arg;
	c->chance = chance_seed(serial, 0);
	c->until = evtimer_new(base, on_until, c);
	if (c->until == NULL)
		abort();
	c->replies = replies_new(base, (struct replies_calls){hooks->publish, told, arg, c});
	return c;
}

void commander_free(struct commander **c)
{
	if (*c == NULL)
		return;
	for (size_t i = 0; i < MCU_PENDING; i++)
		if ((*c)->works[i].commander != NULL)
			event_free((*c)->works[i].timer);
	replies_free(&(*c)->replies);
	event_free((*c)->until);
	free(*c);
	*c = NULL;
}
