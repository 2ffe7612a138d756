/* SPDX-License-Identifier: Apache-2.0
 *
 * The status as jansson writes it; an IMEI with its check digit (3GPP TS 23.003, annex B). */
#include "tests/tracker/status.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cbor_json.h"

/* FNV-1a, 64 bits. */
static uint64_t draw(const char *serial, uint64_t which)
{
	uint64_t hash = UINT64_C(14695981039346656037) + which;

	for (; *serial != '\0'; serial++)
		hash = (hash ^ (unsigned char)*serial) * UINT64_C(1099511628211);
	return hash ^ hash >> 29;
}

static void imei_of(const char *serial, char out[16])
{
	unsigned sum = 0;

	snprintf(out, 16, "35349%09" PRIu64, draw(serial, 1) % UINT64_C(1000000000));
	for (size_t i = 0; i < 14; i++) {
		unsigned digit = (unsigned)(out[i] - '0') * (i % 2 == 1 ? 2 : 1);
		sum += digit > 9 ? digit - 9 : digit;
	}
	out[14] = (char)('0' + (10 - sum % 10) % 10);
	out[15] = '\0';
}

static json_t *firmware_of(const struct mcu_state *s)
{
	static const char *const slots[MCU_SLOTS] = {"a", "b"};
	json_t *versions = json_object();

	for (size_t i = 0; i < MCU_SLOTS; i++)
		json_object_set_new(versions, slots[i],
				    s->firmware[i][0] != '\0' ? json_string(s->firmware[i]) : json_null());
	return json_pack("{s:s, s:o}", "running", slots[s->slot], "slots", versions);
}

void status_factory(const char *serial, struct mcu *m)
{
	struct mcu_state *s = mcu_change(m);

	if (s->firmware[0][0] != '\0' || s->firmware[1][0] != '\0')
		return;
	/* Most of a fleet is up to date. */
	s->slot = draw(serial, 2) % 5 > 0;
	strcpy(s->firmware[0], "1.4.1");
	strcpy(s->firmware[1], s->slot == 1 ? "1.4.2" : "1.4.0");
}

static json_t *module_of(const char *serial)
{
	char imei[16], iccid[20], imsi[16];

	imei_of(serial, imei);
	snprintf(iccid, sizeof(iccid), "8949%015" PRIu64, draw(serial, 3) % UINT64_C(1000000000000000));
	snprintf(imsi, sizeof(imsi), "26201%010" PRIu64, draw(serial, 4) % UINT64_C(10000000000));
	return json_pack("{s:s, s:s, s:s, s:s, s:s}", "imei", imei, "iccid", iccid, "imsi", imsi, "model", "BG95-M3",
			 "firmware", "BG95M3LAR02A04");
}

static json_t *config_of(const struct mcu_state *s, bool whole)
{
	json_t *config = json_pack("{s:I}", "version", (json_int_t)s->config_version), *values = NULL;
	struct cbor_reader r;

	if (whole && s->config != NULL && cbor_open(&r, s->config, s->config_len, NULL))
		values = cbor_to_json(&r, NULL);
	if (values != NULL)
		json_object_set_new(config, "values", values);
	return config;
}

static size_t write_status(const struct report *r, bool whole, char out[STATUS_BYTES])
{
	const struct mcu_state *s = r->mcu;
	json_t *status = json_pack("{s:I, s:f, s:o, s:s, s:o, s:o, s:o}", "boot", (json_int_t)s->boot_count, "uptime",
				   r->uptime, "clock", r->clock < 0 ? json_null() : json_real((double)r->clock / 1e6),
				   "mcu", s->disabled ? "disabled" : "running", "firmware", firmware_of(s), "module",
				   module_of(r->serial), "config", config_of(s, whole));
	size_t len = status != NULL ? json_dumpb(status, out, STATUS_BYTES, JSON_COMPACT) : 0;

	json_decref(status);
	return len;
}

size_t status_write(const struct report *r, char out[STATUS_BYTES])
{
	size_t len = write_status(r, true, out);

	if (len > STATUS_BYTES)
		len = write_status(r, false, out);
	if (len == 0 || len > STATUS_BYTES)
		abort();
	return len;
}
