/* SPDX-License-Identifier: Apache-2.0
 *
 * Desired configuration: it is read, merged with what is wanted, and written back only if nobody wrote in between. */
#include <stdlib.h>
#include <string.h>

#include "ops/ctl/ctl.h"

/* RFC 7396: objects merge, null takes away, anything else replaces. */
static void merge(json_t *to, json_t *patch)
{
	const char *name;
	json_t *value;

	json_object_foreach(patch, name, value)
	{
		if (json_is_null(value)) {
			json_object_del(to, name);
		} else if (!json_is_object(value)) {
			json_object_set(to, name, value);
		} else {
			if (!json_is_object(json_object_get(to, name)))
				json_object_set_new(to, name, json_object());
			merge(json_object_get(to, name), value);
		}
	}
}

/* The body of the new version, to be freed: the old configuration, or none of it with --replace, and the changes. */
static char *next_version(const struct invocation *in, const json_t *answer, struct err *e)
{
	const char *reason = invocation_value(in, "reason");
	json_t *changes = ctl_body(in, e), *was = value_at(answer, "desired.config");

	if (changes == NULL)
		return NULL;
	bool keep = invocation_value(in, "replace") == NULL && json_is_object(was);
	json_t *config = keep ? json_deep_copy(was) : json_object();
	merge(config, changes);
	json_t *body = json_pack("{s:o, s:s*}", "config", config, "reason", reason);
	char *text = body != NULL ? json_dumps(body, JSON_COMPACT | JSON_REAL_PRECISION(15)) : NULL;
	json_decref(body);
	json_decref(changes);
	if (text == NULL)
		err_set(e, ERR_CONFIG, "--reason: expected UTF-8");
	return text;
}

bool run_config_set(struct ctl *ctl, const struct invocation *in, struct err *e)
{
	struct target t;
	struct reply r = {0};
	json_t *answer = NULL;
	char *body = NULL, etag[CLIENT_ID_MAX];
	const struct call get = {.target = t.text};
	bool ok = false;

	ctl_target(in, &t);
	if (!target_ok(&t, e) || !ctl_call(ctl, &get, &r, e) || (answer = ctl_json(&r, e)) == NULL ||
	    (body = next_version(in, answer, e)) == NULL)
		goto out;
	memcpy(etag, r.etag, sizeof(etag));
	const struct call put = {.method = "PUT",
				 .target = t.text,
				 .content_type = "application/json",
				 .if_match = etag,
				 .body = body,
				 .body_len = strlen(body)};
	ok = ctl_call(ctl, &put, &r, e) && ctl_show(ctl, &r, e);
out:
	free(body);
	json_decref(answer);
	reply_free(&r);
	return ok;
}
