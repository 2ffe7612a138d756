/* SPDX-License-Identifier: Apache-2.0
 *
 * The command `load`: as many telemetry messages as asked for, at a rate or as fast as the broker acknowledges. A
 * message that is refused is sent again, after half a second and more. No flash: what a lost connection had in flight
 * is counted, not repeated. */
#include "tests/tracker/commands.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "broker-bridge/topic.h"
#include "tests/tracker/latency.h"
#include "tests/tracker/link.h"
#include "tests/tracker/loop.h"
#include "tests/tracker/receipt.h"
#include "tests/tracker/serials.h"
#include "tests/tracker/template.h"
#include "tests/tracker/wire.h"

#define TICK_SECONDS  0.005 /* of the token bucket */
#define CONNECT_WAIT  60.0
#define DRAIN_WAIT    30.0
#define FILES_EACH    3
#define FILES_BASE    64
#define STARTS_A_TICK 2
#define REFUSED_PAUSE 0.5  /* seconds, and by chance up to as much again */
#define REFUSED_WAIT  60.0 /* without anything accepted, until that is an error */
#define TOGETHER_MAX  10   /* segments that TCP lets be unacknowledged at first (RFC 6928); more come 40 ms late */
#define COLD          4    /* degrees */
#define WARM          12

struct load {
	struct link link;
	const char *serials, *rate_text, *as;
	int64_t connections, messages, samples, window, together, epoch, receipts_every, warm_every;
	double duration, rate; /* 0: as fast as possible */
	bool cbor, json, receipts, full, gate;
	char as_prefix[TOPIC_SERIAL_MAX];
	int64_t as_count; /* 0: each connection speaks for itself */
	struct loop *loop;
	struct wire_hub *hub;
	struct event *tick;
	struct template *cold, *warm;
	struct client *clients;
	size_t count, started, up, next, in_flight, slots; /* a power of two */
	bool sending;
	double tokens, last_tick, began, ended, cpu_began;
	double refused_since; /* when something was refused first since anything was accepted; 0: nothing was */
	int64_t began_at;     /* microseconds since 1970 */
	int64_t sent, acked, refused, dropped, got_receipts;
	size_t again; /* messages that were refused and are to be sent again */
	struct latency latency;
	struct err lost; /* the last connection */
};

/* What makes a message: the same pack is the same bytes. */
struct pack {
	int64_t number; /* of the connection, from 0 on */
	int64_t ts;     /* microseconds since 1970, of its first sample */
	bool asks;      /* for a receipt */
};

struct slot {
	uint16_t id; /* 0: free */
	int64_t sent;
	struct pack pack;
};

struct client {
	struct load *load;
	struct wire *wire;
	struct template *template;
	char receipt[TOPIC_MAX];
	struct packet_head plain, asking; /* without and with a receipt asked for */
	struct slot *slots;               /* a packet's is its identifier modulo their number */
	struct pack *again;               /* refused, sent before any new one; has room for all in flight */
	size_t again_count;
	double rests_until; /* loop_seconds() */
	bool probing;       /* the last one was refused: one at a time, until one is not */
	uint16_t last_id;
	int64_t in_flight, sent;
	int64_t last_ts;
	bool counted; /* as up */
};

#define AT(field) offsetof(struct load, field)
static const struct option_item items[] = {
	LINK_ITEMS(struct load),
	{"serials", OPTION_TEXT, AT(serials), NULL, NULL, 0, 0, "FILE|P:N",
	 "serials from a file, or P00001 to PN; else every load-* in --certs"},
	{"connections", OPTION_INT, AT(connections), "0", NULL, 0, 100000, "C", "only the first C of them"},
	{"rate", OPTION_TEXT, AT(rate_text), "max", NULL, 0, 0, "R|max", "messages a second, all connections together"},
	{"messages", OPTION_INT, AT(messages), "0", NULL, 0, 1e12, "M", "end after so many"},
	{"duration", OPTION_SECONDS, AT(duration), "0", NULL, 0, 86400, "TIME",
	 "or after so long; 10s when neither is given"},
	{"samples-per-pack", OPTION_INT, AT(samples), "1", NULL, 1, TEMPLATE_SAMPLES_MAX, "N",
	 "temperatures a message"},
	{"window", OPTION_INT, AT(window), "16", NULL, 1, 1000, "N", "messages in flight a connection"},
	{"together", OPTION_INT, AT(together), "4", NULL, 1, TOGETHER_MAX, "N",
	 "at rate max, messages that a connection sends at a time, when as many are acknowledged"},
	{"cbor", OPTION_FLAG, AT(cbor), NULL, NULL, 0, 0, NULL, "SenML in CBOR instead of JSON"},
	{"receipts", OPTION_FLAG, AT(receipts), NULL, NULL, 0, 0, NULL,
	 "ask for a receipt with every message, and count them"},
	{"receipts-every", OPTION_INT, AT(receipts_every), "0", NULL, 0, 1e9, "N",
	 "ask for a receipt with every N-th message, and count them"},
	{"full", OPTION_FLAG, AT(full), NULL, NULL, 0, 0, NULL, "each sample has humidity and battery, too"},
	{"warm-every", OPTION_INT, AT(warm_every), "0", NULL, 0, 1e9, "N",
	 "every N-th connection, the first included, tells 12 degrees and some tenths instead of 4"},
	{"as", OPTION_TEXT, AT(as), NULL, NULL, 0, 0, "P:N",
	 "messages of P1 to PN by turns, a part of them each connection; for a broker that allows it"},
	{"gate", OPTION_FLAG, AT(gate), NULL, NULL, 0, 0, NULL,
	 "when all are connected say so and wait for a line of input"},
	{"epoch", OPTION_INT, AT(epoch), "-1", NULL, -1, EPOCH_MAX, "N",
	 "-1: another one every second, so that each load numbers anew"},
	{"json", OPTION_FLAG, AT(json), NULL, NULL, 0, 0, NULL, "the summary as one JSON object"},
};
#define ITEMS (sizeof(items) / sizeof(items[0]))

static int64_t clock_us(clockid_t id)
{
	struct timespec now;

	clock_gettime(id, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static bool may_send(const struct load *l)
{
	return l->sending && (l->messages == 0 || l->sent < l->messages) && (l->rate == 0 || l->tokens >= 1);
}

static bool asks_receipt(const struct load *l)
{
	return l->receipts_every > 0 && l->sent % l->receipts_every == 0;
}

/* The identifiers of a connection go round from 1 to 65535. */
static uint16_t next_id(const struct client *c)
{
	return c->last_id == UINT16_MAX ? 1 : (uint16_t)(c->last_id + 1);
}

static struct slot *slot_of(const struct client *c, uint16_t id)
{
	return &c->slots[id & (c->load->slots - 1)];
}

static int64_t window_of(const struct client *c)
{
	int64_t most = wire_receive_maximum(c->wire);

	return c->load->window < most ? c->load->window : most;
}

/* As fast as possible, and for little of the processor that broker and back end share. At most half of the window: with
 * a receipt fewer acknowledgements may have been read, and so many must still be to come. */
static int64_t together(const struct client *c)
{
	const struct load *l = c->load;
	int64_t half = window_of(c) / 2, count = l->together < half ? l->together : half;

	if (c->probing || c->again_count > 0)
		return 1;
	return l->sending && l->rate == 0 && (l->messages == 0 || l->sent < l->messages) && count > 1 ? count : 1;
}

static void read_together(struct client *c)
{
	wire_read_at(c->wire, (int)together(c));
}

static void all_read_together(struct load *l)
{
	for (size_t i = 0; i < l->count; i++)
		read_together(&l->clients[i]);
}

static bool client_may_send(const struct client *c)
{
	if (c->probing && (c->in_flight > 0 || loop_seconds() < c->rests_until))
		return false;
	return wire_writable(c->wire) && c->in_flight < window_of(c) && slot_of(c, next_id(c))->id == 0 &&
	       (c->again_count > 0 || may_send(c->load));
}

static void set_up_head(const struct client *c, struct packet_head *head, const char *serial, bool asks)
{
	const char *type = encoding_content_type(c->load->cbor ? ENCODING_CBOR : ENCODING_JSON);
	char topic[TOPIC_MAX], receipt[TOPIC_MAX];
	size_t len;

	topic_format(topic, serial, strlen(serial), TOPIC_TELEMETRY);
	topic_format(receipt, serial, strlen(serial), TOPIC_RECEIPT);
	template_bytes(c->template, &len);
	packet_head(head, topic, type, asks ? receipt : NULL, len);
}

/* One of the devices that this connection speaks for, by turns: those whose number, by the count of connections, leaves
 * its own as the remainder. A device's numbers have no gaps. Returns which of that device's messages it is. */
static int64_t speak_for(const struct client *c, struct packet_head *head, const struct pack *pack)
{
	const struct load *l = c->load;
	int64_t own = c - l->clients, count = (int64_t)l->count, each = (l->as_count - own + count - 1) / count;
	char serial[TOPIC_SERIAL_MAX + 24];

	snprintf(serial, sizeof(serial), "%s%" PRId64, l->as_prefix, own + pack->number % each * count + 1);
	set_up_head(c, head, serial, pack->asks);
	return pack->number / each;
}

static struct pack next_pack(const struct client *c)
{
	if (c->again_count > 0)
		return c->again[0];
	int64_t ts = clock_us(CLOCK_REALTIME);
	if (ts <= c->last_ts)
		ts = c->last_ts + TEMPLATE_STEP_US;
	return (struct pack){.number = c->sent, .ts = ts, .asks = asks_receipt(c->load)};
}

static void count_sent(struct client *c, const struct pack *pack)
{
	struct load *l = c->load;

	if (c->again_count > 0) {
		memmove(c->again, c->again + 1, --c->again_count * sizeof(*c->again));
		l->again--;
		return;
	}
	c->last_ts = pack->ts + (l->samples - 1) * TEMPLATE_STEP_US;
	c->sent++;
	l->tokens -= 1;
	if (++l->sent == l->messages)
		all_read_together(l);
}

static bool client_send(struct client *c)
{
	struct load *l = c->load;
	size_t len;

	if (!client_may_send(c))
		return false;
	struct pack pack = next_pack(c);
	struct packet_head *head = pack.asks ? &c->asking : &c->plain;
	int64_t place = l->as_count > 0 ? speak_for(c, head, &pack) : pack.number;
	template_patch(c->template, (int32_t)(place * l->samples), pack.ts);
	const uint8_t *payload = template_bytes(c->template, &len);
	uint16_t id = next_id(c);
	packet_head_number(head, id);
	if (!wire_publish(c->wire, head, payload, len))
		return false;
	*slot_of(c, id) = (struct slot){.id = id, .sent = clock_us(CLOCK_MONOTONIC), .pack = pack};
	c->last_id = id;
	c->in_flight++;
	l->in_flight++;
	count_sent(c, &pack);
	return true;
}

/* Round robin, one message a client and turn, until nobody can or may send. */
static void send_all(struct load *l)
{
	size_t idle = 0;

	while (idle < l->count && may_send(l)) {
		idle = client_send(&l->clients[l->next]) ? 0 : idle + 1;
		l->next = (l->next + 1) % l->count;
	}
}

static bool over(const struct load *l)
{
	return l->sending && l->messages > 0 && l->sent >= l->messages && l->in_flight == 0 && l->again == 0;
}

static void send_more(struct client *c)
{
	if (!wire_writable(c->wire) || c->in_flight > window_of(c) - together(c))
		return;
	wire_hold(c->wire);
	while (client_send(c))
		;
	wire_release(c->wire);
}

static void send_again(struct load *l)
{
	for (size_t i = 0; i < l->count && l->refused > 0; i++) {
		struct client *c = &l->clients[i];
		if (c->probing || c->again_count > 0)
			send_more(c);
	}
	if (l->refused_since > 0 && loop_seconds() > l->refused_since + REFUSED_WAIT)
		loop_done(l->loop);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct load *l = arg;
	double now = loop_seconds();

	(void)fd;
	(void)what;
	for (int i = 0; i < STARTS_A_TICK && l->started < l->count; i++)
		wire_start(l->clients[l->started++].wire);
	send_again(l);
	if (l->sending && l->rate > 0) {
		l->tokens += (now - l->last_tick) * l->rate;
		if (l->tokens > l->rate)
			l->tokens = l->rate;
		send_all(l);
	}
	l->last_tick = now;
}

static void end_when_over(const struct load *l)
{
	if (over(l) || (!l->sending && l->in_flight == 0 && l->again == 0))
		loop_done(l->loop);
}

static void came_up(struct client *c)
{
	struct load *l = c->load;

	c->last_id = 1;
	if (l->receipts_every > 0)
		wire_subscribe(c->wire, c->last_id, c->receipt);
	if (!c->counted)
		l->up++;
	c->counted = true;
	read_together(c);
	send_more(c);
	if (l->up == l->count && l->began == 0)
		loop_done(l->loop);
}

static void refused(struct client *c, const struct pack *pack)
{
	struct load *l = c->load;

	c->again[c->again_count++] = *pack;
	l->again++;
	l->refused++;
	if (l->refused_since == 0)
		l->refused_since = loop_seconds();
	c->probing = true;
	c->rests_until = loop_seconds() + REFUSED_PAUSE * (1 + (double)random() / (double)RAND_MAX);
}

static void accepted(struct client *c)
{
	struct load *l = c->load;

	if (c->probing && c->in_flight == 0 && loop_seconds() >= c->rests_until)
		c->probing = false; /* that was the one that tried */
	l->acked++;
	l->refused_since = 0;
}

static void acknowledged(struct client *c, uint16_t id, int reason)
{
	struct load *l = c->load;
	struct slot *slot = slot_of(c, id);

	if (slot->id != id)
		return;
	latency_add(&l->latency, clock_us(CLOCK_MONOTONIC) - slot->sent);
	slot->id = 0;
	c->in_flight--;
	l->in_flight--;
	int64_t were = together(c);
	if (reason >= 0x80)
		refused(c, &slot->pack);
	else
		accepted(c);
	send_more(c);
	if (together(c) != were)
		read_together(c);
	end_when_over(l);
}

static void went_down(struct client *c, const char *why)
{
	struct load *l = c->load;

	err_set(&l->lost, ERR_BROKER_LOST, "%s", why);
	l->up -= c->counted;
	c->counted = false;
	l->dropped += c->in_flight;
	l->in_flight -= (size_t)c->in_flight;
	if (c->in_flight > 0)
		end_when_over(l);
	c->in_flight = 0;
	memset(c->slots, 0, l->slots * sizeof(*c->slots));
}

static void on_wire(const struct wire_event *event, void *arg)
{
	struct client *c = arg;

	switch (event->type) {
	case WIRE_UP:
		came_up(c);
		break;
	case WIRE_WRITABLE: /* what is in flight may be less than acknowledgements are read at */
		send_more(c);
		break;
	case WIRE_ACKED:
		acknowledged(c, event->id, event->reason);
		break;
	case WIRE_RECEIVED:
		c->load->got_receipts++;
		break;
	case WIRE_LOST:
		went_down(c, event->why);
		break;
	}
}

static void progress(void *arg)
{
	const struct load *l = arg;
	double seconds = loop_seconds() - l->began;

	if (!l->sending)
		fprintf(stderr, "load: %zu of %zu connected\n", l->up, l->count);
	else
		fprintf(stderr,
			"load: %.0f s, %zu connected, sent %" PRId64 ", acknowledged %" PRId64
			" (%.0f/s), p50 %.2f ms, p99 %.2f ms\n",
			seconds, l->up, l->sent, l->acked, (double)l->acked / seconds, latency_at(&l->latency, 0.5),
			latency_at(&l->latency, 0.99));
}

static void report(const struct load *l)
{
	double seconds = l->ended - l->began, rate = (double)l->acked / seconds;
	double cpu = loop_cpu_seconds() - l->cpu_began;
	size_t bytes;

	template_bytes(l->cold, &bytes);
	printf(l->json ? "{\"connections\":%zu,\"messages\":%" PRId64 ",\"acked\":%" PRId64 ",\"refused\":%" PRId64
			 ",\"dropped\":%" PRId64 ",\"receipts\":%" PRId64 ",\"samples_per_pack\":%" PRId64
			 ",\"payload_bytes\":%zu,\"seconds\":%.3f,\"messages_per_second\":%.1f,"
			 "\"samples_per_second\":%.1f,\"began\":%.6f,\"cpu_seconds\":%.3f,\"puback_ms\":{\"p50\":%.3f,"
			 "\"p90\":%.3f,\"p99\":%.3f,\"p999\":%."
			 "3f,\"max\":%.3f}}\n"
		       : "connections %zu, messages %" PRId64 ", acknowledged %" PRId64 ", refused %" PRId64
			 ", dropped with a connection %" PRId64 ", receipts %" PRId64 ", %" PRId64
			 " samples in %zu bytes each, seconds %.3f, messages/s %.1f, "
			 "samples/s %.1f, began at %.6f, processor seconds %.3f, PUBACK ms p50 %.3f p90 %.3f p99 %.3f "
			 "p99.9 %.3f max %.3f\n",
	       l->count, l->sent, l->acked, l->refused, l->dropped, l->got_receipts, l->samples, bytes, seconds, rate,
	       rate * (double)l->samples, (double)l->began_at / 1e6, cpu, latency_at(&l->latency, 0.5),
	       latency_at(&l->latency, 0.9), latency_at(&l->latency, 0.99), latency_at(&l->latency, 0.999),
	       (double)l->latency.max / 1e3);
}

static bool add_clients(struct load *l, const struct serials *serials, struct err *e)
{
	if (l->as_count > 0 && l->as_count < (int64_t)serials->count)
		return err_set(e, ERR_INVALID, "--as: expected a device or more for each of %zu connections",
			       serials->count);
	l->hub = wire_hub_new(&l->link, loop_base(l->loop), e);
	if (l->hub == NULL)
		return false;
	for (l->slots = 1; l->slots < (size_t)l->window;)
		l->slots *= 2;
	l->clients = calloc(serials->count, sizeof(*l->clients));
	if (l->clients == NULL)
		abort();
	for (size_t i = 0; i < serials->count; i++) {
		struct client *c = &l->clients[i];
		const char *serial = serials->names[i];
		c->load = l;
		c->template = l->warm_every > 0 && i % (size_t)l->warm_every == 0 ? l->warm : l->cold;
		topic_format(c->receipt, serial, strlen(serial), TOPIC_RECEIPT);
		set_up_head(c, &c->plain, serial, false);
		set_up_head(c, &c->asking, serial, true);
		c->slots = calloc(l->slots, sizeof(*c->slots));
		c->again = calloc(l->slots, sizeof(*c->again));
		if (c->slots == NULL || c->again == NULL)
			abort();
		c->wire = wire_new(l->hub, serial, on_wire, c, e);
		l->count++;
		if (c->wire == NULL)
			return false;
	}
	return true;
}

/* Whoever measures looks at the clocks between the connections and the first message. */
static bool pass_gate(struct err *e)
{
	char line[16];

	printf("connected\n");
	fflush(stdout);
	return fgets(line, sizeof(line), stdin) != NULL || err_set(e, ERR_INVALID, "--gate: expected a line of input");
}

static bool run_load(struct load *l, struct err *e)
{
	event_add(l->tick, &(struct timeval){.tv_usec = (suseconds_t)(TICK_SECONDS * 1e6)});
	if (loop_run(l->loop, CONNECT_WAIT) != LOOP_DONE)
		return err_set(e, ERR_BROKER_LOST, "%zu of %zu connected to %s:%" PRId64 "%s%s", l->up, l->count,
			       l->link.host, l->link.port, l->lost.detail[0] != '\0' ? ": " : "", l->lost.detail);
	if (l->gate && !pass_gate(e))
		return false;
	l->cpu_began = loop_cpu_seconds();
	l->began_at = clock_us(CLOCK_REALTIME);
	l->began = l->last_tick = loop_seconds();
	l->sending = true;
	all_read_together(l);
	send_all(l);
	if (loop_run(l->loop, l->duration) != LOOP_DONE) {
		l->sending = false;
		all_read_together(l);
		if (l->in_flight > 0 || l->again > 0)
			loop_run(l->loop, DRAIN_WAIT);
	}
	l->ended = loop_seconds();
	report(l);
	if (l->acked == l->sent)
		return true;
	return err_set(e, ERR_OVERLOADED,
		       "%" PRId64 " of %" PRId64 " messages were accepted, %" PRId64 " times one was refused%s%s",
		       l->acked, l->sent, l->refused, l->lost.detail[0] != '\0' ? "; a connection was lost: " : "",
		       l->lost.detail);
}

/* P:N; the longest serial is P with the digits of N. */
static bool settle_as(struct load *l, struct err *e)
{
	const char *colon = strrchr(l->as, ':');
	size_t len = colon != NULL ? (size_t)(colon - l->as) : 0;
	char *end = NULL;

	l->as_count = colon != NULL ? strtoll(colon + 1, &end, 10) : 0;
	if (l->as_count < 1 || l->as_count > 100000000 || *end != '\0' || !topic_serial_valid(l->as, len) ||
	    len + strlen(colon + 1) > TOPIC_SERIAL_MAX)
		return err_set(e, ERR_INVALID,
			       "--as: expected a prefix of serials and how many, such as t-:1000, got '%s'", l->as);
	memcpy(l->as_prefix, l->as, len);
	return true;
}

static bool settle(struct load *l, struct err *e)
{
	char *end;

	l->rate = strcmp(l->rate_text, "max") == 0 ? 0 : strtod(l->rate_text, &end);
	if (strcmp(l->rate_text, "max") != 0 && (*end != '\0' || !(l->rate > 0 && l->rate <= 1e7)))
		return err_set(e, ERR_INVALID, "--rate: expected messages a second or max, got '%s'", l->rate_text);
	if (l->messages == 0 && l->duration == 0)
		l->duration = 10;
	if (l->receipts)
		l->receipts_every = 1;
	if (l->epoch < 0)
		l->epoch = 1 + time(NULL) % EPOCH_MAX;
	return l->as == NULL || settle_as(l, e);
}

static void clean_up(struct load *l)
{
	for (size_t i = 0; i < l->count; i++) {
		wire_free(&l->clients[i].wire);
		free(l->clients[i].slots);
		free(l->clients[i].again);
	}
	free(l->clients);
	wire_hub_free(&l->hub);
	template_free(&l->cold);
	template_free(&l->warm);
	event_free(l->tick);
	loop_free(&l->loop);
}

static struct template *new_template(const struct load *l, int degrees)
{
	return template_new(l->cbor ? ENCODING_CBOR : ENCODING_JSON, (int32_t)l->epoch, (size_t)l->samples, l->full,
			    degrees);
}

bool command_load(int argc, char **argv, struct err *e)
{
	static struct load l;
	struct serials serials = {0};
	bool ok = false;

	if (!options_parse(items, ITEMS, &l, argc, argv, e) || !settle(&l, e) ||
	    !serials_choose(&serials, l.serials, l.link.certs, "load-", l.connections, e))
		return false;
	l.loop = loop_new(progress, &l);
	l.tick = event_new(loop_base(l.loop), -1, EV_PERSIST, on_tick, &l);
	l.cold = new_template(&l, COLD);
	l.warm = new_template(&l, WARM);
	ok = link_files(serials.count * FILES_EACH + FILES_BASE, e) && add_clients(&l, &serials, e) && run_load(&l, e);
	clean_up(&l);
	serials_free(&serials);
	return ok;
}

void help_load(void)
{
	options_help(items, ITEMS);
}
