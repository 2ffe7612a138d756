/* SPDX-License-Identifier: Apache-2.0
 *
 * What the reference tracker does with commands: each is carried out at most once, whatever is repeated, lost, late or
 * killed in between, and its reply says the truth about it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/ec.h>
#include <openssl/pem.h>

#include "core/base64url.h"
#include "core/cbor_json.h"
#include "core/log.h"
#include "tests/tracker/command.h"

#define SERIAL   "T-1"
#define SENT_MAX 256
#define PATIENCE 10.0 /* seconds */

static struct cose_key *key, *other_key;
static char folder[64], base_path[96], trust_path[96];

/* A tracker without its connection. */
static struct {
	struct event_base *base;
	struct mcu *mcu;
	struct commander *commander;
	struct command_faults faults;
	bool connected;
	int mid; /* of the last reply */
	struct command_reply sent[SENT_MAX];
	uint8_t results[SENT_MAX][MCU_RESULT_MAX];
	size_t count;
	size_t changes, reboots, reports, resends;
} rig;

static bool on_publish(const uint8_t *bytes, size_t len, int *mid, void *arg)
{
	struct command_reply *r = &rig.sent[rig.count];
	struct err e = {0};
	(void)arg;
	if (!rig.connected)
		return false;
	if (!command_reply_decode(bytes, len, r, &e))
		fail_msg("%s", e.detail);
	if (r->result.len > 0)
		memcpy(rig.results[rig.count], r->result.at, r->result.len);
	r->result.at = rig.results[rig.count];
	assert_in_range(rig.count, 0, SENT_MAX - 2);
	rig.count++;
	*mid = ++rig.mid;
	return true;
}

static bool on_locate(double *latitude, double *longitude, void *arg)
{
	(void)arg;
	*latitude = 52.5;
	*longitude = 13.25;
	return true;
}

static bool on_report(void *arg)
{
	(void)arg;
	rig.reports++;
	return true;
}

static bool on_resend(int64_t epoch, int64_t first, int64_t last, size_t *sent, void *arg)
{
	(void)arg;
	rig.resends++;
	*sent = (size_t)(last - first) + 1;
	return epoch < 0;
}

static void on_changed(void *arg)
{
	(void)arg;
	rig.changes++;
}

static void on_reboot(void *arg)
{
	(void)arg;
	rig.reboots++;
}

static const struct command_hooks hooks = {on_publish, on_locate, on_report, on_resend, on_changed, on_reboot};

static void power_on(void)
{
	struct err e = {0};
	rig.base = event_base_new();
	rig.mcu = mcu_open(base_path, trust_path, &e);
	if (rig.mcu == NULL)
		fail_msg("%s", e.detail);
	rig.commander = commander_new(rig.base, SERIAL, rig.mcu, &rig.faults, &hooks, NULL);
	/* Whoever owns it is not whole yet: a report carried out now once killed a fleet, again at every start. */
	commander_resume(rig.commander);
	rig.connected = true;
	commander_up(rig.commander);
}

/* The connection goes with it: what was not acknowledged by then never is. */
static void power_off(void)
{
	rig.connected = false;
	commander_free(&rig.commander);
	mcu_free(&rig.mcu);
	event_base_free(rig.base);
}

static int start(void **state)
{
	(void)state;
	memset(&rig, 0, sizeof(rig));
	snprintf(folder, sizeof(folder), "/tmp/tracker-command-XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(base_path, sizeof(base_path), "%s/" SERIAL, folder);
	power_on();
	return 0;
}

static int end(void **state)
{
	char command[128];
	(void)state;
	power_off();
	snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	return system(command);
}

static struct cose_key *new_key(const char *path)
{
	EVP_PKEY *pkey = EVP_EC_gen("P-256");
	struct cose_key *k = cose_key_from_evp(pkey, NULL);
	if (path != NULL) {
		FILE *f = fopen(path, "w");
		assert_int_equal(PEM_write_PUBKEY(f, pkey), 1);
		fclose(f);
	}
	EVP_PKEY_free(pkey);
	return k;
}

static int make_keys(void **state)
{
	(void)state;
	log_level_set(LOG_LEVEL_ERROR);
	snprintf(trust_path, sizeof(trust_path), "/tmp/tracker-trust-%d.pem", (int)getpid());
	key = new_key(trust_path);
	other_key = new_key(NULL);
	return 0;
}

static int free_keys(void **state)
{
	(void)state;
	cose_key_free(&key);
	cose_key_free(&other_key);
	return unlink(trust_path);
}

/* ---- commands for it ---- */

struct command {
	uint8_t bytes[COMMAND_BYTES_MAX];
	size_t len;
	uint8_t id[COMMAND_ID_BYTES];
};

struct wish {
	const char *operation, *arguments; /* JSON; NULL: {} */
	int64_t counter, epoch;
	int64_t from, to; /* seconds from now; both 0: from now for an hour */
	const struct cose_key *key;
};

static void make(struct command *c, struct wish w)
{
	static const uint8_t approval[COMMAND_APPROVAL_BYTES] = {1};
	static uint8_t next_id;
	uint8_t map[COMMAND_ARGUMENTS_MAX];
	int64_t now = (int64_t)time(NULL);
	struct command_message m = {.version = COMMAND_VERSION,
				    .id = {7, ++next_id},
				    .issuer = "admin",
				    .audience = SERIAL,
				    .epoch = w.epoch,
				    .counter = w.counter,
				    .issued_at = now - 7200,
				    .not_before = now + w.from,
				    .expires_at = now + (w.from == 0 && w.to == 0 ? 3600 : w.to)};
	struct err e = {0};
	json_t *arguments = json_loads(w.arguments != NULL ? w.arguments : "{}", 0, NULL);
	m.operation = command_operation((struct cbor_view){(const uint8_t *)w.operation, strlen(w.operation)});
	m.class = m.operation->class;
	if (m.class >= COMMAND_STATE)
		m.approval = (struct cbor_view){approval, sizeof(approval)};
	m.arguments.at = map;
	if (!command_arguments_from_json(m.operation, arguments, map, sizeof(map), &m.arguments.len, &e) ||
	    !command_sign(w.key != NULL ? w.key : key, &m, c->bytes, sizeof(c->bytes), &c->len, &e))
		fail_msg("%s", e.detail);
	memcpy(c->id, m.id, sizeof(c->id));
	json_decref(arguments);
}

static void hand_over(const struct command *c, uint32_t generation)
{
	uint8_t correlation[COMMAND_GENERATION];
	command_generation_put(generation, correlation);
	commander_take(rig.commander, c->bytes, c->len, correlation, sizeof(correlation));
}

/* Turns the loop until so many replies were sent. */
static void wait_sent(size_t count)
{
	struct timespec began, now;
	clock_gettime(CLOCK_MONOTONIC, &began);
	while (rig.count < count) {
		event_base_loop(rig.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		clock_gettime(CLOCK_MONOTONIC, &now);
		if ((double)(now.tv_sec - began.tv_sec) > PATIENCE)
			fail_msg("%zu replies, expected %zu", rig.count, count);
	}
}

static void assert_sent(size_t at, const struct command *c, int64_t status, int64_t generation)
{
	assert_in_range(at, 0, rig.count - 1);
	const struct command_reply *r = &rig.sent[at];
	assert_memory_equal(r->id, c->id, COMMAND_ID_BYTES);
	if (r->status != status)
		fail_msg("%s (%s), expected %s", command_status_name(r->status), r->reason,
			 command_status_name(status));
	assert_int_equal(r->generation, generation);
}

static size_t acts(void)
{
	char path[128], line[512];
	size_t n = 0;
	snprintf(path, sizeof(path), "%s.acts", base_path);
	FILE *f = fopen(path, "r");
	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		n++;
	if (f != NULL)
		fclose(f);
	return n;
}

/* Accepted and carried out, from reply number rig.count on. */
static void carry_out(struct command *c, struct wish w)
{
	size_t before = rig.count;
	make(c, w);
	hand_over(c, 1);
	wait_sent(before + 2);
	assert_sent(before, c, COMMAND_ACCEPTED, 1);
	assert_sent(before + 1, c, COMMAND_SUCCEEDED, 1);
}

/* ---- claims ---- */

static void test_disable_is_accepted_carried_out_and_survives_power_loss_until_enable(void **state)
{
	struct command c;
	(void)state;
	carry_out(&c, (struct wish){.operation = "disable", .arguments = "{\"mode\":\"halt\"}", .counter = 5});
	assert_false(mcu_measures(rig.mcu));
	assert_false(mcu_speaks(rig.mcu));
	assert_int_equal(rig.changes, 1);
	int64_t boots = mcu_state(rig.mcu)->boot_count;
	power_off();
	power_on();
	assert_false(mcu_measures(rig.mcu));
	assert_int_equal(mcu_state(rig.mcu)->boot_count, boots + 1);
	assert_int_equal(mcu_state(rig.mcu)->counter, 5);
	rig.count = 0;
	carry_out(&c, (struct wish){.operation = "restore-defaults", .counter = 6});
	assert_false(mcu_measures(rig.mcu));
	carry_out(&c, (struct wish){.operation = "enable", .counter = 7});
	assert_true(mcu_measures(rig.mcu));
	assert_true(mcu_speaks(rig.mcu));
	assert_true(mcu_state(rig.mcu)->running_since > 0);
	assert_int_equal(acts(), 3);
}

static void test_radio_off_goes_on_measuring(void **state)
{
	struct command c;
	(void)state;
	carry_out(&c, (struct wish){.operation = "disable", .arguments = "{\"mode\":\"radio-off\"}", .counter = 1});
	assert_true(mcu_measures(rig.mcu));
	assert_false(mcu_speaks(rig.mcu));
}

static void test_disable_with_an_end_ends_by_itself(void **state)
{
	struct command c;
	char arguments[96];
	(void)state;
	snprintf(arguments, sizeof(arguments), "{\"mode\":\"halt\",\"until\":%lld}", (long long)time(NULL) + 1);
	carry_out(&c, (struct wish){.operation = "disable", .arguments = arguments, .counter = 1});
	assert_false(mcu_measures(rig.mcu));
	for (time_t began = time(NULL); !mcu_measures(rig.mcu) && time(NULL) - began < (time_t)PATIENCE;)
		event_base_loop(rig.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	assert_true(mcu_measures(rig.mcu));
	assert_int_equal(rig.changes, 2);
}

static void test_repeated_command_is_answered_with_its_outcome_and_not_carried_out_again(void **state)
{
	struct command c;
	(void)state;
	carry_out(&c, (struct wish){.operation = "report-now", .counter = 5});
	hand_over(&c, 2);
	wait_sent(3);
	assert_sent(2, &c, COMMAND_SUCCEEDED, 2);
	power_off();
	power_on();
	rig.count = 0;
	commander_down(rig.commander);
	hand_over(&c, 3);
	commander_up(rig.commander);
	wait_sent(2);
	assert_sent(rig.count - 1, &c, COMMAND_SUCCEEDED, 3);
	assert_int_equal(rig.reports, 1);
	assert_int_equal(acts(), 1);
}

static void test_command_repeated_while_it_is_carried_out_is_accepted_once_more_and_done_once(void **state)
{
	struct command c;
	(void)state;
	make(&c, (struct wish){.operation = "report-now", .counter = 5});
	hand_over(&c, 1);
	hand_over(&c, 2);
	wait_sent(3);
	assert_sent(0, &c, COMMAND_ACCEPTED, 1);
	assert_sent(1, &c, COMMAND_ACCEPTED, 2);
	assert_sent(2, &c, COMMAND_SUCCEEDED, 2);
	assert_int_equal(rig.reports, 1);
}

static void assert_rejected(struct wish w, const char *because)
{
	struct command c;
	size_t before = rig.count, acted = acts();
	int64_t counter = mcu_state(rig.mcu)->counter;
	make(&c, w);
	hand_over(&c, 9);
	wait_sent(before + 1);
	assert_sent(before, &c, COMMAND_REJECTED, 9);
	if (strstr(rig.sent[before].reason, because) == NULL)
		fail_msg("said \"%s\", expected \"%s\"", rig.sent[before].reason, because);
	assert_int_equal(acts(), acted);
	assert_int_equal(mcu_state(rig.mcu)->counter, counter);
}

static void test_old_commands_are_rejected(void **state)
{
	struct command c;
	(void)state;
	carry_out(&c, (struct wish){.operation = "locate", .counter = 5, .epoch = 1});
	assert_rejected((struct wish){.operation = "locate", .counter = 5, .epoch = 1},
			"counter 5, expected more than 5");
	assert_rejected((struct wish){.operation = "locate", .counter = 4, .epoch = 1}, "counter 4");
	assert_rejected((struct wish){.operation = "locate", .counter = 6, .epoch = 0}, "epoch 0");
	carry_out(&c, (struct wish){.operation = "locate", .counter = 1, .epoch = 2, .from = 60, .to = 120});
	rig.faults.no_clock = true;
	carry_out(&c, (struct wish){.operation = "locate", .counter = 2, .epoch = 2, .from = -120, .to = -60});
	assert_int_equal(rig.sent[rig.count - 1].device_time, -1);
}

/* Refused once; then the bytes come again, when nothing would speak against them any more. */
static void assert_stays_refused(const struct command *c, const char *because)
{
	size_t at = rig.count - 1, acted = acts();
	assert_sent(at, c, COMMAND_REJECTED, 9);
	if (strstr(rig.sent[at].reason, because) == NULL)
		fail_msg("said \"%s\", expected \"%s\"", rig.sent[at].reason, because);
	rig.faults.no_clock = true;
	rig.faults.slow = 0;
	power_off();
	rig.count = 0;
	power_on();
	wait_sent(1);
	size_t told = rig.count;
	hand_over(c, 10);
	wait_sent(told + 1);
	assert_sent(told, c, COMMAND_REJECTED, 10);
	assert_int_equal(acts(), acted);
	rig.faults.no_clock = false;
}

static void test_early_and_late_commands_are_rejected_and_stay_so_when_they_are_replayed(void **state)
{
	struct command c;
	(void)state;
	make(&c, (struct wish){.operation = "locate", .counter = 6, .from = 180, .to = 240});
	hand_over(&c, 9);
	wait_sent(1);
	assert_stays_refused(&c, "not before");
	make(&c, (struct wish){.operation = "locate", .counter = 7, .from = -120, .to = -60});
	hand_over(&c, 9);
	assert_stays_refused(&c, "expired");
	carry_out(&c, (struct wish){.operation = "locate", .counter = 8});
}

static void test_bytes_that_are_no_command_are_refused_without_naming_one(void **state)
{
	struct command c;
	static const uint8_t nobody[COMMAND_ID_BYTES];
	(void)state;
	for (int i = 0; i < 3; i++) {
		size_t before = rig.count;
		make(&c, (struct wish){.operation = "locate", .counter = 5, .key = i == 0 ? other_key : key});
		if (i == 1)
			c.bytes[c.len - 100] ^= 1;
		if (i == 2)
			c.len = 3;
		hand_over(&c, 1);
		wait_sent(before + 1);
		const struct command_reply *r = &rig.sent[before];
		assert_int_equal(r->status, COMMAND_REJECTED);
		assert_memory_equal(r->id, nobody, sizeof(nobody));
		assert_int_equal(r->counter, 0);
		struct cbor_reader reader;
		assert_true(cbor_open(&reader, r->result.at, r->result.len, NULL));
		json_t *result = cbor_to_json(&reader, NULL);
		assert_int_equal(json_string_length(json_object_get(result, "sha256")), 64);
		json_decref(result);
	}
	assert_int_equal(acts(), 0);
	assert_int_equal(mcu_state(rig.mcu)->counter, 0);
}

/* In a child of its own, which kills itself. */
static void test_power_loss_between_counter_and_act_leaves_a_failed_command_that_never_acts(void **state)
{
	struct command c;
	int status;
	(void)state;
	make(&c, (struct wish){.operation = "disable", .arguments = "{\"mode\":\"halt\"}", .counter = 5});
	power_off();
	pid_t child = fork();
	if (child == 0) {
		rig.faults.die_after_persist = true;
		power_on();
		hand_over(&c, 1);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	power_on();
	wait_sent(1);
	assert_sent(0, &c, COMMAND_FAILED, 1);
	assert_string_equal(rig.sent[0].reason, "power was lost before it was carried out");
	assert_true(mcu_measures(rig.mcu));
	assert_int_equal(mcu_state(rig.mcu)->counter, 5);
	hand_over(&c, 2);
	wait_sent(2);
	assert_sent(1, &c, COMMAND_FAILED, 2);
	assert_int_equal(acts(), 0);
}

static void test_power_loss_after_the_act_was_logged_brings_it_to_its_end(void **state)
{
	struct command c;
	struct command_message m;
	struct cose_keyring ring = {.keys = {key}, .count = 1};
	(void)state;
	make(&c, (struct wish){.operation = "disable", .arguments = "{\"mode\":\"halt\"}", .counter = 5});
	assert_true(command_open(&ring, SERIAL, c.bytes, c.len, &m, NULL));
	assert_true(mcu_begin(rig.mcu, &m, m.payload, 4, NULL));
	assert_true(mcu_log_act(rig.mcu, &m, NULL));
	power_off();
	power_on();
	wait_sent(1);
	assert_sent(0, &c, COMMAND_SUCCEEDED, 4);
	assert_false(mcu_measures(rig.mcu));
	assert_int_equal(acts(), 1);
}

static void test_reply_that_nobody_heard_goes_out_again(void **state)
{
	struct command c;
	(void)state;
	carry_out(&c, (struct wish){.operation = "locate", .counter = 5});
	assert_true(commander_published(rig.commander, rig.mid - 1, 0));
	assert_true(commander_published(rig.commander, rig.mid, 0x10));
	assert_false(commander_idle(rig.commander));
	wait_sent(3);
	assert_sent(2, &c, COMMAND_SUCCEEDED, 1);
	assert_true(commander_published(rig.commander, rig.mid, 0));
	assert_true(commander_idle(rig.commander));
}

static void test_reply_is_kept_until_the_broker_has_it(void **state)
{
	struct command c;
	(void)state;
	rig.connected = false;
	commander_down(rig.commander);
	make(&c, (struct wish){.operation = "locate", .counter = 5});
	hand_over(&c, 1);
	while (mcu_state(rig.mcu)->outcome_count == 0)
		event_base_loop(rig.base, EVLOOP_ONCE);
	assert_int_equal(rig.count, 0);
	rig.connected = true;
	commander_up(rig.commander);
	assert_int_equal(rig.count, 2);
	assert_sent(0, &c, COMMAND_ACCEPTED, 1);
	assert_sent(1, &c, COMMAND_SUCCEEDED, 1);
	assert_false(commander_idle(rig.commander));
	commander_down(rig.commander);
	commander_up(rig.commander);
	assert_int_equal(rig.count, 4);
	power_off(); /* neither was acknowledged: the outcome is told by the next life */
	power_on();
	assert_int_equal(rig.count, 5);
	assert_sent(4, &c, COMMAND_SUCCEEDED, 1);
	assert_true(commander_published(rig.commander, rig.mid, 0));
	assert_false(commander_published(rig.commander, rig.mid, 0));
	assert_true(commander_idle(rig.commander));
	power_off();
	power_on();
	assert_int_equal(rig.count, 5);
}

static void test_slow_update_does_not_hold_up_a_locate(void **state)
{
	struct command update, locate;
	(void)state;
	rig.faults.slow = 0.3;
	rig.faults.slow_operation = "update-firmware";
	make(&update,
	     (struct wish){.operation = "update-firmware",
			   .arguments = "{\"release\":"
					"\"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\"}",
			   .counter = 1});
	make(&locate, (struct wish){.operation = "locate", .counter = 2});
	hand_over(&update, 1);
	hand_over(&locate, 1);
	wait_sent(4);
	assert_sent(0, &update, COMMAND_ACCEPTED, 1);
	assert_sent(1, &locate, COMMAND_ACCEPTED, 1);
	assert_sent(2, &locate, COMMAND_SUCCEEDED, 1);
	assert_sent(3, &update, COMMAND_SUCCEEDED, 1);
	assert_string_equal(mcu_state(rig.mcu)->firmware[mcu_state(rig.mcu)->slot],
			    "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08");
	assert_int_equal(rig.reboots, 1);
}

static void test_slow_disable_does_not_undo_an_enable_that_came_after_it(void **state)
{
	struct command disable, enable, other;
	(void)state;
	rig.faults.slow = 0.2;
	rig.faults.slow_operation = "disable";
	make(&disable, (struct wish){.operation = "disable", .arguments = "{\"mode\": \"halt\"}", .counter = 1});
	make(&enable, (struct wish){.operation = "enable", .counter = 2});
	hand_over(&disable, 1);
	hand_over(&enable, 1);
	wait_sent(4);
	assert_sent(2, &enable, COMMAND_SUCCEEDED, 1);
	assert_sent(3, &disable, COMMAND_FAILED, 1);
	event_base_loopexit(rig.base, &(struct timeval){.tv_usec = 400000});
	event_base_dispatch(rig.base); /* longer than the disable would have taken */
	assert_false(mcu_state(rig.mcu)->disabled);
	assert_int_equal(acts(), 1);
	assert_int_equal(rig.count, 4);
	rig.faults.slow = 3600;
	for (int64_t i = 0; i < MCU_PENDING - 1; i++) {
		make(&disable,
		     (struct wish){.operation = "disable", .arguments = "{\"mode\": \"halt\"}", .counter = 3 + i});
		hand_over(&disable, 1);
	}
	carry_out(&enable, (struct wish){.operation = "enable", .counter = 20});
	rig.faults.slow_operation = NULL;
	for (int64_t i = 0; i < MCU_PENDING; i++) { /* there is room for as many as ever */
		make(&other, (struct wish){.operation = "locate", .counter = 21 + i});
		hand_over(&other, 1);
		assert_sent(rig.count - 1, &other, COMMAND_ACCEPTED, 1);
	}
}

static void test_more_than_can_be_carried_out_at_once_is_rejected(void **state)
{
	struct command c[MCU_PENDING + 1];
	(void)state;
	rig.faults.slow = 3600;
	for (int64_t i = 0; i <= MCU_PENDING; i++) {
		make(&c[i], (struct wish){.operation = "locate", .counter = 1 + i});
		hand_over(&c[i], 1);
	}
	assert_sent(MCU_PENDING, &c[MCU_PENDING], COMMAND_REJECTED, 1);
	power_off(); /* the others were begun */
	rig.faults.slow = 0;
	rig.count = 0;
	power_on();
	assert_int_equal(rig.count, MCU_PENDING + 1);
	assert_sent(0, &c[MCU_PENDING], COMMAND_REJECTED, 1);
	for (size_t i = 0; i < MCU_PENDING; i++)
		assert_sent(1 + i, &c[i], COMMAND_FAILED, 1);
	hand_over(&c[MCU_PENDING], 2); /* somebody brings it again now that there is room */
	assert_sent(MCU_PENDING + 1, &c[MCU_PENDING], COMMAND_REJECTED, 2);
	assert_int_equal(acts(), 0);
}

static void test_disable_and_enable_find_room_whatever_waits(void **state)
{
	struct command slow[MCU_PENDING], halt[MCU_PENDING + 2], locate;
	(void)state;
	rig.faults.slow = 3600;
	for (int64_t i = 0; i < MCU_PENDING; i++) {
		make(&slow[i], (struct wish){.operation = "locate", .counter = 1 + i});
		hand_over(&slow[i], 1);
	}
	for (int64_t i = 0; i < MCU_PENDING + 2; i++) {
		make(&halt[i],
		     (struct wish){.operation = "disable", .arguments = "{\"mode\": \"halt\"}", .counter = 10 + i});
		hand_over(&halt[i], 1);
		assert_sent(rig.count - 2, i < MCU_PENDING ? &slow[i] : &halt[i - MCU_PENDING], COMMAND_FAILED, 1);
		assert_sent(rig.count - 1, &halt[i], COMMAND_ACCEPTED, 1);
	}
	make(&locate, (struct wish){.operation = "locate", .counter = 90});
	hand_over(&locate, 1);
	assert_sent(rig.count - 1, &locate, COMMAND_REJECTED, 1);
	rig.faults.slow = 0;
	size_t before = rig.count;
	make(&halt[0], (struct wish){.operation = "disable", .arguments = "{\"mode\": \"halt\"}", .counter = 91});
	hand_over(&halt[0], 1);
	wait_sent(before + 2 + MCU_PENDING); /* the last that gave way, accepted, done, and those that came before it */
	assert_true(mcu_state(rig.mcu)->disabled);
	assert_int_equal(acts(), 1);
}

static void test_lower_release_counter_fails(void **state)
{
	struct command c;
	static const char *const releases[] = {
		"{\"release\":\"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\",\"counter\":7,"
		"\"version\":\"2.7\"}",
		"{\"release\":\"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\",\"counter\":6}"};
	(void)state;
	carry_out(&c, (struct wish){.operation = "update-firmware", .arguments = releases[0], .counter = 1});
	assert_string_equal(mcu_state(rig.mcu)->firmware[mcu_state(rig.mcu)->slot], "2.7");
	make(&c, (struct wish){.operation = "update-firmware", .arguments = releases[1], .counter = 2});
	hand_over(&c, 1);
	wait_sent(4);
	assert_sent(3, &c, COMMAND_FAILED, 1);
	assert_string_equal(rig.sent[3].reason, "release counter 6, expected no less than 7");
	assert_string_equal(mcu_state(rig.mcu)->firmware[mcu_state(rig.mcu)->slot], "2.7");
	assert_int_equal(acts(), 1);
}

static void test_new_trust_list_ends_the_old_keys_command_over_the_tracker(void **state)
{
	struct trust *next = trust_new(1);
	uint8_t update[TRUST_UPDATE_MAX];
	char text[BASE64URL_TEXT(TRUST_UPDATE_MAX)], arguments[sizeof(text) + 32];
	size_t len;
	struct command c;
	static const uint8_t nobody[COMMAND_ID_BYTES];
	(void)state;
	assert_true(trust_add(next, cose_key_public(cose_key_point(other_key), NULL), TRUST_NEVER, NULL));
	assert_true(trust_update_sign(next, key, other_key, update, sizeof(update), &len, NULL));
	base64url_encode(update, len, text);
	snprintf(arguments, sizeof(arguments), "{\"list\":\"%s\"}", text);
	carry_out(&c, (struct wish){.operation = "rotate-key", .arguments = arguments, .counter = 1});
	power_off();
	power_on(); /* the list outlives the key that the tracker left the factory with */
	rig.count = 0;
	make(&c, (struct wish){.operation = "locate", .counter = 2});
	hand_over(&c, 1);
	wait_sent(1);
	assert_memory_equal(rig.sent[rig.count - 1].id, nobody, sizeof(nobody));
	carry_out(&c, (struct wish){.operation = "locate", .counter = 2, .key = other_key});
	trust_free(&next);
}

static void test_configuration_is_kept_and_cleared(void **state)
{
	struct command c;
	(void)state;
	carry_out(&c, (struct wish){.operation = "set-config",
				    .arguments = "{\"version\":4,\"config\":{\"interval\":60}}",
				    .counter = 1});
	power_off();
	power_on();
	assert_int_equal(mcu_state(rig.mcu)->config_version, 4);
	assert_int_equal(mcu_state(rig.mcu)->config_len, 12);
	rig.count = 0;
	carry_out(&c, (struct wish){.operation = "clear-config", .counter = 2});
	assert_int_equal(mcu_state(rig.mcu)->config_version, 0);
	assert_null(mcu_state(rig.mcu)->config);
}

static void test_thirty_third_command_pushes_out_the_first_which_is_then_too_old(void **state)
{
	struct command first, c;
	(void)state;
	carry_out(&first, (struct wish){.operation = "report-now", .counter = 1});
	for (int64_t i = 2; i <= MCU_OUTCOMES + 1; i++)
		carry_out(&c, (struct wish){.operation = "report-now", .counter = i});
	size_t before = rig.count;
	hand_over(&first, 2);
	wait_sent(before + 1);
	assert_sent(before, &first, COMMAND_REJECTED, 2);
	hand_over(&c, 2);
	wait_sent(before + 2);
	assert_sent(before + 1, &c, COMMAND_SUCCEEDED, 2);
	assert_int_equal(rig.reports, MCU_OUTCOMES + 1);
	assert_int_equal(acts(), MCU_OUTCOMES + 1);
}

static void test_misbehaving_trackers_do_so(void **state)
{
	struct command c;
	(void)state;
	rig.faults.deaf = true;
	make(&c, (struct wish){.operation = "report-now", .counter = 1});
	hand_over(&c, 1);
	event_base_loop(rig.base, EVLOOP_NONBLOCK);
	assert_int_equal(rig.count + acts(), 0);
	rig.faults.deaf = false;
	rig.faults.drop_replies = 1;
	hand_over(&c, 1);
	while (rig.reports == 0)
		event_base_loop(rig.base, EVLOOP_ONCE);
	assert_int_equal(rig.count, 0);
	assert_true(commander_idle(rig.commander));
	rig.faults.drop_replies = 0;
	rig.faults.late_reply = 0.2;
	make(&c, (struct wish){.operation = "report-now", .counter = 2});
	hand_over(&c, 1);
	while (rig.reports == 1)
		event_base_loop(rig.base, EVLOOP_ONCE);
	assert_int_equal(rig.count, 1);
	assert_sent(0, &c, COMMAND_ACCEPTED, 1);
	wait_sent(2);
	assert_sent(1, &c, COMMAND_SUCCEEDED, 1);
}

static void test_disabled_tracker_answers_but_sends_no_samples(void **state)
{
	struct command c;
	(void)state;
	carry_out(&c, (struct wish){.operation = "disable", .arguments = "{\"mode\":\"radio-off\"}", .counter = 1});
	carry_out(&c, (struct wish){.operation = "locate", .counter = 2});
	make(&c, (struct wish){.operation = "report-now", .counter = 3});
	hand_over(&c, 1);
	wait_sent(6);
	assert_sent(5, &c, COMMAND_FAILED, 1);
	assert_int_equal(rig.reports, 0);
}

static void test_damaged_memory_is_not_guessed_at(void **state)
{
	char path[128];
	struct err e = {0};
	struct command c;
	(void)state;
	carry_out(&c, (struct wish){.operation = "disable", .arguments = "{\"mode\":\"halt\"}", .counter = 1});
	snprintf(path, sizeof(path), "%s.mcu", base_path);
	FILE *f = fopen(path, "r+");
	assert_non_null(f);
	fseek(f, 20, SEEK_SET);
	int byte = fgetc(f);
	fseek(f, 20, SEEK_SET);
	fputc(byte ^ 1, f);
	fclose(f);
	assert_null(mcu_open(base_path, trust_path, &e));
	assert_non_null(strstr(e.detail, "damaged"));
}

static void test_tracker_without_a_trust_list_obeys_nobody(void **state)
{
	struct command c;
	struct command_message m;
	struct err e = {0};
	struct mcu *nobody = mcu_open(NULL, NULL, &e);
	(void)state;
	make(&c, (struct wish){.operation = "locate", .counter = 1});
	assert_int_equal(command_judge(nobody, SERIAL, -1, c.bytes, c.len, &m, &e), VERDICT_FOREIGN);
	mcu_free(&nobody);
}

#define CLAIM(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		CLAIM(test_disable_is_accepted_carried_out_and_survives_power_loss_until_enable),
		CLAIM(test_radio_off_goes_on_measuring),
		CLAIM(test_disable_with_an_end_ends_by_itself),
		CLAIM(test_repeated_command_is_answered_with_its_outcome_and_not_carried_out_again),
		CLAIM(test_command_repeated_while_it_is_carried_out_is_accepted_once_more_and_done_once),
		CLAIM(test_old_commands_are_rejected),
		CLAIM(test_early_and_late_commands_are_rejected_and_stay_so_when_they_are_replayed),
		CLAIM(test_bytes_that_are_no_command_are_refused_without_naming_one),
		CLAIM(test_power_loss_between_counter_and_act_leaves_a_failed_command_that_never_acts),
		CLAIM(test_power_loss_after_the_act_was_logged_brings_it_to_its_end),
		CLAIM(test_reply_that_nobody_heard_goes_out_again),
		CLAIM(test_reply_is_kept_until_the_broker_has_it),
		CLAIM(test_slow_update_does_not_hold_up_a_locate),
		CLAIM(test_slow_disable_does_not_undo_an_enable_that_came_after_it),
		CLAIM(test_more_than_can_be_carried_out_at_once_is_rejected),
		CLAIM(test_disable_and_enable_find_room_whatever_waits),
		CLAIM(test_lower_release_counter_fails),
		CLAIM(test_new_trust_list_ends_the_old_keys_command_over_the_tracker),
		CLAIM(test_configuration_is_kept_and_cleared),
		CLAIM(test_thirty_third_command_pushes_out_the_first_which_is_then_too_old),
		CLAIM(test_misbehaving_trackers_do_so),
		CLAIM(test_disabled_tracker_answers_but_sends_no_samples),
		CLAIM(test_damaged_memory_is_not_guessed_at),
		CLAIM(test_tracker_without_a_trust_list_obeys_nobody),
	};
	return cmocka_run_group_tests(tests, make_keys, free_keys);
}
