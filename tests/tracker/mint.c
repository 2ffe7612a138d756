/* SPDX-License-Identifier: Apache-2.0
 *
 * The command `mint`: certificates of the development CA, one line for each tracker, ready for enrolment. */
#include "tests/tracker/commands.h"

#include <stdio.h>
#include <string.h>

#include "tests/tracker/ca.h"
#include "tests/tracker/options.h"

struct mint {
	const char *dir, *prefix, *server;
	struct option_list serials;
	int64_t count;
	bool ca_only;
};

#define AT(field) offsetof(struct mint, field)
static const struct option_item items[] = {
	{"dir", OPTION_TEXT, AT(dir), NULL, "COLDFLEET_CERTS", 0, 0, "DIR", "folder of the CA and the certificates"},
	{"serial", OPTION_LIST, AT(serials), NULL, NULL, 0, 0, "S...", "serials of the trackers"},
	{"prefix", OPTION_TEXT, AT(prefix), NULL, NULL, 0, 0, "P", "with --count: P00001, P00002, ..."},
	{"count", OPTION_INT, AT(count), "0", NULL, 0, 99999, "N", "how many"},
	{"ca-only", OPTION_FLAG, AT(ca_only), NULL, NULL, 0, 0, NULL, "only ca.crt, ca.key and the server certificate"},
	{"server", OPTION_TEXT, AT(server), NULL, NULL, 0, 0, "NAME",
	 "a new server certificate, for NAME besides localhost, 127.0.0.1 and ::1"},
};
#define ITEMS (sizeof(items) / sizeof(items[0]))

static bool check(const struct mint *m, struct err *e)
{
	if (m->dir == NULL)
		return err_set(e, ERR_INVALID, "--dir: expected the folder of the CA");
	if ((m->prefix == NULL) != (m->count == 0))
		return err_set(e, ERR_INVALID, "--prefix and --count: expected both or neither");
	if (!m->ca_only && m->serials.count == 0 && m->count == 0)
		return err_set(e, ERR_INVALID, "expected --serial S..., --prefix P --count N, or --ca-only");
	return true;
}

static bool mint_trackers(struct ca *ca, const struct mint *m, struct err *e)
{
	char serial[SERIAL_TEXT];

	for (size_t i = 0; i < m->serials.count; i++)
		if (!ca_tracker(ca, m->serials.words[i], stdout, e))
			return false;
	for (int64_t n = 1; n <= m->count; n++) {
		if (!serial_numbered(serial, m->prefix, n, e) || !ca_tracker(ca, serial, stdout, e))
			return false;
	}
	return true;
}

bool command_mint(int argc, char **argv, struct err *e)
{
	static struct mint m;
	struct ca *ca = NULL;
	bool ok = options_parse(items, ITEMS, &m, argc, argv, e) && check(&m, e);

	if (!ok)
		return false;
	ca = ca_open(m.dir, e);
	ok = ca != NULL && ca_server(ca, m.server, e) && (m.ca_only || mint_trackers(ca, &m, e));
	ca_free(&ca);
	return ok;
}

void help_mint(void)
{
	options_help(items, ITEMS);
}
