/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers of any length, straight through: nothing is kept, and one that breaks off is an error, never a short file. */
#include "ops/ctl/ctl.h"

static bool to_out(void *arg, const char *data, size_t len)
{
	struct ctl *ctl = arg;
	return fwrite(data, 1, len, ctl->out) == len;
}

bool run_export(struct ctl *ctl, const struct invocation *in, struct err *e)
{
	struct target t;
	struct reply r = {0};
	const struct call call = {.target = t.text, .accept = "*/*", .sink = to_out, .arg = ctl};

	ctl_target(in, &t);
	bool ok = target_ok(&t, e) && ctl_call(ctl, &call, &r, e);
	reply_free(&r);
	return ok;
}

/* A document when a format was named, else something to read. */
bool run_report(struct ctl *ctl, const struct invocation *in, struct err *e)
{
	return invocation_value(in, "format") != NULL ? run_export(ctl, in, e) : run_show(ctl, in, e);
}
