/* SPDX-License-Identifier: Apache-2.0
 *
 * Layout, little endian as the machine has it: header slot 0, header slot 1, samples. A header slot is valid when its
 * magic and CRC are right; of two valid ones the higher generation counts. A sample is its length, its CRC, and then
 * ts, seq, count and the measures. */
#include "tests/tracker/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC       0x31485346u /* "FSH1" */
#define WORN_BYTES  65536
#define RECORD_HEAD 8  /* length, CRC */
#define SAMPLE_HEAD 16 /* ts, seq, count, zero */
#define RECORD_MAX  (RECORD_HEAD + SAMPLE_HEAD + MEASURES_MAX * sizeof(struct measure))

struct header {
	uint32_t magic;
	int32_t epoch;
	uint64_t generation;
	int32_t first, next;
	int64_t last_ts;
	uint8_t zero[28];
	uint32_t crc; /* of everything before it */
};
_Static_assert(sizeof(struct header) == JOURNAL_HEADERS_SIZE / 2, "two header slots");

struct journal {
	int fd;
	int old_fd; /* while being replaced */
	char *path;
	uint64_t generation;
	off_t end;
	size_t samples;
};

uint32_t journal_crc(const void *bytes, size_t len)
{
	static uint32_t table[256];
	const uint8_t *p = bytes;
	uint32_t crc = 0xffffffffu;

	if (table[1] == 0) {
		for (uint32_t i = 0; i < 256; i++) {
			uint32_t c = i;
			for (int k = 0; k < 8; k++)
				c = c & 1 ? 0xedb88320u ^ c >> 1 : c >> 1;
			table[i] = c;
		}
	}
	for (size_t i = 0; i < len; i++)
		crc = table[(crc ^ p[i]) & 0xff] ^ crc >> 8;
	return ~crc;
}

static bool read_header(const uint8_t *slot, struct header *h)
{
	memcpy(h, slot, sizeof(*h));
	return h->magic == MAGIC && h->crc == journal_crc(h, offsetof(struct header, crc)) && h->first >= 0 &&
	       h->next >= h->first;
}

static bool best_header(const uint8_t *file, size_t len, struct header *best)
{
	struct header h = {0};
	bool found = false;

	if (len < JOURNAL_HEADERS_SIZE)
		return false;
	for (size_t slot = 0; slot < 2; slot++) {
		if (read_header(file + slot * sizeof(h), &h) && (!found || h.generation > best->generation)) {
			*best = h;
			found = true;
		}
	}
	return found;
}

/* The length of the record's payload, 0 when it is damaged or cut off. */
static size_t record_payload(const uint8_t *record, size_t left)
{
	uint32_t len, crc;

	if (left < RECORD_HEAD)
		return 0;
	memcpy(&len, record, sizeof(len));
	memcpy(&crc, record + sizeof(len), sizeof(crc));
	if (len < SAMPLE_HEAD || len > RECORD_MAX - RECORD_HEAD || left - RECORD_HEAD < len ||
	    (len - SAMPLE_HEAD) % sizeof(struct measure) != 0 || journal_crc(record + RECORD_HEAD, len) != crc)
		return 0;
	return len;
}

static bool measures_valid(const struct sample *s)
{
	for (uint16_t i = 0; i < s->count; i++)
		if (s->measures[i].quantity >= QUANTITIES || s->measures[i].probe >= PROBES_MAX)
			return false;
	return s->seq >= 0;
}

/* Returns the offset of the first byte that is not part of a good record. */
static size_t read_samples(struct journal *j, const uint8_t *file, size_t len, journal_sample_cb *cb, void *arg)
{
	size_t at = JOURNAL_HEADERS_SIZE, payload;
	struct sample *s = malloc(sizeof(*s) + RECORD_MAX);

	if (s == NULL)
		abort();
	while ((payload = record_payload(file + at, len - at)) > 0) {
		const uint8_t *p = file + at + RECORD_HEAD;
		memset(s, 0, sizeof(*s));
		memcpy(&s->ts, p, 8);
		memcpy(&s->seq, p + 8, 4);
		s->count = (uint16_t)((payload - SAMPLE_HEAD) / sizeof(struct measure));
		memcpy(s->measures, p + SAMPLE_HEAD, payload - SAMPLE_HEAD);
		if (!measures_valid(s))
			break;
		cb(s, arg);
		j->samples++;
		at += RECORD_HEAD + payload;
	}
	free(s);
	return at;
}

static bool write_at(const struct journal *j, const void *bytes, size_t len, off_t at, struct err *e)
{
	ssize_t n = pwrite(j->fd, bytes, len, at);

	if (n == (ssize_t)len)
		return true;
	return err_set(e, ERR_SYSTEM, "%s: write of %zu bytes at %lld: %s", j->path, len, (long long)at,
		       n < 0 ? strerror(errno) : "file system full");
}

static uint8_t *slurp(int fd, size_t *len)
{
	struct stat st;
	uint8_t *bytes;

	if (fstat(fd, &st) != 0 || (bytes = malloc((size_t)st.st_size + 1)) == NULL)
		return NULL;
	ssize_t n = pread(fd, bytes, (size_t)st.st_size, 0);
	*len = n < 0 ? 0 : (size_t)n;
	return bytes;
}

static bool take_contents(struct journal *j, struct journal_state *state, bool *known, journal_sample_cb *cb, void *arg,
			  struct err *e)
{
	struct header h = {0};
	size_t len = 0;
	uint8_t *file = slurp(j->fd, &len);

	if (file == NULL)
		return err_set(e, ERR_SYSTEM, "%s: read: %s", j->path, strerror(errno));
	*known = best_header(file, len, &h);
	j->end = JOURNAL_HEADERS_SIZE;
	if (*known) {
		*state = (struct journal_state){h.epoch, h.first, h.next, h.last_ts};
		j->generation = h.generation;
		j->end = (off_t)read_samples(j, file, len, cb, arg);
	}
	free(file);
	if (len != (size_t)j->end && ftruncate(j->fd, j->end) != 0)
		return err_set(e, ERR_SYSTEM, "%s: truncate: %s", j->path, strerror(errno));
	return true;
}

struct journal *journal_open(const char *path, struct journal_state *state, bool *known, journal_sample_cb *cb,
			     void *arg, struct err *e)
{
	struct journal *j = calloc(1, sizeof(*j));

	if (j == NULL || (j->path = strdup(path)) == NULL)
		abort();
	j->old_fd = -1;
	j->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (j->fd < 0)
		err_set(e, ERR_SYSTEM, "%s: open: %s", path, strerror(errno));
	else if (take_contents(j, state, known, cb, arg, e))
		return j;
	journal_close(&j);
	return NULL;
}

void journal_close(struct journal **j)
{
	if (*j == NULL)
		return;
	if ((*j)->fd >= 0)
		close((*j)->fd);
	if ((*j)->old_fd >= 0)
		close((*j)->old_fd);
	free((*j)->path);
	free(*j);
	*j = NULL;
}

bool journal_append(struct journal *j, const struct sample *s, struct err *e)
{
	uint8_t record[RECORD_MAX] = {0};
	uint32_t len = (uint32_t)(SAMPLE_HEAD + s->count * sizeof(struct measure));
	uint32_t crc;

	memcpy(record + RECORD_HEAD, &s->ts, 8);
	memcpy(record + RECORD_HEAD + 8, &s->seq, 4);
	memcpy(record + RECORD_HEAD + SAMPLE_HEAD, s->measures, s->count * sizeof(struct measure));
	crc = journal_crc(record + RECORD_HEAD, len);
	memcpy(record, &len, sizeof(len));
	memcpy(record + sizeof(len), &crc, sizeof(crc));
	if (!write_at(j, record, RECORD_HEAD + len, j->end, e))
		return false;
	j->end += (off_t)(RECORD_HEAD + len);
	j->samples++;
	return true;
}

bool journal_write_state(struct journal *j, const struct journal_state *state, struct err *e)
{
	struct header h = {.magic = MAGIC,
			   .epoch = state->epoch,
			   .generation = ++j->generation,
			   .first = state->first,
			   .next = state->next,
			   .last_ts = state->last_ts};

	h.crc = journal_crc(&h, offsetof(struct header, crc));
	return write_at(j, &h, sizeof(h), (off_t)(j->generation % 2 * sizeof(h)), e);
}

bool journal_worn(const struct journal *j, size_t live_samples)
{
	return j->end > WORN_BYTES && j->samples > 4 * live_samples;
}

static bool temporary(const struct journal *j, char *out, size_t size)
{
	return snprintf(out, size, "%s.new", j->path) < (int)size;
}

bool journal_replace_begin(struct journal *j, struct err *e)
{
	char path[4096];
	int fd = -1;

	if (!temporary(j, path, sizeof(path)) || (fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)) < 0)
		return err_set(e, ERR_SYSTEM, "%s.new: open: %s", j->path, strerror(errno));
	j->old_fd = j->fd;
	j->fd = fd;
	j->end = JOURNAL_HEADERS_SIZE;
	j->samples = 0;
	return true;
}

/* Both slots are written, so that a file with one damaged slot is still understood. */
bool journal_replace_end(struct journal *j, const struct journal_state *state, struct err *e)
{
	char path[4096];

	if (!temporary(j, path, sizeof(path)) || !journal_write_state(j, state, e) || !journal_write_state(j, state, e))
		return false;
	if (rename(path, j->path) != 0)
		return err_set(e, ERR_SYSTEM, "%s: rename: %s", path, strerror(errno));
	close(j->old_fd);
	j->old_fd = -1;
	return true;
}
