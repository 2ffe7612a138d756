/* SPDX-License-Identifier: Apache-2.0
 *
 * States: DOWN -> SUBSCRIBING -> ASKING (only while the epoch is unknown) -> SENDING, and DOWN from each. */
#include "tests/tracker/device_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/log.h"
#include "tests/tracker/chance.h"
#include "tests/tracker/status.h"

#define ASK_FIRST    2.0 /* seconds without a receipt until one is asked for; doubles */
#define ASK_LIMIT    60.0
#define STATUS_FIRST 4.0 /* seconds without a receipt until a status is told again; doubles */
#define STATUS_LIMIT 3600.0
#define HURRY        2.0 /* seconds at most, and at least half of that, from a receipt until a pause is over */
#define LOST_AGAIN   INT64_C(2000000) /* microseconds between two reports of lost samples */
#define WINDOW_MAX   1000

static const char *const state_names[DEV_STATES] = {"DOWN", "SUBSCRIBING", "ASKING", "SENDING"};

/* One thread: the message being built is only needed until mqtt_publish() has copied it. */
static uint8_t buffer[ENCODE_MAX];
static const struct sample *gathered[ENCODE_SAMPLES_MAX];

static void *must(void *memory)
{
	if (memory == NULL)
		abort();
	return memory;
}

int64_t device_clock_us(clockid_t id)
{
	struct timespec now;

	clock_gettime(id, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void enter(struct device *d, enum device_state to)
{
	if (d->state != to)
		log_debug(d->serial, "%s -> %s", state_names[d->state], state_names[to]);
	d->state = to;
}

void device_arm(struct event *timer, double seconds)
{
	struct timeval tv = clock_timeval(seconds);

	if (!evtimer_pending(timer, NULL))
		evtimer_add(timer, &tv);
}

static void arm(struct device *d, double seconds)
{
	device_arm(d->timer, seconds);
}

void device_ask_later(struct device *d)
{
	arm(d, d->ask_wait);
}

/* ---- sending ---- */

static bool publish(struct device *d, struct message *m, size_t *taken, int *mid)
{
	struct err e;
	struct mqtt_publish p = {.topic = d->telemetry,
				 .payload = buffer,
				 .qos = 1,
				 .content_type = encoding_content_type(d->o.encoding),
				 .response_topic = d->receipt};

	if (!device_speaks(d))
		return false;
	m->clock = d->clock_told ? -1 : (double)device_clock_us(CLOCK_REALTIME) / 1e6;
	p.payload_len = encode_message(d->o.encoding, m, buffer, taken);
	if (!mqtt_publish(d->mqtt, &p, mid, &e)) {
		log_debug(d->serial, "publish: %s", e.detail);
		return false;
	}
	d->clock_told = true;
	return true;
}

/* A pack without samples: asks for a receipt of `epoch`, and says what is lost. */
static void publish_ask(struct device *d, int32_t epoch, const struct range *lost, size_t lost_count)
{
	bool own = epoch == flash_epoch(d->flash);
	struct message m = {.epoch = epoch,
			    .next = own ? flash_next(d->flash) : 0,
			    .ask = true,
			    .lost = lost,
			    .lost_count = lost_count};
	size_t taken;

	if (publish(d, &m, &taken, NULL))
		d->counts.asked++;
}

/* The samples of the job that are still there, up to the first hole behind them. */
static size_t gather(const struct device *d, struct job *job)
{
	size_t n = 0;

	for (int32_t seq = job->samples.first; seq <= job->samples.last && n < ENCODE_SAMPLES_MAX; seq++) {
		struct sample *s = flash_get(d->flash, seq);
		bool wanted = s != NULL && (job->kind != JOB_RESEND || s->delivery != DELIVERY_STORED);
		if (wanted)
			gathered[n++] = s;
		else if (n > 0)
			break;
		if (n == 1 && wanted)
			job->samples.first = seq;
	}
	return n;
}

static struct flight *free_flight(struct device *d)
{
	for (size_t i = 0; i < d->o.window; i++)
		if (d->flights[i].mid == 0)
			return &d->flights[i];
	abort();
}

static void acknowledged(struct device *d, const struct job *job)
{
	int64_t now = device_clock_us(CLOCK_MONOTONIC);

	for (int32_t seq = job->samples.first; seq <= job->samples.last; seq++) {
		struct sample *s = flash_get(d->flash, seq);
		if (s != NULL && s->delivery == DELIVERY_QUEUED && job->kind != JOB_DUPLICATE) {
			s->delivery = DELIVERY_SENT;
			s->acked = now;
		}
	}
}

/* As if a broker had acknowledged it, and were killed before it passed it on. */
static void lose(struct device *d, const struct job *job)
{
	acknowledged(d, job);
	device_ask_later(d);
}

/* False when the connection takes nothing more. */
static bool send_job(struct device *d, struct job job)
{
	size_t n = gather(d, &job), taken = 0;
	struct message m = {.epoch = flash_epoch(d->flash), .samples = gathered, .sample_count = n};
	int mid = 0;

	if (n == 0)
		return true;
	if (d->o.lose > 0 && device_speaks(d) && chance_hits(&d->chance, d->o.lose)) {
		lose(d, &job);
		return true;
	}
	if (!publish(d, &m, &taken, &mid)) {
		jobs_push_front(&d->jobs, job);
		return false;
	}
	struct job rest = {{job.samples.first + (int32_t)taken, job.samples.last}, job.kind};
	if (rest.samples.first <= rest.samples.last)
		jobs_push_front(&d->jobs, rest);
	job.samples.last = rest.samples.first - 1;
	*free_flight(d) = (struct flight){mid, job};
	d->flight_count++;
	d->counts.packs++;
	d->counts.duplicates += job.kind == JOB_DUPLICATE;
	d->counts.resent += job.kind == JOB_RESEND;
	return true;
}

static bool sending(const struct device *d)
{
	return d->state == DEV_SENDING && !d->paused;
}

void device_pump(struct device *d)
{
	while (sending(d) && device_speaks(d) && d->flight_count < (d->probing ? 1 : d->o.window) && d->jobs.count > 0)
		if (!send_job(d, jobs_pop(&d->jobs)))
			break;
}

void device_send(struct device *d, struct range samples, enum job_kind kind)
{
	for (int32_t seq = samples.first; seq <= samples.last; seq++) {
		struct sample *s = flash_get(d->flash, seq);
		if (s != NULL && s->delivery != DELIVERY_STORED && kind != JOB_DUPLICATE)
			s->delivery = DELIVERY_QUEUED;
	}
	if (d->unqueued <= samples.last && kind == JOB_NEW)
		d->unqueued = samples.last + 1;
	jobs_push(&d->jobs, (struct job){samples, kind});
	device_pump(d);
}

static void queue_packs(struct device *d, size_t size, size_t least)
{
	if (d->unqueued < flash_first(d->flash))
		d->unqueued = flash_first(d->flash);
	while ((size_t)(flash_next(d->flash) - d->unqueued) >= least) {
		size_t n = (size_t)(flash_next(d->flash) - d->unqueued);
		if (n > size)
			n = size;
		device_send(d, (struct range){d->unqueued, d->unqueued + (int32_t)n - 1}, JOB_NEW);
	}
}

/* What piles up while it cannot be sent goes out in larger packs. */
void device_measured(struct device *d)
{
	if (sending(d) && d->jobs.count == 0)
		queue_packs(d, d->o.backlog, d->o.pack);
}

void device_flush(struct device *d)
{
	if (sending(d))
		queue_packs(d, d->o.backlog, 1);
}

static void go_on(struct device *d)
{
	d->paused = false;
	evtimer_del(d->pause_timer);
	device_pump(d);
	device_flush(d);
}

static void on_pause_over(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	go_on(arg);
}

static void pause_at_most(struct device *d, struct timeval wait)
{
	int64_t over = device_clock_us(CLOCK_MONOTONIC) + (int64_t)wait.tv_sec * 1000000 + wait.tv_usec;

	if (d->paused && over >= d->pause_over)
		return;
	d->paused = true;
	d->pause_over = over;
	evtimer_add(d->pause_timer, &wait);
}

/* The broker has no room: this job and all behind it wait. */
static void put_back(struct device *d, struct job job)
{
	jobs_put_back(&d->jobs, job);
	if (d->paused)
		return;
	d->probing = true;
	d->hurried = false;
	pause_at_most(d, backoff_fail(&d->pause));
}

/* The back end stores again, so there will be room soon: not yet, perhaps, and the others hear it too. */
static void hurry(struct device *d)
{
	if (!d->paused || d->hurried)
		return;
	d->hurried = true;
	pause_at_most(d, backoff_fail(&(struct backoff){.first = HURRY, .limit = HURRY}));
}

/* ---- receipts ---- */

static bool overdue(const struct device *d, const struct sample *s, const struct receipt *r, int64_t now)
{
	/* Behind `through` nothing is known to be missing: the backend may only be late, and is while it goes on. */
	bool behind = s->seq > r->through;
	double wait = d->o.resend_after * (behind ? 2 : 1) * (double)(1u << (s->tries < 5 ? s->tries : 5));
	int64_t since = behind && d->stored > s->acked ? d->stored : s->acked;

	return s->delivery == DELIVERY_SENT && (double)(now - since) >= wait * 1e6;
}

static void resend(struct device *d, const struct receipt *r)
{
	int64_t now = device_clock_us(CLOCK_MONOTONIC);
	struct range run = {0, -1};

	for (int32_t seq = flash_first(d->flash); seq < flash_next(d->flash); seq++) {
		struct sample *s = flash_get(d->flash, seq);
		bool again = s != NULL && overdue(d, s, r, now);
		bool full = (size_t)(run.last - run.first) + 1 >= d->o.backlog;
		if (run.last >= run.first && (!again || full)) {
			device_send(d, run, JOB_RESEND);
			run = (struct range){0, -1};
		}
		if (!again)
			continue;
		s->tries = (uint8_t)(s->tries < UINT8_MAX ? s->tries + 1 : UINT8_MAX);
		if (run.last < run.first)
			run.first = seq;
		run.last = seq;
	}
	if (run.last >= run.first)
		device_send(d, run, JOB_RESEND);
}

/* Until the report is stored, receipts go on to ask for the same numbers; a receipt that asks for the next ones shows
 * that it is. */
static bool told_just_now(const struct device *d, int32_t epoch, int32_t first, int64_t now)
{
	return d->lost_told.at != 0 && now - d->lost_told.at < LOST_AGAIN && d->lost_told.epoch == epoch &&
	       d->lost_told.first >= first;
}

static void tell_lost(struct device *d, const struct receipt *r, const struct range *lost, size_t n)
{
	int64_t now = device_clock_us(CLOCK_MONOTONIC);

	if (n == 0 || told_just_now(d, r->epoch, lost[0].first, now))
		return;
	d->lost_told.at = now;
	d->lost_told.epoch = r->epoch;
	d->lost_told.first = lost[0].first;
	for (size_t i = 0; i < n; i++) {
		log_warn(d->serial, "lost=%" PRId32 "-%" PRId32, lost[i].first, lost[i].last);
		d->counts.lost += (size_t)(lost[i].last - lost[i].first) + 1;
	}
	publish_ask(d, r->epoch, lost, n);
}

static void ask_epoch(struct device *d)
{
	publish_ask(d, epoch_search_ask(&d->search), NULL, 0);
	evtimer_del(d->timer);
	arm(d, d->ask_wait);
}

static void answer_epoch(struct device *d, const struct receipt *r)
{
	if (r->epoch != epoch_search_ask(&d->search))
		return;
	if (!epoch_search_answer(&d->search, r)) {
		ask_epoch(d);
		return;
	}
	flash_set_epoch(d->flash, d->search.unused);
	log_debug(d->serial, "epoch=%" PRId32, d->search.unused);
	evtimer_del(d->timer);
	d->ask_wait = ASK_FIRST;
	enter(d, DEV_SENDING);
	go_on(d);
}

static void take_own(struct device *d, const struct receipt *r)
{
	struct range lost[LOST_MAX];
	size_t stored = flash_cover(d->flash, r);

	d->counts.stored += stored;
	if (stored > 0) {
		d->ask_wait = ASK_FIRST;
		d->stored = device_clock_us(CLOCK_MONOTONIC);
	}
	evtimer_del(d->timer);
	if (d->state == DEV_SENDING) {
		tell_lost(d, r, lost, flash_lost(d->flash, r, lost));
		resend(d, r);
		if (flash_used(d->flash) > 0)
			arm(d, d->ask_wait);
	}
	d->cb(d, DEVICE_PROGRESS, d->arg);
}

static void take_receipt(struct device *d, const struct mqtt_message *message)
{
	struct receipt r;
	struct err e;

	if (!receipt_parse(message->payload, message->payload_len, &r, &e)) {
		d->counts.bad_receipts++;
		log_warn(d->serial, "%s", e.detail);
		return;
	}
	hurry(d);
	if (r.of_status) {
		device_status_stored(d, &r);
		return;
	}
	d->counts.receipts++;
	if (d->state == DEV_ASKING) {
		answer_epoch(d, &r);
		return;
	}
	if (r.epoch == flash_epoch(d->flash))
		take_own(d, &r);
	else if (d->state == DEV_SENDING && epoch_left(flash_epoch(d->flash), r.epoch))
		tell_lost(d, &r, r.missing, r.missing_count);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct device *d = arg;

	(void)fd;
	(void)what;
	if (d->state != DEV_ASKING && (d->state != DEV_SENDING || flash_used(d->flash) == 0))
		return;
	d->ask_wait = d->ask_wait * 2 < ASK_LIMIT ? d->ask_wait * 2 : ASK_LIMIT;
	if (d->state == DEV_ASKING) {
		ask_epoch(d);
		return;
	}
	publish_ask(d, flash_epoch(d->flash), NULL, 0);
	arm(d, d->ask_wait);
}

static void on_status_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	struct device *d = arg;

	d->status_wait = d->status_wait * 2 < STATUS_LIMIT ? d->status_wait * 2 : STATUS_LIMIT;
	device_tell_status(d);
}

/* ---- the connection ---- */

static void subscribe(struct device *d)
{
	struct err e;

	enter(d, DEV_SUBSCRIBING);
	d->subscribed = 0;
	d->status_wait = STATUS_FIRST;
	d->clock_told = false;
	d->counts.connects++;
	if (!mqtt_subscribe(d->mqtt, d->receipt, 1, &e) || !mqtt_subscribe(d->mqtt, d->command, 1, &e))
		mqtt_drop(d->mqtt, e.detail);
}

static void subscribed(struct device *d, int reason)
{
	if (reason >= 0x80) {
		mqtt_drop(d->mqtt, "the broker refused the subscription to the tracker's own receipt or command topic");
		return;
	}
	if (++d->subscribed < 2)
		return;
	d->ask_wait = ASK_FIRST;
	if (flash_epoch(d->flash) == EPOCH_UNKNOWN) {
		epoch_search_init(&d->search, 0);
		enter(d, DEV_ASKING);
		device_tell_status(d);
		ask_epoch(d);
	} else {
		enter(d, DEV_SENDING);
		device_tell_status(d);
		go_on(d);
		if (flash_used(d->flash) > 0)
			arm(d, d->ask_wait);
	}
	if (d->commander != NULL)
		commander_up(d->commander);
	d->cb(d, DEVICE_UP, d->arg);
}

static void published(struct device *d, int mid, int reason)
{
	struct flight *f = NULL;

	for (size_t i = 0; i < d->o.window && f == NULL; i++)
		if (d->flights[i].mid == mid)
			f = &d->flights[i];
	if (reason >= 0x80) {
		d->counts.refused++;
		log_warn(d->serial, "the broker refused a message: reason 0x%02x", (unsigned)reason);
	}
	if (f == NULL) {
		if (d->commander != NULL && commander_published(d->commander, mid, reason))
			d->cb(d, DEVICE_PROGRESS, d->arg);
		return;
	}
	d->counts.acked++;
	f->mid = 0;
	d->flight_count--;
	if (reason >= 0x80) {
		put_back(d, f->job);
	} else {
		backoff_reset(&d->pause);
		d->probing = false;
		acknowledged(d, &f->job);
	}
	device_pump(d);
	device_measured(d);
	if (flash_used(d->flash) > 0)
		arm(d, d->ask_wait);
	d->cb(d, DEVICE_PROGRESS, d->arg);
}

/* What had no PUBACK goes to the head of the queue again. */
static void down(struct device *d)
{
	bool was_up = device_up(d);

	enter(d, DEV_DOWN);
	evtimer_del(d->timer);
	evtimer_del(d->status_timer);
	evtimer_del(d->pause_timer);
	d->paused = false;
	for (size_t i = d->o.window; i-- > 0;) {
		if (d->flights[i].mid != 0)
			jobs_push_front(&d->jobs, d->flights[i].job);
		d->flights[i].mid = 0;
	}
	d->flight_count = 0;
	if (d->commander != NULL)
		commander_down(d->commander);
	if (was_up)
		d->cb(d, DEVICE_DOWN, d->arg);
}

static void take_message(struct device *d, const struct mqtt_message *message)
{
	if (strcmp(message->topic, d->receipt) == 0) {
		take_receipt(d, message);
		return;
	}
	if (d->commander != NULL)
		commander_take(d->commander, message->payload, message->payload_len, message->correlation,
			       message->correlation_len);
	else
		log_warn(d->serial, "topic=%s bytes=%zu: without a controller no command is carried out",
			 message->topic, message->payload_len);
}

static void on_mqtt(struct mqtt *m, const struct mqtt_event *event, void *arg)
{
	struct device *d = arg;

	(void)m;
	switch (event->type) {
	case MQTT_CONNECTED:
		subscribe(d);
		break;
	case MQTT_SUBSCRIBED:
		subscribed(d, event->reason);
		break;
	case MQTT_MESSAGE:
		take_message(d, event->message);
		break;
	case MQTT_PUBLISHED:
		published(d, event->mid, event->reason);
		break;
	case MQTT_LOST:
		down(d);
		break;
	case MQTT_IDLE:
	case MQTT_RELEASED:
	case MQTT_UNSUBSCRIBED:
		break;
	}
}

/* ---- the interface ---- */

static void name_topics(struct device *d)
{
	size_t len = strlen(d->serial);

	topic_format(d->telemetry, d->serial, len, TOPIC_TELEMETRY);
	topic_format(d->receipt, d->serial, len, TOPIC_RECEIPT);
	topic_format(d->command, d->serial, len, TOPIC_COMMAND);
	topic_format(d->status, d->serial, len, TOPIC_STATUS);
	topic_format(d->reply, d->serial, len, TOPIC_REPLY);
}

struct device *device_new(struct event_base *base, const struct device_options *options, struct flash *flash_take,
			  device_cb *cb, void *arg, struct err *e)
{
	struct device *d = must(calloc(1, sizeof(*d)));

	d->o = *options;
	if (d->o.window > WINDOW_MAX)
		d->o.window = WINDOW_MAX;
	d->flash = flash_take;
	d->flights = must(calloc(d->o.window, sizeof(*d->flights)));
	d->timer = must(evtimer_new(base, on_timer, d));
	d->status_timer = must(evtimer_new(base, on_status_timer, d));
	d->pause_timer = must(evtimer_new(base, on_pause_over, d));
	d->pause = (struct backoff){.first = 1, .limit = 60};
	d->cb = cb;
	d->arg = arg;
	d->ask_wait = ASK_FIRST;
	d->started = device_clock_us(CLOCK_MONOTONIC);
	d->unqueued = flash_first(flash_take);
	if (!topic_serial_valid(options->serial, strlen(options->serial))) {
		err_set(e, ERR_INVALID, "serial '%s': expected 1 to 64 of A-Z a-z 0-9 . _ -", options->serial);
	} else {
		memcpy(d->serial, options->serial, strlen(options->serial));
		name_topics(d);
		d->mqtt = link_new(options->link, d->serial, base, on_mqtt, d, e);
	}
	if (d->mqtt == NULL) {
		device_free(&d);
		return NULL;
	}
	if (d->o.mcu != NULL) {
		status_factory(d->serial, d->o.mcu);
		d->chance = chance_seed(d->serial, (uint64_t)mcu_state(d->o.mcu)->boot_count);
		d->commander = commander_new(base, d->serial, d->o.mcu, d->o.faults, &device_hooks, d);
	}
	return d;
}

void device_free(struct device **d)
{
	if (*d == NULL)
		return;
	commander_free(&(*d)->commander);
	mqtt_free(&(*d)->mqtt);
	event_free((*d)->timer);
	event_free((*d)->status_timer);
	event_free((*d)->pause_timer);
	flash_free(&(*d)->flash);
	jobs_free(&(*d)->jobs);
	free((*d)->flights);
	free(*d);
	*d = NULL;
}

void device_start(struct device *d)
{
	if (d->commander != NULL)
		commander_resume(d->commander);
	mqtt_start(d->mqtt);
}

void device_stop(struct device *d)
{
	mqtt_stop(d->mqtt);
}

struct flash *device_flash(struct device *d)
{
	return d->flash;
}

bool device_up(const struct device *d)
{
	return d->state == DEV_ASKING || d->state == DEV_SENDING;
}

bool device_done(const struct device *d)
{
	return d->jobs.count == 0 && d->flight_count == 0 && flash_used(d->flash) == 0 &&
	       (d->commander == NULL || commander_idle(d->commander));
}

const char *device_serial(const struct device *d)
{
	return d->serial;
}

const struct device_counts *device_counts(const struct device *d)
{
	return &d->counts;
}

struct command_counts device_commands(const struct device *d)
{
	return d->commander != NULL ? *commander_counts(d->commander) : (struct command_counts){0};
}
