/* SPDX-License-Identifier: Apache-2.0
 *
 * Replies are decoded as they are sent; keys are in files of the test's own. */
#include "tracker_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/ec.h>
#include <openssl/pem.h>

#include "core/cbor_json.h"
#include "core/log.h"

struct rig rig;
struct cose_key *rig_key, *rig_other_key;
char rig_base_path[96], rig_trust_path[96];
static char folder[64];

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
	assert_in_range(rig.count, 0, RIG_SENT_MAX - 2);
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

void rig_power_on(void)
{
	struct err e = {0};
	rig.base = event_base_new();
	rig.mcu = mcu_open(rig_base_path, rig_trust_path, &e);
	if (rig.mcu == NULL)
		fail_msg("%s", e.detail);
	rig.commander = commander_new(rig.base, RIG_SERIAL, rig.mcu, &rig.faults, &hooks, NULL);
	/* Whoever owns it is not whole yet: a report carried out now once killed a fleet, again at every start. */
	commander_resume(rig.commander);
	rig.connected = true;
	commander_up(rig.commander);
}

void rig_power_off(void)
{
	rig.connected = false;
	commander_free(&rig.commander);
	mcu_free(&rig.mcu);
	event_base_free(rig.base);
}

int rig_start(void **state)
{
	(void)state;
	memset(&rig, 0, sizeof(rig));
	snprintf(folder, sizeof(folder), "/tmp/tracker-command-XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(rig_base_path, sizeof(rig_base_path), "%s/" RIG_SERIAL, folder);
	rig_power_on();
	return 0;
}

int rig_end(void **state)
{
	char command[128];
	(void)state;
	rig_power_off();
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

int rig_make_keys(void **state)
{
	(void)state;
	log_level_set(LOG_LEVEL_ERROR);
	snprintf(rig_trust_path, sizeof(rig_trust_path), "/tmp/tracker-trust-%d.pem", (int)getpid());
	rig_key = new_key(rig_trust_path);
	rig_other_key = new_key(NULL);
	return 0;
}

int rig_free_keys(void **state)
{
	(void)state;
	cose_key_free(&rig_key);
	cose_key_free(&rig_other_key);
	return unlink(rig_trust_path);
}

void rig_make(struct command *c, struct wish w)
{
	static const uint8_t approval[COMMAND_APPROVAL_BYTES] = {1};
	static uint8_t next_id;
	uint8_t map[COMMAND_ARGUMENTS_MAX];
	int64_t now = (int64_t)time(NULL);
	struct command_message m = {.version = COMMAND_VERSION,
				    .id = {7, ++next_id},
				    .issuer = "admin",
				    .audience = RIG_SERIAL,
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
	    !command_sign(w.key != NULL ? w.key : rig_key, &m, c->bytes, sizeof(c->bytes), &c->len, &e))
		fail_msg("%s", e.detail);
	memcpy(c->id, m.id, sizeof(c->id));
	json_decref(arguments);
}

void rig_hand_over(const struct command *c, uint32_t generation)
{
	uint8_t correlation[COMMAND_GENERATION];
	command_generation_put(generation, correlation);
	commander_take(rig.commander, c->bytes, c->len, correlation, sizeof(correlation));
}

void rig_wait_sent(size_t count)
{
	struct timespec began, now;
	clock_gettime(CLOCK_MONOTONIC, &began);
	while (rig.count < count) {
		event_base_loop(rig.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		clock_gettime(CLOCK_MONOTONIC, &now);
		if ((double)(now.tv_sec - began.tv_sec) > RIG_PATIENCE)
			fail_msg("%zu replies, expected %zu", rig.count, count);
	}
}

void rig_assert_sent(size_t at, const struct command *c, int64_t status, int64_t generation)
{
	assert_in_range(at, 0, rig.count - 1);
	const struct command_reply *r = &rig.sent[at];
	assert_memory_equal(r->id, c->id, COMMAND_ID_BYTES);
	if (r->status != status)
		fail_msg("%s (%s), expected %s", command_status_name(r->status), r->reason,
			 command_status_name(status));
	assert_int_equal(r->generation, generation);
}

size_t rig_acts(void)
{
	char path[128], line[512];
	size_t n = 0;
	snprintf(path, sizeof(path), "%s.acts", rig_base_path);
	FILE *f = fopen(path, "r");
	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		n++;
	if (f != NULL)
		fclose(f);
	return n;
}

void rig_carry_out(struct command *c, struct wish w)
{
	size_t before = rig.count;
	rig_make(c, w);
	rig_hand_over(c, 1);
	rig_wait_sent(before + 2);
	rig_assert_sent(before, c, COMMAND_ACCEPTED, 1);
	rig_assert_sent(before + 1, c, COMMAND_SUCCEEDED, 1);
}
