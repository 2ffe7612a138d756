/* SPDX-License-Identifier: Apache-2.0
 *
 * One look at the head every quarter of checkpoint_every; when the chain has grown, its new entries are read in chunks,
 * verified, and signed for. The line is on disk before the database learns of it: the file is never behind. */
#include "broker-bridge/signer_checkpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/pg_array.h"
#include "schema/queries.h"

#define CHUNK      2000
#define CHUNK_TEXT "2000"

struct witness {
	const struct signer_config *config;
	const struct cose_key *key;
	struct metrics *metrics;
	struct db *db;
	struct event *timer;
	int fd;
	bool busy;
	struct audit_place signed_at; /* of the last checkpoint in the file */
	struct audit_place at, head;  /* how far this look has verified, and how far it goes */
	struct err fault;             /* of the chunk being read */
	int rows;
};

static const char object[] = "witness";

static const struct statement *const statements[] = {&stmt_signer_audit_head, &stmt_signer_audit_entries,
						     &stmt_signer_audit_checkpoint};

static void read_chunk(struct witness *w);

/* ---- the file ---- */

static bool file_fault(struct err *e, const char *path, const char *why)
{
	return err_set(e, ERR_CONFIG, "checkpoint file %.140s: %s", path, why);
}

static bool open_file(struct witness *w, struct err *e)
{
	const char *path = w->config->checkpoint_file;
	struct stat st;
	w->fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (w->fd < 0 || fstat(w->fd, &st) != 0)
		return file_fault(e, path, strerror(errno));
	if (!S_ISREG(st.st_mode) || (st.st_mode & 022) != 0)
		return file_fault(e, path, "expected a regular file that only this user may write to");
	return true;
}

/* A line that a power failure cut off is not a checkpoint: it is ended, so that the next one stands on its own. */
static bool last_line(struct witness *w, char line[AUDIT_LINE_MAX], size_t *len, struct err *e)
{
	char tail[2 * AUDIT_LINE_MAX];
	const char *path = w->config->checkpoint_file;
	struct stat st;
	*len = 0;
	if (fstat(w->fd, &st) != 0)
		return file_fault(e, path, strerror(errno));
	size_t size = st.st_size < (off_t)sizeof(tail) ? (size_t)st.st_size : sizeof(tail);
	if (pread(w->fd, tail, size, st.st_size - (off_t)size) != (ssize_t)size)
		return file_fault(e, path, "could not be read");
	if (size > 0 && tail[size - 1] != '\n') {
		log_warn(object, "%s: the last line was cut off and does not count", path);
		if (write(w->fd, "\n", 1) != 1)
			return file_fault(e, path, strerror(errno));
		while (size > 0 && tail[size - 1] != '\n')
			size--;
	}
	while (size > 0 && tail[size - 1] == '\n')
		size--;
	size_t start = size;
	while (start > 0 && tail[start - 1] != '\n')
		start--;
	*len = size - start;
	if (*len >= AUDIT_LINE_MAX)
		return file_fault(e, path, "the last line is longer than a checkpoint");
	memcpy(line, tail + start, *len);
	return true;
}

static bool resume(struct witness *w, struct err *e)
{
	const struct cose_keyring ring = {.keys = {w->key}, .count = 1};
	char line[AUDIT_LINE_MAX];
	uint8_t message[AUDIT_CHECKPOINT_MAX];
	struct audit_checkpoint c;
	size_t line_len, len;
	if (!open_file(w, e) || !last_line(w, line, &line_len, e))
		return false;
	if (line_len == 0)
		return true;
	if (!audit_checkpoint_message(line, line_len, message, &len, e) ||
	    !audit_checkpoint_open(&ring, message, len, &c, NULL, e)) {
		e->code = ERR_CONFIG;
		return err_prefix(e, "checkpoint file %.60s: its last line: ", w->config->checkpoint_file);
	}
	w->signed_at.number = c.number;
	memcpy(w->signed_at.hash, c.hash, sizeof(c.hash));
	return true;
}

static bool append(struct witness *w, const struct audit_checkpoint *c, const uint8_t *message, size_t len,
		   struct err *e)
{
	char line[AUDIT_LINE_MAX];
	if (!audit_checkpoint_line(c, cose_key_kid(w->key), message, len, line, e))
		return false;
	size_t line_len = strlen(line);
	if (write(w->fd, line, line_len) != (ssize_t)line_len || fsync(w->fd) != 0)
		return err_set(e, ERR_SYSTEM, "checkpoint file %.140s: %s", w->config->checkpoint_file,
			       strerror(errno));
	return true;
}

/* ---- a checkpoint ---- */

/* Said each time: whoever reads the log today shall see it today. */
static void chain_broken(struct witness *w, const char *what)
{
	metric_set(w->metrics, SM_CHAIN_BROKEN, 1);
	log_error(object,
		  "THE AUDIT TRAIL DOES NOT VERIFY: %s; nothing is signed. Checkpoints up to entry %" PRIu64
		  " are in %s",
		  what, w->signed_at.number, w->config->checkpoint_file);
	w->busy = false;
}

static void on_kept(struct db *db, bool ok, const char *sqlstate, const struct err *e, void *arg)
{
	struct witness *w = arg;
	(void)db, (void)sqlstate;
	if (!ok)
		log_warn(object, "checkpoint not kept in the database, the file has it: %s", e->detail);
	w->busy = false;
}

static void keep(struct witness *w, const struct audit_checkpoint *c, const uint8_t *message, size_t len)
{
	char number[24], at[24], hash[3 + 2 * AUDIT_HASH_BYTES] = "\\x", kid[3 + 2 * COSE_KID_BYTES] = "\\x";
	char hex[3 + 2 * AUDIT_CHECKPOINT_MAX] = "\\x";
	for (size_t i = 0; i < sizeof(c->hash); i++)
		snprintf(hash + 2 + 2 * i, 3, "%02x", c->hash[i]);
	for (size_t i = 0; i < COSE_KID_BYTES; i++)
		snprintf(kid + 2 + 2 * i, 3, "%02x", cose_key_kid(w->key)[i]);
	for (size_t i = 0; i < len; i++)
		snprintf(hex + 2 + 2 * i, 3, "%02x", message[i]);
	snprintf(number, sizeof(number), "%" PRIu64, c->number);
	snprintf(at, sizeof(at), "%" PRId64, c->at);
	const char *const values[] = {number, hash, at, kid, hex};
	const struct db_params params = {.count = 5, .values = values};
	if (!db_query(w->db, &stmt_signer_audit_checkpoint, &params, NULL, NULL) || !db_commit(w->db, on_kept, w))
		w->busy = false;
}

static void sign_head(struct witness *w)
{
	struct audit_checkpoint c = {.number = w->at.number, .at = (int64_t)time(NULL)};
	uint8_t message[AUDIT_CHECKPOINT_MAX];
	struct err e = {0};
	size_t len;
	memcpy(c.hash, w->at.hash, sizeof(c.hash));
	if (!audit_checkpoint_sign(w->key, &c, message, &len, &e) || !append(w, &c, message, len, &e)) {
		log_error(object, "no checkpoint: %s", e.detail);
		w->busy = false;
		return;
	}
	w->signed_at = w->at;
	metric_add(w->metrics, SM_CHECKPOINTS, 1);
	metric_set(w->metrics, SM_CHAIN_BROKEN, 0);
	metric_set(w->metrics, SM_CHAIN_NUMBER, (double)c.number);
	log_info(object, "checkpoint number=%" PRIu64, c.number);
	keep(w, &c, message, len);
}

/* ---- reading ---- */

/* Columns: number, previous_hash, hash, canonical. */
static void entry_rows(struct db *db, const PGresult *res, void *arg)
{
	struct witness *w = arg;
	(void)db;
	if (res == NULL || PQresultStatus(res) != PGRES_TUPLES_OK)
		return;
	w->rows = PQntuples(res);
	for (int i = 0; i < w->rows && w->fault.code == ERR_NONE; i++) {
		const struct audit_entry x = {.number = (uint64_t)pg_read_int8(PQgetvalue(res, i, 0)),
					      .previous = (const uint8_t *)PQgetvalue(res, i, 1),
					      .hash = (const uint8_t *)PQgetvalue(res, i, 2),
					      .canonical = PQgetvalue(res, i, 3),
					      .canonical_len = (size_t)PQgetlength(res, i, 3)};
		if (PQgetlength(res, i, 1) != AUDIT_HASH_BYTES || PQgetlength(res, i, 2) != AUDIT_HASH_BYTES)
			err_set(&w->fault, ERR_INVALID, "entry %" PRIu64 ": a hash has another length", x.number);
		else
			audit_step(&w->at, &x, &w->fault);
	}
}

static void entries_done(struct db *db, bool ok, const char *sqlstate, const struct err *e, void *arg)
{
	struct witness *w = arg;
	(void)db, (void)sqlstate;
	if (!ok) {
		log_warn(object, "audit trail not read: %s", e->detail);
		w->busy = false;
	} else if (w->fault.code != ERR_NONE) {
		chain_broken(w, w->fault.detail);
	} else if (w->at.number < w->head.number && w->rows > 0) {
		read_chunk(w);
	} else if (w->at.number != w->head.number || memcmp(w->at.hash, w->head.hash, AUDIT_HASH_BYTES) != 0) {
		chain_broken(w, "its entries end before its head");
	} else {
		sign_head(w);
	}
}

static void read_chunk(struct witness *w)
{
	char after[24], until[24];
	snprintf(after, sizeof(after), "%" PRIu64, w->at.number);
	snprintf(until, sizeof(until), "%" PRIu64, w->head.number);
	const char *const values[] = {after, until, CHUNK_TEXT};
	const struct db_params params = {.count = 3, .values = values, .binary_result = true};
	w->rows = 0;
	w->fault = (struct err){0};
	if (!db_query(w->db, &stmt_signer_audit_entries, &params, entry_rows, w) || !db_commit(w->db, entries_done, w))
		w->busy = false;
}

static void head_row(struct db *db, const PGresult *res, void *arg)
{
	struct witness *w = arg;
	(void)db;
	w->rows = 0;
	if (res == NULL || PQresultStatus(res) != PGRES_TUPLES_OK || PQntuples(res) != 1 ||
	    PQgetlength(res, 0, 1) != AUDIT_HASH_BYTES)
		return;
	w->rows = 1;
	w->head.number = (uint64_t)pg_read_int8(PQgetvalue(res, 0, 0));
	memcpy(w->head.hash, PQgetvalue(res, 0, 1), AUDIT_HASH_BYTES);
}

static void head_done(struct db *db, bool ok, const char *sqlstate, const struct err *e, void *arg)
{
	struct witness *w = arg;
	(void)db, (void)sqlstate;
	if (!ok || w->rows != 1) {
		log_warn(object, "head of the audit trail not read: %s", ok ? "no row" : e->detail);
		w->busy = false;
	} else if (w->head.number < w->signed_at.number) {
		chain_broken(w, "it is shorter than at the last checkpoint");
	} else if (w->head.number == w->signed_at.number) {
		if (memcmp(w->head.hash, w->signed_at.hash, AUDIT_HASH_BYTES) != 0)
			chain_broken(w, "its last entry is another one than at the last checkpoint");
		w->busy = false;
	} else {
		w->at = w->signed_at;
		read_chunk(w);
	}
}

static void look(struct witness *w)
{
	const struct db_params params = {.binary_result = true};
	if (w->busy || !db_up(w->db))
		return;
	w->busy = db_query(w->db, &stmt_signer_audit_head, &params, head_row, w) && db_commit(w->db, head_done, w);
}

/* ---- events ---- */

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	look(arg);
}

static void on_db(struct db *db, enum db_event event, const char *text, void *arg)
{
	struct witness *w = arg;
	(void)db, (void)text;
	if (event == DB_UP)
		look(w);
	else if (event == DB_LOST)
		w->busy = false;
}

/* ---- the interface ---- */

struct witness *witness_new(struct event_base *base, const struct signer_config *config, const struct cose_key *key,
			    struct metrics *metrics, struct err *e)
{
	struct witness *w = calloc(1, sizeof(*w));
	if (w == NULL)
		abort();
	w->config = config;
	w->key = key;
	w->metrics = metrics;
	w->fd = -1;
	if (!resume(w, e)) {
		witness_free(&w);
		return NULL;
	}
	metric_set(metrics, SM_CHAIN_NUMBER, (double)w->signed_at.number);
	w->timer = event_new(base, -1, EV_PERSIST, on_timer, w);
	if (w->timer == NULL)
		abort();
	const struct db_options options = {
		.name = "witness-db",
		.conninfo = config->database,
		.statements = statements,
		.statement_count = sizeof(statements) / sizeof(statements[0]),
		.reply_timeout = 60,
		.connect_timeout = 10,
	};
	w->db = db_new(base, &options, on_db, w);
	return w;
}

void witness_free(struct witness **wp)
{
	struct witness *w = *wp;
	if (w == NULL)
		return;
	db_free(&w->db);
	if (w->timer != NULL)
		event_free(w->timer);
	if (w->fd >= 0)
		close(w->fd);
	free(w);
	*wp = NULL;
}

void witness_start(struct witness *w)
{
	const struct timeval every = clock_timeval(w->config->checkpoint_every / 4);
	event_add(w->timer, &every);
	db_start(w->db);
}

bool witness_up(const struct witness *w)
{
	return db_up(w->db);
}
