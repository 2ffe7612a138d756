/* SPDX-License-Identifier: Apache-2.0
 *
 * The status as jansson writes it; an IMEI with its check digit (3GPP TS 23.003, annex B); the count of boots in a file
 * that is replaced, never rewritten in place. */
#include "tests/tracker/status.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define PATH_BYTES 4096
#define YEAR_2020  1577836800

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

static json_t *firmware_of(const char *serial)
{
	/* Most of a fleet is up to date. */
	bool newer = draw(serial, 2) % 5 > 0;

	return json_pack("{s:s, s:{s:s, s:s}}", "running", newer ? "b" : "a", "slots", "a", "1.4.1", "b",
			 newer ? "1.4.2" : "1.4.0");
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

size_t status_write(const struct report *r, char out[STATUS_BYTES])
{
	json_t *status =
		json_pack("{s:i, s:f, s:f, s:s, s:o, s:o, s:{s:i}}", "boot", (int)r->boot, "uptime", r->uptime, "clock",
			  (double)r->clock / 1e6, "mcu", r->disabled ? "disabled" : "running", "firmware",
			  firmware_of(r->serial), "module", module_of(r->serial), "config", "version", (int)r->config);
	size_t len = status != NULL ? json_dumpb(status, out, STATUS_BYTES, JSON_COMPACT) : 0;

	json_decref(status);
	if (len == 0 || len > STATUS_BYTES)
		abort();
	return len;
}

static int32_t boot_read(const char *path)
{
	FILE *f = fopen(path, "re");
	int32_t boot = 0;

	if (f != NULL && (fscanf(f, "%" SCNd32, &boot) != 1 || boot < 0))
		boot = 0;
	if (f != NULL)
		fclose(f);
	return boot;
}

static bool boot_write(const char *path, int32_t boot, struct err *e)
{
	char fresh[PATH_BYTES + 4];
	FILE *f;
	bool ok;

	snprintf(fresh, sizeof(fresh), "%s.new", path);
	f = fopen(fresh, "we");
	if (f == NULL)
		return err_set(e, ERR_SYSTEM, "%.180s: %s", fresh, strerror(errno));
	ok = fprintf(f, "%" PRId32 "\n", boot) > 0;
	ok = fclose(f) == 0 && ok && rename(fresh, path) == 0;
	return ok || err_set(e, ERR_SYSTEM, "%.180s: %s", path, strerror(errno));
}

bool status_boot(const char *folder, const char *serial, int32_t *boot, struct err *e)
{
	char path[PATH_BYTES];

	if (folder == NULL) {
		*boot = (int32_t)(time(NULL) - YEAR_2020);
		return true;
	}
	mkdir(folder, 0755);
	if (snprintf(path, sizeof(path), "%s/%s.boot", folder, serial) >= (int)sizeof(path))
		return err_set(e, ERR_INVALID, "--flash: the folder's name is too long");
	*boot = boot_read(path) + 1;
	return boot_write(path, *boot, e);
}
