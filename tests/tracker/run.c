/* SPDX-License-Identifier: Apache-2.0
 *
 * The command `run`: a fleet of plausible trackers, in real time. */
#include "tests/tracker/commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "tests/tracker/fleet.h"
#include "tests/tracker/loop.h"
#include "tests/tracker/options.h"

#define STARTS_A_SECOND 100.0 /* of --start-over's default; a TLS connection costs tracker and broker 7 ms together */
#define QUIET_FROM      9     /* trackers; from here on only errors of single ones are logged */

struct run {
	struct link link;
	const char *serials, *flash, *diary, *trust, *script_file;
	struct command_faults faults;
	int64_t trackers, pack, backlog, window, seed, count, capacity, epoch;
	double interval, backfill, speed, duration, drain, start_over, resend_after, lose;
	bool cbor, json, verbose;
	struct loop *loop;
	struct script *script;
	struct fleet *fleet;
	double began;
};

#define AT(field) offsetof(struct run, field)
static const struct option_item items[] = {
	LINK_ITEMS(struct run),
	{"serials", OPTION_TEXT, AT(serials), NULL, NULL, 0, 0, "FILE|P:N",
	 "serials from a file, or P00001 to PN; else every demo-* in --certs"},
	{"trackers", OPTION_INT, AT(trackers), "0", NULL, 0, 100000, "N", "only the first N of them"},
	{"interval", OPTION_SECONDS, AT(interval), "60", NULL, 0.001, 86400, "S",
	 "time between two samples of a tracker"},
	{"pack", OPTION_INT, AT(pack), "1", NULL, 1, 2048, "N", "samples a message"},
	{"backlog", OPTION_INT, AT(backlog), "60", NULL, 1, 2048, "N",
	 "samples a message of what is in flash at the start"},
	{"backfill", OPTION_SECONDS, AT(backfill), "0", NULL, 0, 34560000, "TIME",
	 "samples since then are in flash at the start"},
	{"speed", OPTION_NUMBER, AT(speed), "1", NULL, 1, 1e6, "N",
	 "they are measured one after the other instead, N times as fast as time passes, until it is now"},
	{"script", OPTION_TEXT, AT(script_file), NULL, NULL, 0, 0, "FILE",
	 "lines SERIAL FROM TO CELSIUS, times in RFC 3339: so warm it is there then, and 5 degrees otherwise"},
	{"count", OPTION_INT, AT(count), "0", NULL, 0, 1e9, "N", "samples a tracker, then wait until stored, then end"},
	{"duration", OPTION_SECONDS, AT(duration), "0", NULL, 0, 3e7, "TIME",
	 "measure so long, then wait until stored, then end"},
	{"drain", OPTION_SECONDS, AT(drain), "60", NULL, 0, 86400, "TIME", "how long to wait until all is stored"},
	{"cbor", OPTION_FLAG, AT(cbor), NULL, NULL, 0, 0, NULL, "SenML in CBOR instead of JSON"},
	{"seed", OPTION_INT, AT(seed), "1", NULL, 0, 0, "N", "another seed, another weather"},
	{"flash", OPTION_TEXT, AT(flash), NULL, NULL, 0, 0, "DIR",
	 "keep each tracker's flash in DIR, so that a restart goes on"},
	{"diary", OPTION_TEXT, AT(diary), NULL, NULL, 0, 0, "DIR",
	 "write down every sample in DIR/SERIAL.samples before it goes to flash"},
	{"capacity", OPTION_INT, AT(capacity), "20000", NULL, 1, 10000000, "N", "samples that a flash holds"},
	{"epoch", OPTION_INT, AT(epoch), "-1", NULL, -2, 32767, "N",
	 "epoch of an empty flash; -1: ask the backend which is unused; -2: count of the controller's starts"},
	{"window", OPTION_INT, AT(window), "16", NULL, 1, 1000, "N", "messages in flight a tracker"},
	{"start-over", OPTION_SECONDS, AT(start_over), NULL, NULL, 0, 86400, "TIME",
	 "connections start spread over this time; else 100 a second"},
	{"resend-after", OPTION_SECONDS, AT(resend_after), "5", NULL, 0.1, 3600, "TIME",
	 "without a receipt a sample is sent again; doubles each time"},
	{"trust", OPTION_TEXT, AT(trust), NULL, "COLDFLEET_TRUST", 0, 0, "FILE",
	 "whose commands are obeyed: a trust list, or a public key in PEM; else nobody's"},
	{"lose", OPTION_NUMBER, AT(lose), "0", NULL, 0, 1, "P",
	 "misbehave: a message with samples is lost after its PUBACK, with this probability"},
	{"deaf", OPTION_FLAG, AT(faults.deaf), NULL, NULL, 0, 0, NULL, "misbehave: take commands and do nothing"},
	{"slow", OPTION_SECONDS, AT(faults.slow), "0", NULL, 0, 86400, "TIME",
	 "misbehave: act so long after accepting"},
	{"slow-operation", OPTION_TEXT, AT(faults.slow_operation), NULL, NULL, 0, 0, "NAME",
	 "be slow with this operation only"},
	{"late-reply", OPTION_SECONDS, AT(faults.late_reply), "0", NULL, 0, 86400, "TIME",
	 "misbehave: tell the outcome so long after the act"},
	{"die-after-persist", OPTION_FLAG, AT(faults.die_after_persist), NULL, NULL, 0, 0, NULL,
	 "misbehave: kill the process between keeping a command's counter and acting"},
	{"drop-replies", OPTION_NUMBER, AT(faults.drop_replies), "0", NULL, 0, 1, "P",
	 "misbehave: never send a reply, with this probability"},
	{"no-clock", OPTION_FLAG, AT(faults.no_clock), NULL, NULL, 0, 0, NULL,
	 "do not know the time: not before and expires of a command are not looked at"},
	{"json", OPTION_FLAG, AT(json), NULL, NULL, 0, 0, NULL, "the summary as one JSON object"},
	{"verbose", OPTION_FLAG, AT(verbose), NULL, NULL, 0, 0, NULL, "log what each tracker does"},
};
#define ITEMS (sizeof(items) / sizeof(items[0]))

static void progress(void *arg)
{
	const struct run *r = arg;
	struct fleet_counts c = fleet_counts(r->fleet);

	fprintf(stderr,
		"run: %.0f s, %zu of %zu trackers connected, samples %zu, stored %zu, in flash %zu, packs %zu, resent "
		"%zu, refused %zu, receipts %zu, commands %zu\n",
		loop_seconds() - r->began, c.up, c.trackers, c.measured, c.devices.stored, c.waiting, c.devices.packs,
		c.devices.resent, c.devices.refused, c.devices.receipts, c.commands.received);
}

static void report(const struct run *r)
{
	struct fleet_counts c = fleet_counts(r->fleet);

	printf(r->json ? "{\"trackers\":%zu,\"samples\":%zu,\"stored\":%zu,\"in_flash\":%zu,\"overwritten\":%zu,"
			 "\"packs\":%zu,"
			 "\"resent\":%zu,\"receipts\":%zu,\"lost\":%zu,\"refused\":%zu,\"connects\":%zu,"
			 "\"disabled\":%zu,\"commands\":{\"received\":%zu,\"accepted\":%zu,\"succeeded\":%zu,"
			 "\"failed\":%zu,\"rejected\":%zu,\"foreign\":%zu,\"repeated\":%zu},\"seconds\":%.3f}\n"
		       : "trackers %zu, samples %zu, stored %zu, still in flash %zu, overwritten %zu, packs %zu, "
			 "resent %zu, "
			 "receipts %zu, reported lost %zu, refused %zu, connects %zu, disabled %zu, commands received "
			 "%zu "
			 "(accepted %zu, succeeded %zu, failed %zu, rejected %zu, foreign %zu, repeated %zu), "
			 "seconds %.1f\n",
	       c.trackers, c.measured, c.devices.stored, c.waiting, c.overwritten, c.devices.packs, c.devices.resent,
	       c.devices.receipts, c.devices.lost, c.devices.refused, c.devices.connects, c.disabled,
	       c.commands.received, c.commands.accepted, c.commands.succeeded, c.commands.failed, c.commands.rejected,
	       c.commands.foreign, c.commands.repeated, loop_seconds() - r->began);
}

static void changed(void *arg)
{
	struct run *r = arg;

	if (fleet_done(r->fleet))
		loop_done(r->loop);
}

static bool run_fleet(struct run *r, struct err *e)
{
	enum loop_end end;

	r->began = loop_seconds();
	fleet_start(r->fleet);
	end = loop_run(r->loop, r->duration);
	if (end == LOOP_DEADLINE) {
		fleet_finish(r->fleet);
		end = fleet_done(r->fleet) ? LOOP_DONE : loop_run(r->loop, r->drain);
	}
	report(r);
	if (end == LOOP_DEADLINE)
		return err_set(e, ERR_OVERLOADED, "%zu samples are not stored after %.0f s",
			       fleet_counts(r->fleet).waiting, r->drain);
	return true;
}

static struct fleet_options fleet_options(const struct run *r, size_t trackers)
{
	return (struct fleet_options){
		.device = {.link = &r->link,
			   .encoding = r->cbor ? ENCODING_CBOR : ENCODING_JSON,
			   .pack = (size_t)r->pack,
			   .backlog = (size_t)(r->backlog > r->pack ? r->backlog : r->pack),
			   .window = (size_t)r->window,
			   .resend_after = r->resend_after,
			   .lose = r->lose,
			   .faults = &r->faults},
		.interval = r->interval,
		.backfill = r->backfill,
		.speed = r->speed,
		.script = r->script,
		.start_over = r->start_over > 0 ? r->start_over : (double)trackers / STARTS_A_SECOND,
		.seed = (uint64_t)r->seed,
		.count = r->count,
		.capacity = (size_t)r->capacity,
		.flash = r->flash,
		.diary = r->diary,
		.trust = r->trust,
		.epoch = (int32_t)r->epoch,
	};
}

bool command_run(int argc, char **argv, struct err *e)
{
	static struct run r;
	struct serials serials = {0};
	bool ok = false;

	if (!options_parse(items, ITEMS, &r, argc, argv, e) ||
	    (r.script_file != NULL && (r.script = script_read(r.script_file, e)) == NULL) ||
	    !serials_choose(&serials, r.serials, r.link.certs, "demo-", r.trackers, e))
		return false;
	log_level_set(r.verbose ? LOG_LEVEL_DEBUG : serials.count < QUIET_FROM ? LOG_LEVEL_WARN : LOG_LEVEL_ERROR);
	mqtt_library_init();
	r.loop = loop_new(progress, &r);
	struct fleet_options o = fleet_options(&r, serials.count);
	r.fleet = fleet_new(loop_base(r.loop), &o, &serials, changed, &r, e);
	ok = r.fleet != NULL && run_fleet(&r, e);
	fleet_free(&r.fleet);
	script_free(&r.script);
	loop_free(&r.loop);
	mqtt_library_cleanup();
	serials_free(&serials);
	return ok;
}

void help_run(void)
{
	options_help(items, ITEMS);
}
