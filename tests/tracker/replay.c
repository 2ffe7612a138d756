/* SPDX-License-Identifier: Apache-2.0
 *
 * The command `replay`: a recorded series becomes the flash of one tracker, which sends it in any order and with any
 * repetition, and is done when every sample is covered by a receipt.
 *
 * Sample i has number i, in an epoch that is a fingerprint of the shifted series: the same series again is the same
 * samples again and makes no second row; another series is another epoch and is never taken for stored. */
#include "tests/tracker/commands.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/log.h"
#include "tests/tracker/csv.h"
#include "tests/tracker/device.h"
#include "tests/tracker/epoch.h"
#include "tests/tracker/loop.h"
#include "tests/tracker/options.h"

#define PAST_LIMIT   (INT64_C(400) * 86400 * 1000000) /* older or later times are quarantined, docs/protocol.md */
#define FUTURE_LIMIT (INT64_C(600) * 1000000)

struct replay {
	struct link link;
	const char *serial, *csv, *order, *shift;
	int64_t pack, epoch, first_seq, seed, window;
	double duplicate, timeout, resend_after;
	bool cbor, json, verbose;
	struct series series;
	int64_t days;
	struct range *plan; /* packs in the order of sending */
	bool *again;        /* is a repetition */
	size_t plan_count, packs;
	uint64_t random;
	struct loop *loop;
	struct device *device;
	double began;
};

#define AT(field) offsetof(struct replay, field)
static const struct option_item items[] = {
	LINK_ITEMS(struct replay),
	{"serial", OPTION_TEXT, AT(serial), NULL, NULL, 0, 0, "S", "the tracker"},
	{"csv", OPTION_TEXT, AT(csv), NULL, NULL, 0, 0, "FILE",
	 "columns ts, temperature_c and optionally probe, by header; times in UTC or with a zone"},
	{"pack", OPTION_INT, AT(pack), "12", NULL, 1, 2048, "N", "samples a message"},
	{"order", OPTION_TEXT, AT(order), "in", NULL, 0, 0, "ORDER", "of the messages: in, reverse or shuffle"},
	{"duplicate", OPTION_NUMBER, AT(duplicate), "0", NULL, 0, 1, "P",
	 "probability that a message is sent again, later"},
	{"cbor", OPTION_FLAG, AT(cbor), NULL, NULL, 0, 0, NULL, "SenML in CBOR instead of JSON"},
	{"shift-days", OPTION_TEXT, AT(shift), "0", NULL, 0, 0, "N|auto",
	 "whole days added to all times; auto: the last sample lies within the last day"},
	{"epoch", OPTION_INT, AT(epoch), "-1", NULL, -1, 32767, "N", "-1: a fingerprint of the series"},
	{"first-seq", OPTION_INT, AT(first_seq), "0", NULL, 0, 2000000000, "N", "number of the first sample"},
	{"seed", OPTION_INT, AT(seed), "1", NULL, 0, 0, "N", "of shuffle and duplicate"},
	{"window", OPTION_INT, AT(window), "16", NULL, 1, 1000, "N", "messages in flight"},
	{"resend-after", OPTION_SECONDS, AT(resend_after), "5", NULL, 0.1, 3600, "TIME",
	 "without a receipt a sample is sent again; doubles each time"},
	{"timeout", OPTION_SECONDS, AT(timeout), "120", NULL, 0.1, 86400, "TIME", "until all must be stored"},
	{"json", OPTION_FLAG, AT(json), NULL, NULL, 0, 0, NULL, "the summary as one JSON object"},
	{"verbose", OPTION_FLAG, AT(verbose), NULL, NULL, 0, 0, NULL, "log what the tracker does"},
};
#define ITEMS (sizeof(items) / sizeof(items[0]))

static int64_t now_us(void)
{
	return (int64_t)time(NULL) * 1000000;
}

/* splitmix64 */
static uint64_t random_next(struct replay *r)
{
	uint64_t x = r->random += 0x9e3779b97f4a7c15u;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static bool chance(struct replay *r, double p)
{
	return (double)(random_next(r) >> 11) * 0x1p-53 < p;
}

static void *must(void *memory)
{
	if (memory == NULL)
		abort();
	return memory;
}

static bool shift(struct replay *r, struct err *e)
{
	int64_t now = now_us();
	char *end;

	if (strcmp(r->shift, "auto") == 0)
		r->days = series_shift_auto(&r->series, now);
	else
		r->days = strtoll(r->shift, &end, 10);
	if (strcmp(r->shift, "auto") != 0 && (*r->shift == '\0' || *end != '\0' || llabs(r->days) > 100000))
		return err_set(e, ERR_INVALID, "--shift-days: expected a whole number of days or auto, got '%s'",
			       r->shift);
	series_shift(&r->series, r->days);
	int64_t first = r->series.samples[0]->ts, last = r->series.samples[r->series.count - 1]->ts;
	if (first < now - PAST_LIMIT || last > now + FUTURE_LIMIT)
		fprintf(stderr,
			"replay: samples older than 400 days or in the future will be quarantined as clock errors; "
			"--shift-days auto makes the series recent\n");
	return true;
}

/* The packs in order, then in the order asked for, then the repetitions: each somewhere behind its original. */
static void plan_packs(struct replay *r)
{
	int32_t first = (int32_t)r->first_seq, next = first + (int32_t)r->series.count;

	r->plan = must(calloc(2 * r->series.count, sizeof(*r->plan)));
	r->again = must(calloc(2 * r->series.count, sizeof(*r->again)));
	for (int64_t seq = first; seq < next; seq += r->pack)
		r->plan[r->packs++] =
			(struct range){(int32_t)seq, (int32_t)(seq + r->pack < next ? seq + r->pack : next) - 1};
	r->plan_count = r->packs;
	for (size_t i = 0; i < r->packs; i++) {
		size_t other = i;
		if (strcmp(r->order, "reverse") == 0)
			other = i < r->packs / 2 ? r->packs - 1 - i : i;
		else if (strcmp(r->order, "shuffle") == 0)
			other = i + random_next(r) % (r->packs - i);
		struct range swap = r->plan[i];
		r->plan[i] = r->plan[other];
		r->plan[other] = swap;
	}
}

static void plan_duplicates(struct replay *r)
{
	for (size_t i = 0; i < r->plan_count; i++) {
		if (r->again[i] || !chance(r, r->duplicate))
			continue;
		size_t at = i + 1 + random_next(r) % (r->plan_count - i);
		memmove(r->plan + at + 1, r->plan + at, (r->plan_count - at) * sizeof(*r->plan));
		memmove(r->again + at + 1, r->again + at, (r->plan_count - at) * sizeof(*r->again));
		r->plan[at] = r->plan[i];
		r->again[at] = true;
		r->plan_count++;
	}
}

static void progress(void *arg)
{
	const struct replay *r = arg;
	const struct device_counts *c = device_counts(r->device);

	fprintf(stderr,
		"replay: %.0f s, %s, packs sent %zu of %zu, acknowledged %zu, samples stored %zu of %zu, resent %zu, "
		"receipts %zu\n",
		loop_seconds() - r->began, device_up(r->device) ? "connected" : "not connected", c->packs,
		r->plan_count + c->resent, c->acked, c->stored, r->series.count, c->resent, c->receipts);
}

static void report(const struct replay *r)
{
	const struct device_counts *c = device_counts(r->device);

	printf(r->json ? "{\"serial\":\"%s\",\"epoch\":%" PRId32
			 ",\"samples\":%zu,\"rows\":%zu,\"stored\":%zu,\"packs\":%zu,"
			 "\"duplicates\":%zu,\"resent\":%zu,\"receipts\":%zu,\"seconds\":%.3f,\"shift_days\":%" PRId64
			 "}\n"
		       : "%s: epoch %" PRId32
			 ", samples %zu from %zu rows, stored %zu, packs %zu, duplicates %zu, resent %zu, "
			 "receipts %zu, seconds %.1f, shifted by %" PRId64 " days\n",
	       r->serial, flash_epoch(device_flash(r->device)), r->series.count, r->series.rows, c->stored, c->packs,
	       c->duplicates, c->resent, c->receipts, loop_seconds() - r->began, r->days);
}

static void on_device(struct device *d, enum device_event event, void *arg)
{
	struct replay *r = arg;

	(void)event;
	if (device_done(d))
		loop_done(r->loop);
}

static bool not_stored(const struct replay *r, double seconds, struct err *e)
{
	const struct device_counts *c = device_counts(r->device);
	const struct flash *f = device_flash(r->device);

	if (c->connects == 0)
		return err_set(e, ERR_BROKER_LOST, "%s: no connection to %s:%" PRId64 " within %.0f s", r->serial,
			       r->link.host, r->link.port, seconds);
	return err_set(e, ERR_OVERLOADED,
		       "%s: %zu of %zu samples have no receipt after %.0f s (first: number %" PRId32
		       " of epoch %" PRId32
		       "); %zu packs sent, %zu acknowledged by the broker, %zu refused, %zu receipts",
		       r->serial, flash_used(f), r->series.count, seconds, flash_first(f), flash_epoch(f), c->packs,
		       c->acked, c->refused, c->receipts);
}

static bool run_device(struct replay *r, struct err *e)
{
	enum loop_end end;

	r->began = loop_seconds();
	for (size_t i = 0; i < r->plan_count; i++)
		device_send(r->device, r->plan[i], r->again[i] ? JOB_DUPLICATE : JOB_NEW);
	device_start(r->device);
	end = loop_run(r->loop, r->timeout);
	report(r);
	return end == LOOP_DONE || not_stored(r, loop_seconds() - r->began, e);
}

/* Stored samples stay readable, for the repetitions. */
static struct flash *fill_flash(const struct replay *r)
{
	struct flash *f = flash_new(r->series.count, true);

	flash_start_at(f, (int32_t)r->first_seq);
	for (size_t i = 0; i < r->series.count; i++)
		flash_append(f, r->series.samples[i]->ts, r->series.samples[i]->measures, r->series.samples[i]->count);
	flash_set_epoch(f, r->epoch >= 0 ? (int32_t)r->epoch : epoch_of_series(series_fingerprint(&r->series)));
	return f;
}

static bool replay(struct replay *r, struct err *e)
{
	struct device_options o = {.serial = r->serial,
				   .link = &r->link,
				   .encoding = r->cbor ? ENCODING_CBOR : ENCODING_JSON,
				   .pack = (size_t)r->pack,
				   .backlog = (size_t)r->pack,
				   .window = (size_t)r->window,
				   .resend_after = r->resend_after};

	r->random = (uint64_t)r->seed;
	plan_packs(r);
	plan_duplicates(r);
	r->loop = loop_new(progress, r);
	r->device = device_new(loop_base(r->loop), &o, fill_flash(r), on_device, r, e);
	return r->device != NULL && run_device(r, e);
}

static bool check(const struct replay *r, struct err *e)
{
	if (r->serial == NULL || r->csv == NULL)
		return err_set(e, ERR_INVALID, "expected --serial S and --csv FILE");
	if (strcmp(r->order, "in") != 0 && strcmp(r->order, "reverse") != 0 && strcmp(r->order, "shuffle") != 0)
		return err_set(e, ERR_INVALID, "--order: expected in, reverse or shuffle, got '%s'", r->order);
	return true;
}

bool command_replay(int argc, char **argv, struct err *e)
{
	static struct replay r;
	bool ok = options_parse(items, ITEMS, &r, argc, argv, e) && check(&r, e) && csv_read(r.csv, &r.series, e) &&
		  shift(&r, e);

	if (!ok)
		return false;
	log_level_set(r.verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARN);
	mqtt_library_init();
	ok = replay(&r, e);
	device_free(&r.device);
	loop_free(&r.loop);
	mqtt_library_cleanup();
	series_free(&r.series);
	free(r.plan);
	free(r.again);
	return ok;
}

void help_replay(void)
{
	options_help(items, ITEMS);
}
