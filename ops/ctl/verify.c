/* SPDX-License-Identifier: Apache-2.0
 *
 * A trail is one long merge: its lines, in the order of their numbers, with the checkpoints that were kept elsewhere.
 * Lines are taken apart by their fixed shape, so the bytes that are hashed are the very bytes that a reader of the file
 * sees. */
#include "ops/ctl/verify.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HEX_LEN (2 * AUDIT_HASH_BYTES)

struct verify {
	const struct cose_keyring *ring;
	FILE *file; /* checkpoints kept elsewhere */
	uint64_t file_line;
	struct audit_checkpoint next; /* of the file, not yet met; number 0: there is none */
	uint64_t line;
	struct audit_place at;
	struct verify_result result;
};

/* A line of an export, its parts within it. */
struct line {
	uint8_t previous[AUDIT_HASH_BYTES], hash[AUDIT_HASH_BYTES];
	struct audit_entry entry;
	const char *at;
};

struct verify *verify_new(uint64_t after, const struct cose_keyring *ring, FILE *checkpoints)
{
	struct verify *v = calloc(1, sizeof(*v));
	if (v == NULL)
		abort();
	v->ring = ring;
	v->file = checkpoints;
	v->at.number = after;
	v->result.start_known = after == 0; /* the first entry comes after 32 zeros */
	v->at.any = after != 0;
	return v;
}

void verify_free(struct verify **v)
{
	free(*v);
	*v = NULL;
}

/* ---- taking a line apart ---- */

struct scan {
	const char *at, *end;
};

static bool scan_word(struct scan *s, const char *word)
{
	size_t len = strlen(word);
	if ((size_t)(s->end - s->at) < len || memcmp(s->at, word, len) != 0)
		return false;
	s->at += len;
	return true;
}

static bool scan_hash(struct scan *s, uint8_t hash[AUDIT_HASH_BYTES])
{
	static const char digits[] = "0123456789abcdef";
	if (s->end - s->at < HEX_LEN)
		return false;
	for (size_t i = 0; i < HEX_LEN; i++) {
		const char *digit = memchr(digits, s->at[i], 16);
		if (digit == NULL)
			return false;
		hash[i / 2] = (uint8_t)(hash[i / 2] << 4 | (uint8_t)(digit - digits));
	}
	s->at += HEX_LEN;
	return true;
}

static bool scan_number(struct scan *s, uint64_t *number)
{
	size_t digits = 0;
	*number = 0;
	for (; s->at < s->end && *s->at >= '0' && *s->at <= '9' && digits < 19; s->at++, digits++)
		*number = *number * 10 + (uint64_t)(*s->at - '0');
	return digits > 0 && *number > 0;
}

static bool scan_entry(const char *line, size_t len, struct line *x)
{
	struct scan s = {line, line + len};
	if (!scan_word(&s, "{\"previous\":\"") || !scan_hash(&s, x->previous) || !scan_word(&s, "\",\"hash\":\"") ||
	    !scan_hash(&s, x->hash) || !scan_word(&s, "\",\"entry\":"))
		return false;
	x->entry = (struct audit_entry){.previous = x->previous, .hash = x->hash, .canonical = s.at};
	if (!scan_word(&s, "{\"number\":") || !scan_number(&s, &x->entry.number) || !scan_word(&s, ",\"at\":\""))
		return false;
	x->at = s.at;
	if (s.end - s.at < VERIFY_TIME_MAX + 2 || s.end[-1] != '}' || s.end[-2] != '}')
		return false;
	x->entry.canonical_len = (size_t)(s.end - 1 - x->entry.canonical);
	return true;
}

/* ---- checkpoints ---- */

static const char *time_text(int64_t at, char text[32])
{
	const time_t seconds = (time_t)at;
	struct tm utc;
	if (gmtime_r(&seconds, &utc) == NULL || strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", &utc) == 0)
		snprintf(text, 32, "?");
	return text;
}

static bool open_message(const struct verify *v, const uint8_t *message, size_t len, struct audit_checkpoint *c,
			 struct err *e)
{
	if (audit_checkpoint_open(v->ring, message, len, c, NULL, e))
		return true;
	e->code = ERR_CONFLICT;
	return false;
}

/* A checkpoint about the entry that `v` stands at. */
static bool meet(struct verify *v, const struct audit_checkpoint *c, struct err *e)
{
	char at[32];
	if (v->at.any) {
		memcpy(v->at.hash, c->hash, sizeof(v->at.hash));
		v->at.any = false;
		v->result.start_known = true;
	}
	if (memcmp(c->hash, v->at.hash, sizeof(v->at.hash)) != 0)
		return err_set(e, ERR_CONFLICT,
			       "entry %" PRIu64 ": not the one that was signed at %s: entries after %" PRIu64
			       " were replaced and hashed anew",
			       c->number, time_text(c->at, at), v->result.signed_through);
	v->result.checkpoints++;
	v->result.signed_through = c->number;
	v->result.signed_at = c->at;
	return true;
}

/* Reads the file on to the next line that is a checkpoint: one that a power failure cut short is none. */
static bool file_line(struct verify *v, uint8_t message[AUDIT_CHECKPOINT_MAX], size_t *len)
{
	char line[AUDIT_LINE_MAX + 1];
	while (v->file != NULL && fgets(line, sizeof(line), v->file) != NULL) {
		v->file_line++;
		if (audit_checkpoint_message(line, strlen(line), message, len, NULL))
			return true;
		v->result.torn++;
	}
	return false;
}

static bool file_next(struct verify *v, struct err *e)
{
	uint8_t message[AUDIT_CHECKPOINT_MAX];
	const uint64_t before = v->next.number;
	size_t len;
	v->next.number = 0;
	if (!file_line(v, message, &len))
		return v->file == NULL || !ferror(v->file) || err_set(e, ERR_CONFIG, "checkpoints: cannot be read");
	if (!open_message(v, message, len, &v->next, e))
		return err_prefix(e, "checkpoints, line %" PRIu64 ": ", v->file_line);
	if (v->next.number == 0 || v->next.number < before)
		return err_set(e, ERR_CONFLICT,
			       "checkpoints, line %" PRIu64 ": signs entry %" PRIu64 " after entry %" PRIu64
			       ": the trail was once longer than later",
			       v->file_line, v->next.number, before);
	return true;
}

/* Meets what the file says about the entry that `v` stands at; what lies before the trail is passed over. */
static bool meet_file(struct verify *v, struct err *e)
{
	if (v->file_line == 0 && !file_next(v, e))
		return false;
	while (v->next.number != 0 && v->next.number <= v->at.number) {
		if (v->next.number == v->at.number && !meet(v, &v->next, e))
			return err_prefix(e, "checkpoints, line %" PRIu64 ": ", v->file_line);
		if (!file_next(v, e))
			return false;
	}
	return true;
}

static bool own_checkpoint(struct verify *v, const char *line, size_t len, struct err *e)
{
	struct audit_checkpoint c;
	uint8_t message[AUDIT_CHECKPOINT_MAX];
	size_t message_len;
	if (v->ring->count == 0)
		return true;
	if (!audit_checkpoint_message(line, len, message, &message_len, e))
		return err_set(e, ERR_CONFLICT, "line %" PRIu64 ": not a checkpoint as an export writes it", v->line);
	if (!open_message(v, message, message_len, &c, e))
		return err_prefix(e, "line %" PRIu64 ": a checkpoint that proves nothing: ", v->line);
	if (c.number != v->at.number)
		return err_set(e, ERR_CONFLICT,
			       "line %" PRIu64 ": the checkpoint of entry %" PRIu64 " stands after entry %" PRIu64,
			       v->line, c.number, v->at.number);
	return meet(v, &c, e);
}

/* ---- entries ---- */

bool verify_line(struct verify *v, const char *line, size_t len, struct err *e)
{
	static const char checkpoint[] = "{\"checkpoint\":";
	struct line x;

	v->line++;
	if (len > 0 && line[len - 1] == '\n')
		len--;
	if (v->line == 1 && !meet_file(v, e))
		return false;
	if (len >= sizeof(checkpoint) && memcmp(line, checkpoint, sizeof(checkpoint) - 1) == 0)
		return own_checkpoint(v, line, len, e);
	if (!scan_entry(line, len, &x))
		return err_set(e, ERR_CONFLICT,
			       "entry %" PRIu64 ": line %" PRIu64 " is not an entry as an export writes it",
			       v->at.number + 1, v->line);
	if (!audit_step(&v->at, &x.entry, e))
		return err_prefix(e, "line %" PRIu64 ": ", v->line);
	if (v->result.first == 0) {
		v->result.first = v->at.number;
		memcpy(v->result.from, x.at, VERIFY_TIME_MAX - 1);
	}
	v->result.last = v->at.number;
	memcpy(v->result.to, x.at, VERIFY_TIME_MAX - 1);
	return meet_file(v, e);
}

bool verify_end(struct verify *v, struct verify_result *result, struct err *e)
{
	char at[32];
	if (v->line == 0 && !meet_file(v, e))
		return false;
	if (v->next.number != 0)
		return err_set(e, ERR_CONFLICT,
			       "entry %" PRIu64
			       ": missing; the trail ends before it, but at %s it had at least %" PRIu64
			       " entries (checkpoints, line %" PRIu64 ")",
			       v->at.number + 1, time_text(v->next.at, at), v->next.number, v->file_line);
	*result = v->result;
	return true;
}
