/* SPDX-License-Identifier: Apache-2.0
 *
 * One row an operation. An act may be done twice in a row without harm: after a power loss it is. */
#include "tests/tracker/acts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/base64url.h"

static void result_int(struct act *a, const char *name, int64_t value)
{
	cbor_put_map(&a->result, 1);
	cbor_put_text(&a->result, name);
	cbor_put_int(&a->result, value);
}

/* ---- disable, enable ---- */

static bool disable(struct act *a, struct err *e)
{
	struct mcu_state *s = mcu_change(a->mcu);
	struct cbor_view mode = {0};
	(void)e;
	command_argument_text(a->command->arguments, "mode", &mode);
	s->disabled = true;
	s->halted = cbor_text_is(mode, "halt");
	s->until = command_argument_int(a->command->arguments, "until", 0);
	a->changed = true;
	return true;
}

static bool enable(struct act *a, struct err *e)
{
	struct mcu_state *s = mcu_change(a->mcu);
	(void)e;
	if (s->halted)
		s->running_since = a->now;
	s->disabled = s->halted = false;
	s->until = 0;
	a->changed = true;
	return true;
}

static bool reboot(struct act *a, struct err *e)
{
	(void)e;
	mcu_reboot(a->mcu);
	result_int(a, "boot_count", mcu_state(a->mcu)->boot_count);
	a->changed = a->reboots = true;
	return true;
}

/* ---- reading ---- */

static bool locate(struct act *a, struct err *e)
{
	double latitude, longitude;
	if (!a->hooks->locate(&latitude, &longitude, a->arg))
		return err_set(e, ERR_NOT_FOUND, "no position");
	cbor_put_map(&a->result, 2);
	cbor_put_text(&a->result, "lat");
	cbor_put_double(&a->result, latitude);
	cbor_put_text(&a->result, "lon");
	cbor_put_double(&a->result, longitude);
	return true;
}

static bool may_speak(struct act *a, struct err *e)
{
	return mcu_speaks(a->mcu) || err_set(e, ERR_CONFLICT, "disabled: it sends nothing until it is enabled");
}

static bool report(struct act *a, struct err *e)
{
	return a->hooks->report(a->arg) || err_set(e, ERR_CONFLICT, "nothing can be sent now");
}

static bool resend(struct act *a, struct err *e)
{
	size_t sent;
	if (!a->hooks->resend(command_argument_int(a->command->arguments, "epoch", -1),
			      command_argument_int(a->command->arguments, "first", 0),
			      command_argument_int(a->command->arguments, "last", 0), &sent, a->arg))
		return err_set(e, ERR_NOT_FOUND, "samples of that epoch are gone");
	result_int(a, "samples", (int64_t)sent);
	return true;
}

/* ---- configuration ---- */

static void forget_config(struct mcu_state *s)
{
	free(s->config);
	s->config = NULL;
	s->config_len = 0;
	s->config_version = 0;
}

static bool set_config(struct act *a, struct err *e)
{
	struct mcu_state *s = mcu_change(a->mcu);
	struct cbor_reader r;
	struct cbor_view config;
	(void)e;
	command_argument(a->command->arguments, "config", &r);
	cbor_take_item(&r, &config, NULL);
	forget_config(s);
	s->config = malloc(config.len);
	if (s->config == NULL)
		abort();
	memcpy(s->config, config.at, config.len);
	s->config_len = config.len;
	s->config_version = command_argument_int(a->command->arguments, "version", 0);
	result_int(a, "version", s->config_version);
	a->changed = true;
	return true;
}

static bool clear_config(struct act *a, struct err *e)
{
	(void)e;
	forget_config(mcu_change(a->mcu));
	a->changed = true;
	return true;
}

/* ---- firmware ---- */

static bool may_update(struct act *a, struct err *e)
{
	int64_t counter = command_argument_int(a->command->arguments, "counter", INT64_MAX);
	int64_t had = mcu_state(a->mcu)->release_counter;
	return counter >= had ||
	       err_set(e, ERR_CONFLICT, "release counter %" PRId64 ", expected no less than %" PRId64, counter, had);
}

/* Into the slot that is not running, which then runs. Where the image comes from is not played. */
static bool update_firmware(struct act *a, struct err *e)
{
	struct mcu_state *s = mcu_change(a->mcu);
	struct cbor_view name;
	(void)e;
	command_argument_text(a->command->arguments, "release", &name);
	struct cbor_view version = name;
	if (command_argument_text(a->command->arguments, "version", &version) && version.len < sizeof(s->firmware[0]))
		name = version;
	s->slot = (s->slot + 1) % MCU_SLOTS;
	memcpy(s->firmware[s->slot], name.at, name.len);
	s->firmware[s->slot][name.len] = '\0';
	s->release_counter = command_argument_int(a->command->arguments, "counter", s->release_counter);
	mcu_reboot(a->mcu);
	result_int(a, "slot", s->slot);
	a->changed = a->reboots = true;
	return true;
}

/* ---- keys ---- */

static struct trust *newer_list(struct act *a, struct err *e)
{
	uint8_t update[COMMAND_ARGUMENTS_MAX];
	struct cbor_view text;
	size_t len;
	command_argument_text(a->command->arguments, "list", &text);
	if (!base64url_decode((const char *)text.at, text.len, update, sizeof(update), &len)) {
		err_set(e, ERR_INVALID, "list: expected base64url without padding");
		return NULL;
	}
	return trust_update_open(mcu_state(a->mcu)->trust, a->now, update, len, e);
}

static bool may_rotate(struct act *a, struct err *e)
{
	struct trust *next = newer_list(a, e);
	bool ok = next != NULL;
	trust_free(&next);
	return ok;
}

static bool rotate_key(struct act *a, struct err *e)
{
	struct mcu_state *s = mcu_change(a->mcu);
	struct trust *next = newer_list(a, e);
	if (next == NULL)
		return false;
	trust_free(&s->trust);
	s->trust = next;
	result_int(a, "version", trust_version(next));
	return true;
}

/* Disabled it stays: only enable undoes that. Keys, firmware and counters are no settings. */
static bool restore_defaults(struct act *a, struct err *e)
{
	return clear_config(a, e);
}

static const struct {
	const char *operation;
	bool (*possible)(struct act *a, struct err *e); /* NULL: always */
	bool (*act)(struct act *a, struct err *e);
} rows[] = {
	{"disable", NULL, disable},
	{"enable", NULL, enable},
	{"reboot", NULL, reboot},
	{"locate", NULL, locate},
	{"report-now", may_speak, report},
	{"resend", may_speak, resend},
	{"set-config", NULL, set_config},
	{"clear-config", NULL, clear_config},
	{"update-firmware", may_update, update_firmware},
	{"rotate-key", may_rotate, rotate_key},
	{"restore-defaults", NULL, restore_defaults},
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

static size_t row_of(const struct act *a)
{
	for (size_t i = 0; i < ROWS; i++)
		if (strcmp(rows[i].operation, a->command->operation->name) == 0)
			return i;
	abort();
}

bool act_possible(struct act *a, struct err *e)
{
	size_t row = row_of(a);
	return rows[row].possible == NULL || rows[row].possible(a, e);
}

bool act_do(struct act *a, struct err *e)
{
	cbor_writer_init(&a->result, a->bytes, sizeof(a->bytes));
	return rows[row_of(a)].act(a, e) && cbor_written(&a->result, e);
}
