/* SPDX-License-Identifier: Apache-2.0
 *
 * Is the process alive, and can it reach its database? Needs no token. */
#include "ops/ctl/ctl.h"

static const struct {
	const char *target, *what;
} checks[] = {{"/healthz", "alive"}, {"/readyz", "ready"}};

bool run_health(struct ctl *ctl, const struct invocation *in, struct err *e)
{
	bool ok = true;

	(void)in;
	for (size_t i = 0; ok && i < sizeof(checks) / sizeof(checks[0]); i++) {
		struct reply r = {0};
		const struct call call = {.target = checks[i].target};
		ok = ctl_call(ctl, &call, &r, e);
		if (ctl->json)
			ctl_pass(ctl, r.body, r.len);
		else
			fprintf(ctl->out, "%s: %s\n", checks[i].what, ok ? "yes" : "no");
		reply_free(&r);
	}
	return ok;
}
