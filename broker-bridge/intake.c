/* SPDX-License-Identifier: Apache-2.0
 *
 * The intake's state machine:
 *
 *   OFFLINE -> READING (-> COMMITTING) -> ACKING -> READING
 *
 * READING takes messages; the owner may store some of them meanwhile. When the owner says so, once the socket is
 * drained or it is enough, COMMITTING waits for all of it to be stored; the socket is not read, so the broker holds
 * back what is to come. ACKING, which READING also comes to when all is stored, writes the held acknowledgements: MQTT
 * wants them in order, and the library writes all or none. When there is nowhere to store, the intake disconnects
 * without acknowledging: its session at the broker keeps the messages. */
#include "broker-bridge/intake.h"

#include <stdlib.h>
#include <string.h>

#include "core/backoff.h"
#include "core/log.h"

enum intake_state { INTAKE_AWAY, INTAKE_READING, INTAKE_COMMITTING, INTAKE_ACKING };

static const char *const state_names[] = {"OFFLINE", "READING", "COMMITTING", "ACKING"};

/* [from][to] */
static const bool state_allowed[4][4] = {
	[INTAKE_AWAY] = {[INTAKE_READING] = true},
	[INTAKE_READING] = {[INTAKE_AWAY] = true, [INTAKE_COMMITTING] = true, [INTAKE_ACKING] = true},
	[INTAKE_COMMITTING] = {[INTAKE_AWAY] = true, [INTAKE_ACKING] = true},
	[INTAKE_ACKING] = {[INTAKE_AWAY] = true, [INTAKE_READING] = true},
};

struct intake {
	char *name;
	char *filters[INTAKE_FILTERS];
	size_t filter_count;
	char *unwanted;
	size_t answered; /* filters that the broker has answered on this connection */
	enum intake_state state;
	const struct intake_calls *calls;
	void *arg;
	struct mqtt *mqtt;
	struct event *retry; /* after a batch that could not be stored */
	struct event *quiet; /* leaving: nothing has come since it was set */
	struct backoff backoff;
	bool leave;
	bool open;     /* there is somewhere to store */
	bool online;   /* subscribed, and told so */
	bool enough;   /* the owner has said so: the socket is not read for now */
	bool in_doubt; /* the connection that messages came over is gone: their acknowledgements are void */
	bool stopping;
	bool stopped;
};

/* ---- state ---- */

static void enter(struct intake *in, enum intake_state to)
{
	enum intake_state from = in->state;
	if (!state_allowed[from][to]) {
		log_error(in->name, "impossible: %s -> %s", state_names[from], state_names[to]);
		abort();
	}
	log_debug(in->name, "%s -> %s messages=%zu", state_names[from], state_names[to], in->calls->count(in->arg));
	in->state = to;
	in->enough = false;
	if (to == INTAKE_AWAY && in->online) {
		in->online = false;
		in->calls->event(INTAKE_OFFLINE, in->arg);
	}
}

/* Connects to the broker when there is somewhere to put what it sends. */
static void connect_if_useful(struct intake *in)
{
	if (!in->stopping && in->open && !event_pending(in->retry, EV_TIMEOUT, NULL))
		mqtt_start(in->mqtt);
}

/* Something of what was taken is being stored while reading goes on. */
static bool stores_behind(const struct intake *in)
{
	return in->state == INTAKE_READING && in->calls->busy != NULL && in->calls->busy(in->arg);
}

static void close_batch(struct intake *in, bool all)
{
	if (in->state != INTAKE_READING || in->calls->count(in->arg) == 0 || !in->calls->store(all, in->arg))
		return;
	mqtt_pause(in->mqtt);
	enter(in, INTAKE_COMMITTING);
}

static void stop_when_idle(struct intake *in)
{
	if (in->stopping && in->calls->busy != NULL && mqtt_connected(in->mqtt))
		close_batch(in, true);
	if (!in->stopping || in->stopped || in->state == INTAKE_COMMITTING || in->state == INTAKE_ACKING)
		return;
	if (!mqtt_stopped(in->mqtt)) {
		mqtt_pause(in->mqtt);
		mqtt_stop(in->mqtt);
		return;
	}
	in->stopped = true;
	in->calls->event(INTAKE_STOPPED, in->arg);
}

static void let_go(struct intake *in)
{
	in->calls->clear(false, in->arg);
	if (in->state != INTAKE_AWAY)
		enter(in, INTAKE_AWAY);
	mqtt_stop(in->mqtt);
	stop_when_idle(in); /* when the connection is gone already, nothing else comes to it */
}

/* ---- leaving ---- */

/* Long enough for a broker that still has messages of this session to send one. */
static const struct timeval quiet_time = {.tv_sec = 2};

static void leave_when_quiet(struct intake *in)
{
	if (in->leave && in->answered >= in->filter_count) /* what is unwanted is answered too */
		event_add(in->quiet, &quiet_time);
}

static void on_quiet(evutil_socket_t fd, short what, void *arg)
{
	struct intake *in = arg;
	(void)fd, (void)what;
	if (in->state != INTAKE_READING || in->calls->count(in->arg) > 0)
		return; /* back_to_reading() or a new connection comes to it again */
	log_info(in->name, "left");
	in->stopping = true;
	mqtt_pause(in->mqtt);
	mqtt_end_session(in->mqtt);
}

/* ---- storing ---- */

static void back_to_reading(struct intake *in)
{
	in->calls->clear(true, in->arg);
	in->in_doubt = false;
	backoff_reset(&in->backoff);
	if (in->stopping) {
		enter(in, INTAKE_AWAY);
		stop_when_idle(in);
		return;
	}
	if (mqtt_connected(in->mqtt)) {
		enter(in, INTAKE_READING);
		mqtt_resume(in->mqtt);
		leave_when_quiet(in);
		return;
	}
	enter(in, INTAKE_AWAY);
	connect_if_useful(in);
}

bool intake_storing(const struct intake *in)
{
	return in->state == INTAKE_COMMITTING;
}

void intake_stored(struct intake *in, bool ok)
{
	if (in->state != INTAKE_COMMITTING && (in->state != INTAKE_READING || in->calls->busy == NULL))
		return;
	if (!ok) {
		struct timeval wait = backoff_fail(&in->backoff);
		event_add(in->retry, &wait);
		let_go(in);
		return;
	}
	mqtt_pause(in->mqtt);
	enter(in, INTAKE_ACKING);
	if (intake_mqtt(in) == NULL)
		back_to_reading(in);
	else
		mqtt_release(in->mqtt);
}

void intake_look(struct intake *in, bool room)
{
	close_batch(in, false);
	if (in->state != INTAKE_READING || !in->enough || !room)
		return;
	in->enough = false;
	mqtt_resume(in->mqtt);
}

struct mqtt *intake_mqtt(const struct intake *in)
{
	return in->in_doubt || !mqtt_connected(in->mqtt) ? NULL : in->mqtt;
}

/* ---- events ---- */

static void subscribe(struct intake *in)
{
	struct err e = {0};
	in->answered = 0;
	if (in->unwanted != NULL && !mqtt_unsubscribe(in->mqtt, in->unwanted, &e))
		log_warn(in->name, "%s", e.detail);
	for (size_t i = 0; i < in->filter_count; i++) {
		bool ok = in->leave ? mqtt_unsubscribe(in->mqtt, in->filters[i], &e)
				    : mqtt_subscribe(in->mqtt, in->filters[i], 1, &e);
		if (!ok)
			log_warn(in->name, "%s", e.detail);
	}
}

static void subscribed(struct intake *in, int reason)
{
	if (reason >= 0x80) {
		log_error(in->name, "the broker refused the subscription reason=0x%x", (unsigned)reason);
		mqtt_drop(in->mqtt, "subscription refused");
		return;
	}
	if (++in->answered < in->filter_count)
		return;
	in->online = true;
	log_info(in->name, "online");
	in->calls->event(INTAKE_ONLINE, in->arg);
}

static void take(struct intake *in, const struct mqtt_message *message)
{
	if (in->state != INTAKE_READING) {
		/* Cannot be: the socket is read in READING only. An unstored message must not be acknowledged. */
		mqtt_drop(in->mqtt, "message outside READING");
		in->in_doubt = true;
		return;
	}
	in->enough = in->calls->take(message, in->arg);
	if (in->enough)
		mqtt_pause(in->mqtt);
}

static void connection_lost(struct intake *in)
{
	in->in_doubt = true;
	in->answered = 0;
	event_del(in->quiet);
	switch (in->state) {
	case INTAKE_READING:
		in->calls->clear(false, in->arg);
		if (stores_behind(in)) {
			enter(in, INTAKE_COMMITTING);
			mqtt_stop(in->mqtt);
		} else {
			enter(in, INTAKE_AWAY);
		}
		break;
	case INTAKE_ACKING:
		back_to_reading(in);
		break;
	case INTAKE_COMMITTING:
		/* What is in work goes on; a new connection must wait until it has ended. */
		mqtt_stop(in->mqtt);
		break;
	case INTAKE_AWAY:
		break;
	}
	if (in->stopping) {
		stop_when_idle(in);
	} else if (in->state == INTAKE_AWAY) {
		if (!in->open || event_pending(in->retry, EV_TIMEOUT, NULL))
			mqtt_stop(in->mqtt);
		else
			connect_if_useful(in);
	}
}

static void on_mqtt(struct mqtt *mqtt, const struct mqtt_event *event, void *arg)
{
	struct intake *in = arg;
	(void)mqtt;
	switch (event->type) {
	case MQTT_CONNECTED:
		in->in_doubt = false;
		enter(in, INTAKE_READING);
		subscribe(in);
		break;
	case MQTT_SUBSCRIBED:
		subscribed(in, event->reason);
		break;
	case MQTT_UNSUBSCRIBED:
		if (!in->leave)
			break; /* of what is unwanted */
		in->answered++;
		leave_when_quiet(in);
		break;
	case MQTT_MESSAGE:
		take(in, event->message);
		break;
	case MQTT_IDLE:
		close_batch(in, false);
		break;
	case MQTT_RELEASED:
		if (in->state == INTAKE_ACKING)
			back_to_reading(in);
		break;
	case MQTT_PUBLISHED:
		break;
	case MQTT_LOST:
		connection_lost(in);
		break;
	}
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	connect_if_useful(arg);
}

/* ---- the interface ---- */

static void *check_memory(void *p)
{
	if (p == NULL)
		abort();
	return p;
}

struct intake *intake_new(struct event_base *base, const struct intake_options *options,
			  const struct intake_calls *calls, void *arg, struct err *e)
{
	struct intake *in = check_memory(calloc(1, sizeof(*in)));
	struct mqtt_options mqtt = options->mqtt;
	in->name = check_memory(strdup(mqtt.name));
	for (; in->filter_count < INTAKE_FILTERS && options->filters[in->filter_count] != NULL; in->filter_count++)
		in->filters[in->filter_count] = check_memory(strdup(options->filters[in->filter_count]));
	if (options->unwanted != NULL)
		in->unwanted = check_memory(strdup(options->unwanted));
	in->leave = options->leave;
	in->calls = calls;
	in->arg = arg;
	in->backoff = (struct backoff){.first = 0.2, .limit = 10};
	in->retry = check_memory(evtimer_new(base, on_retry, in));
	in->quiet = check_memory(evtimer_new(base, on_quiet, in));
	mqtt.hold_acks = true;
	in->mqtt = mqtt_new(base, &mqtt, on_mqtt, in, e);
	if (in->mqtt == NULL)
		intake_free(&in);
	return in;
}

void intake_free(struct intake **ip)
{
	struct intake *in = *ip;
	if (in == NULL)
		return;
	mqtt_free(&in->mqtt);
	event_free(in->retry);
	event_free(in->quiet);
	for (size_t i = 0; i < in->filter_count; i++)
		free(in->filters[i]);
	free(in->unwanted);
	free(in->name);
	free(in);
	*ip = NULL;
}

void intake_open(struct intake *in)
{
	in->open = true;
	connect_if_useful(in);
}

void intake_close(struct intake *in)
{
	in->open = false;
	let_go(in);
}

void intake_stop(struct intake *in)
{
	if (in->stopping)
		return;
	in->stopping = true;
	stop_when_idle(in);
}
