/* SPDX-License-Identifier: Apache-2.0
 *
 * `audit verify`: an exported audit trail against its own hashes and the signed checkpoints, without a network, an API
 * or a token. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "ops/ctl/ctl.h"
#include "ops/ctl/verify.h"

#define LINE_MAX_BYTES ((size_t)16 << 20) /* no entry is as long; only what is used of it takes memory */
#define DRAW_EVERY     (1 << 15)          /* entries */

struct files {
	FILE *trail, *checkpoints;
	struct cose_key *keys[COSE_KEYS_MAX];
	struct cose_keyring ring;
	char *line;
};

static FILE *open_file(const char *path, struct err *e)
{
	FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
	if (file == NULL)
		err_set(e, ERR_CONFIG, "%s: %s", path, strerror(errno));
	return file;
}

static bool load_keys(struct files *f, const char *paths, struct err *e)
{
	char *list = strdup(paths), *rest = NULL;
	bool ok = list != NULL;

	for (char *path = strtok_r(list, ",", &rest); ok && path != NULL; path = strtok_r(NULL, ",", &rest)) {
		if (f->ring.count == COSE_KEYS_MAX) {
			ok = err_set(e, ERR_CONFIG, "--key: expected at most %d keys", COSE_KEYS_MAX);
			break;
		}
		ok = (f->keys[f->ring.count] = cose_key_load_pem(path, e)) != NULL;
		if (ok) {
			f->ring.keys[f->ring.count] = f->keys[f->ring.count];
			f->ring.count++;
		}
	}
	free(list);
	return ok;
}

static bool open_files(struct files *f, const struct invocation *in, struct err *e)
{
	const char *keys = invocation_value(in, "key"), *checkpoints = invocation_value(in, "checkpoints");

	if (checkpoints != NULL && keys == NULL)
		return err_set(e, ERR_CONFIG,
			       "--checkpoints: expected --key too, the public key that they are signed with");
	f->line = malloc(LINE_MAX_BYTES);
	return f->line != NULL && (keys == NULL || load_keys(f, keys, e)) &&
	       (checkpoints == NULL || (f->checkpoints = open_file(checkpoints, e)) != NULL) &&
	       (f->trail = open_file(in->args[0], e)) != NULL;
}

static void close_files(struct files *f)
{
	if (f->trail != NULL && f->trail != stdin)
		fclose(f->trail);
	if (f->checkpoints != NULL && f->checkpoints != stdin)
		fclose(f->checkpoints);
	for (size_t i = 0; i < COSE_KEYS_MAX; i++)
		cose_key_free(&f->keys[i]);
	free(f->line);
}

/* How far it is, over itself on a terminal and not at all elsewhere. */
static void draw(const struct ctl *ctl, uint64_t lines, off_t done, off_t size)
{
	if (!ctl->note_tty || lines % DRAW_EVERY != 0)
		return;
	fprintf(ctl->note, "\r%" PRIu64 " lines", lines);
	if (size > 0)
		fprintf(ctl->note, ", %d %%", (int)(100 * (double)done / (double)size));
	fflush(ctl->note);
}

static bool read_trail(struct ctl *ctl, const struct files *f, struct verify *v, struct err *e)
{
	struct stat st;
	off_t done = 0;
	uint64_t lines = 0;
	bool ok = true;

	const off_t size = fstat(fileno(f->trail), &st) == 0 && S_ISREG(st.st_mode) ? st.st_size : 0;
	while (ok && fgets(f->line, (int)LINE_MAX_BYTES, f->trail) != NULL) {
		size_t len = strlen(f->line);
		done += (off_t)len;
		draw(ctl, ++lines, done, size);
		/* What stands behind a zero byte would be passed over. */
		ok = (len > 0 && f->line[len - 1] == '\n') ||
		     err_set(e, ERR_CONFLICT, "line %" PRIu64 ": cut off, or it has a zero byte in it", lines);
		ok = ok && verify_line(v, f->line, len, e);
	}
	if (ctl->note_tty && lines >= DRAW_EVERY)
		fputs("\r\033[K", ctl->note);
	return ok && (!ferror(f->trail) || err_set(e, ERR_CONFIG, "cannot be read: %s", strerror(errno)));
}

static void show(const struct ctl *ctl, const struct verify_result *r)
{
	char at[32] = "";
	const time_t seconds = (time_t)r->signed_at;
	struct tm utc;

	if (r->signed_through > 0 && gmtime_r(&seconds, &utc) != NULL)
		strftime(at, sizeof(at), "%Y-%m-%dT%H:%M:%SZ", &utc);
	if (ctl->json) {
		fprintf(ctl->out,
			"{\"first\":%" PRIu64 ",\"last\":%" PRIu64
			",\"from\":\"%s\",\"to\":\"%s\",\"checkpoints\":%" PRIu64 ",\"signed_through\":%" PRIu64
			",\"signed_at\":\"%s\",\"start_known\":%s}\n",
			r->first, r->last, r->from, r->to, r->checkpoints, r->signed_through, at,
			r->start_known ? "true" : "false");
		return;
	}
	if (r->last > 0)
		fprintf(ctl->out, "Entries %" PRIu64 " to %" PRIu64 " (%s to %s): whole, unaltered and in order.\n",
			r->first, r->last, r->from, r->to);
	else
		fputs("No entries.\n", ctl->out);
	if (r->signed_through > 0)
		fprintf(ctl->out, "Signed through entry %" PRIu64 ", at %s; %" PRIu64 " checkpoints hold.\n",
			r->signed_through, at, r->checkpoints);
}

/* What was not proved is said too, each time. */
static void caution(const struct ctl *ctl, const struct verify_result *r, const struct files *f)
{
	if (f->ring.count == 0)
		fputs("No --key: a trail that was made anew as a whole would look the same.\n", ctl->note);
	else if (r->signed_through < r->last)
		fprintf(ctl->note, "No checkpoint yet signs the entries after %" PRIu64 ".\n", r->signed_through);
	if (f->ring.count > 0 && f->checkpoints == NULL)
		fputs("No --checkpoints: entries cut off at the end, with their checkpoints, would not be missed.\n",
		      ctl->note);
	if (r->torn > 0)
		fprintf(ctl->note, "%" PRIu64 " lines of the file of checkpoints are none, and were passed over.\n",
			r->torn);
	if (!r->start_known)
		fputs("What comes before the first entry was not looked at.\n", ctl->note);
}

bool run_audit_verify(struct ctl *ctl, const struct invocation *in, struct err *e)
{
	struct files f = {0};
	struct verify_result result;
	const char *after = invocation_value(in, "after");
	struct verify *v = NULL;

	bool ok = open_files(&f, in, e);
	if (!ok)
		goto out;
	v = verify_new(after != NULL ? strtoull(after, NULL, 10) : 0, &f.ring, f.checkpoints);
	ok = read_trail(ctl, &f, v, e) && verify_end(v, &result, e);
	if (!ok) {
		err_prefix(e, "%s: ", in->args[0]);
		goto out;
	}
	show(ctl, &result);
	caution(ctl, &result, &f);
out:
	verify_free(&v);
	close_files(&f);
	return ok;
}
