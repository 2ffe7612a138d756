/* SPDX-License-Identifier: Apache-2.0
 *
 * The file is written beside the old one and takes its place; the log is only ever appended to. */
#include "tests/tracker/mcu.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/tracker/mcu_image.h"

#define PATH_BYTES 4096
#define YEAR_2020  1577836800

struct mcu {
	char *base; /* NULL: in memory */
	struct mcu_state s;
};

/* One thread: only needed while an image is written or read. */
static uint8_t image[MCU_IMAGE_MAX];

/* ---- files ---- */

static bool path_of(const struct mcu *m, const char *suffix, char out[PATH_BYTES], struct err *e)
{
	return snprintf(out, PATH_BYTES, "%s.%s", m->base, suffix) < PATH_BYTES ||
	       err_set(e, ERR_INVALID, "--flash: the folder's name is too long");
}

/* A name is only kept when its folder is. */
static void sync_folder(const char *path)
{
	char folder[PATH_BYTES];
	const char *slash = strrchr(path, '/');
	snprintf(folder, sizeof(folder), "%.*s", slash != NULL ? (int)(slash - path) : 1, slash != NULL ? path : ".");
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0) {
		fsync(fd);
		close(fd);
	}
}

static bool write_all(int fd, const void *bytes, size_t len, bool sync)
{
	return write(fd, bytes, len) == (ssize_t)len && (!sync || fdatasync(fd) == 0);
}

static bool save(struct mcu *m, bool sync, struct err *e)
{
	char path[PATH_BYTES], fresh[PATH_BYTES];
	size_t len;
	if (m->base == NULL)
		return true;
	if (!path_of(m, "mcu", path, e) || !path_of(m, "mcu.new", fresh, e) ||
	    !mcu_image_write(&m->s, image, sizeof(image), &len, e))
		return false;
	int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	bool ok = fd >= 0 && write_all(fd, image, len, sync);
	if (fd >= 0)
		close(fd);
	if (!ok || rename(fresh, path) != 0)
		return err_set(e, ERR_SYSTEM, "%.160s: %s", path, strerror(errno));
	if (sync)
		sync_folder(path);
	return true;
}

bool mcu_save(struct mcu *m, struct err *e)
{
	return save(m, false, e);
}

/* False with ERR_NONE in e: there is none yet. */
static bool load(struct mcu *m, struct err *e)
{
	char path[PATH_BYTES];
	if (!path_of(m, "mcu", path, e))
		return false;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? false : err_set(e, ERR_SYSTEM, "%.160s: %s", path, strerror(errno));
	ssize_t n = read(fd, image, sizeof(image));
	close(fd);
	if (n < 0)
		return err_set(e, ERR_SYSTEM, "%.160s: %s", path, strerror(errno));
	return mcu_image_read(image, (size_t)n, &m->s, e) || err_prefix(e, "%.100s: ", path);
}

/* ---- opening ---- */

/* Of the list in the file and the one in the memory the newer one counts; a single key is older than any list. */
static bool choose_trust(struct mcu *m, const char *path, struct err *e)
{
	if (path == NULL)
		return true;
	struct trust *given = trust_load(path, e);
	if (given == NULL)
		return err_prefix(e, "--trust: ");
	if (m->s.trust == NULL || trust_version(given) > trust_version(m->s.trust)) {
		trust_free(&m->s.trust);
		m->s.trust = given;
	} else {
		trust_free(&given);
	}
	return true;
}

struct mcu *mcu_open(const char *base, const char *trust_path, struct err *e)
{
	struct mcu *m = calloc(1, sizeof(*m));
	struct err why = {.code = ERR_NONE};
	if (m == NULL || (base != NULL && (m->base = strdup(base)) == NULL))
		abort();
	if (base != NULL && !load(m, &why) && why.code != ERR_NONE)
		goto failed;
	m->s.boot_count = base != NULL ? m->s.boot_count + 1 : (int64_t)time(NULL) - YEAR_2020;
	if (choose_trust(m, trust_path, &why) && save(m, true, &why))
		return m;
failed:
	if (e != NULL)
		*e = why;
	mcu_free(&m);
	return NULL;
}

static void free_outcome(struct mcu_outcome *o)
{
	free(o->reason);
	free(o->result);
	*o = (struct mcu_outcome){0};
}

void mcu_free(struct mcu **m)
{
	if (*m == NULL)
		return;
	struct mcu_state *s = &(*m)->s;
	for (size_t i = 0; i < s->pending_count; i++)
		free(s->pending[i].payload);
	for (size_t i = 0; i < MCU_OUTCOMES; i++)
		free_outcome(&s->outcomes[i]);
	trust_free(&s->trust);
	free(s->config);
	free((*m)->base);
	free(*m);
	*m = NULL;
}

const struct mcu_state *mcu_state(const struct mcu *m)
{
	return &m->s;
}

struct mcu_state *mcu_change(struct mcu *m)
{
	return &m->s;
}

bool mcu_measures(const struct mcu *m)
{
	return !(m->s.disabled && m->s.halted);
}

bool mcu_speaks(const struct mcu *m)
{
	return !m->s.disabled;
}

void mcu_reboot(struct mcu *m)
{
	m->s.boot_count++;
}

/* ---- commands ---- */

/* Key 2 of the payload, which command_decode() has found good. */
static bool has_id(const struct mcu_pending *p, const uint8_t id[COMMAND_ID_BYTES])
{
	struct command_message c;
	return command_decode(p->payload, p->payload_len, &c, NULL) && memcmp(c.id, id, COMMAND_ID_BYTES) == 0;
}

struct mcu_pending *mcu_find_pending(struct mcu *m, const uint8_t id[COMMAND_ID_BYTES])
{
	for (size_t i = 0; i < m->s.pending_count; i++)
		if (has_id(&m->s.pending[i], id))
			return &m->s.pending[i];
	return NULL;
}

struct mcu_outcome *mcu_find_outcome(struct mcu *m, const uint8_t id[COMMAND_ID_BYTES])
{
	for (size_t i = 0; i < m->s.outcome_count; i++)
		if (memcmp(m->s.outcomes[i].id, id, COMMAND_ID_BYTES) == 0)
			return &m->s.outcomes[i];
	return NULL;
}

bool mcu_begin(struct mcu *m, const struct command_message *c, struct cbor_view payload, int64_t generation,
	       struct err *e)
{
	if (m->s.pending_count == MCU_PENDING)
		return err_set(e, ERR_OVERLOADED, "%d commands are being carried out already", MCU_PENDING);
	struct mcu_pending *p = &m->s.pending[m->s.pending_count++];
	*p = (struct mcu_pending){malloc(payload.len), payload.len, generation};
	if (p->payload == NULL)
		abort();
	memcpy(p->payload, payload.at, payload.len);
	m->s.epoch = c->epoch;
	m->s.counter = c->counter;
	return save(m, true, e);
}

bool mcu_log_act(struct mcu *m, const struct command_message *c, struct err *e)
{
	char path[PATH_BYTES], id[COMMAND_ID_TEXT], line[256];
	struct timespec now;
	if (m->base == NULL)
		return true;
	if (!path_of(m, "acts", path, e))
		return false;
	clock_gettime(CLOCK_REALTIME, &now);
	command_id_text(c->id, id);
	int len = snprintf(
		line, sizeof(line),
		"{\"command_id\":\"%s\",\"epoch\":%lld,\"counter\":%lld,\"operation\":\"%s\",\"at\":%lld.%03ld}\n", id,
		(long long)c->epoch, (long long)c->counter, c->operation->name, (long long)now.tv_sec,
		now.tv_nsec / 1000000);
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	bool ok = fd >= 0 && write_all(fd, line, (size_t)len, false);
	if (!ok)
		err_set(e, ERR_SYSTEM, "%.160s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return ok;
}

bool mcu_has_acted(const struct mcu *m, const uint8_t id[COMMAND_ID_BYTES])
{
	char path[PATH_BYTES], text[COMMAND_ID_TEXT], line[256];
	bool found = false;
	if (m->base == NULL || !path_of(m, "acts", path, NULL))
		return false;
	FILE *f = fopen(path, "re");
	command_id_text(id, text);
	while (f != NULL && !found && fgets(line, sizeof(line), f) != NULL)
		found = strstr(line, text) != NULL;
	if (f != NULL)
		fclose(f);
	return found;
}

static void drop_pending(struct mcu *m, const struct mcu_pending *p)
{
	size_t at = (size_t)(p - m->s.pending);
	free(m->s.pending[at].payload);
	m->s.pending_count--;
	memmove(&m->s.pending[at], &m->s.pending[at + 1], (m->s.pending_count - at) * sizeof(*p));
}

static struct mcu_outcome *next_outcome(struct mcu_state *s)
{
	size_t at = (s->outcome_first + s->outcome_count) % MCU_OUTCOMES;
	if (s->outcome_count == MCU_OUTCOMES)
		s->outcome_first = (s->outcome_first + 1) % MCU_OUTCOMES;
	else
		s->outcome_count++;
	free_outcome(&s->outcomes[at]);
	return &s->outcomes[at];
}

static struct mcu_outcome *add_outcome(struct mcu *m, const struct command_message *c, int64_t generation,
				       int64_t status, const char *reason, struct cbor_view result)
{
	struct mcu_outcome *o = next_outcome(&m->s);
	memcpy(o->id, c->id, sizeof(o->id));
	o->counter = c->counter;
	o->status = status;
	o->generation = generation;
	o->reason = reason != NULL && reason[0] != '\0' ? strndup(reason, COMMAND_REASON_MAX) : NULL;
	if (result.len > 0 && (o->result = malloc(result.len)) == NULL)
		abort();
	if (result.len > 0)
		memcpy(o->result, result.at, result.len);
	o->result_len = result.len;
	return o;
}

struct mcu_outcome *mcu_done(struct mcu *m, const struct command_message *c, int64_t status, const char *reason,
			     struct cbor_view result, struct err *e)
{
	struct mcu_pending *p = mcu_find_pending(m, c->id);
	struct mcu_outcome *o = add_outcome(m, c, p != NULL ? p->generation : -1, status, reason, result);
	if (p != NULL)
		drop_pending(m, p);
	return save(m, true, e) ? o : NULL;
}

struct mcu_outcome *mcu_refuse(struct mcu *m, const struct command_message *c, int64_t generation, const char *reason,
			       struct err *e)
{
	struct mcu_outcome *o = add_outcome(m, c, generation, COMMAND_REJECTED, reason, (struct cbor_view){0});
	m->s.epoch = c->epoch;
	m->s.counter = c->counter;
	return save(m, true, e) ? o : NULL;
}
