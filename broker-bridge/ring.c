/* SPDX-License-Identifier: Apache-2.0
 *
 * The header's page, then the room for records, mapped twice in a row so that a record never wraps. Positions only
 * grow; where one lies in the room is its value modulo the room's size. A record says its own position, so bytes of an
 * earlier turn are never taken for a record of this one. */
#include "broker-bridge/ring.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zlib.h>

#define HEADER_BYTES 4096
#define RECORD_ALIGN 8
#define DAMAGE_MAX   65536 /* bytes that are given to the caller at once */

static const char magic[8] = {'c', 'f', 'r', 'i', 'n', 'g', '\n', 1}; /* the last byte is the version */

/* Each side's words have a cache line of their own: neither side's writes slow the other's reads down. */
struct header {
	char magic[8];
	uint64_t bytes;
	uint32_t check; /* CRC-32 of the two above */
	_Alignas(64) _Atomic uint64_t head;
	_Atomic uint64_t written, refused, highest;
	_Alignas(64) _Atomic uint64_t tail;
	_Alignas(64) _Atomic uint32_t sleeping;
};
_Static_assert(sizeof(struct header) <= HEADER_BYTES, "the header is one page");

struct record {
	uint64_t position;
	uint32_t check;  /* CRC-32 of everything else in the record, padding included */
	uint32_t length; /* of the whole record, a multiple of RECORD_ALIGN */
	int64_t received_us;
	uint32_t payload_len;
	uint16_t topic_len;
	uint8_t content_type_len;
	uint8_t flags; /* bit 0: a content type, bit 1: asks for a receipt */
};
_Static_assert(sizeof(struct record) == 32, "no padding");

enum { HAS_CONTENT_TYPE = 1, ASKS_RECEIPT = 2, FLAGS = 3 };

struct ring {
	int fd, wake_fd;
	enum ring_side side;
	bool lent; /* the mapping and the descriptors are another struct's */
	struct header *header;
	uint8_t *room;
	uint64_t bytes;
	uint64_t at;   /* writer: head. reader: the next record to get */
	uint64_t tail; /* writer: as last seen. reader: as last released */
};

/* ---- making ---- */

static uint32_t header_check(const struct header *h)
{
	return (uint32_t)crc32(0, (const Bytef *)h, offsetof(struct header, check));
}

static bool fail(struct err *e, const char *path, const char *what)
{
	return err_set(e, ERR_SYSTEM, "ring %.120s: %s: %s", path, what, strerror(errno));
}

static bool fill(int fd, const char *path, uint64_t bytes, unsigned mode, struct err *e)
{
	_Alignas(64) uint8_t page[HEADER_BYTES] = {0};
	struct header *h = (struct header *)(void *)page;
	memcpy(h->magic, magic, sizeof(magic));
	h->bytes = bytes;
	h->check = header_check(h);
	if (fchmod(fd, (mode_t)mode) != 0)
		return fail(e, path, "fchmod");
	errno = posix_fallocate(fd, 0, (off_t)(HEADER_BYTES + bytes));
	if (errno != 0)
		return fail(e, path, "no room");
	if (pwrite(fd, page, sizeof(page), 0) != (ssize_t)sizeof(page))
		return fail(e, path, "write");
	return true;
}

/* The file gets its name when it is complete, and never takes the place of another. */
static bool make_file(const char *path, const char *draft, uint64_t bytes, unsigned mode, struct err *e)
{
	int fd = open(draft, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return fail(e, draft, "open");
	bool ok = fill(fd, path, bytes, mode, e);
	if (ok && link(draft, path) != 0)
		ok = errno == EEXIST ? err_set(e, ERR_CONFLICT, "ring %.200s: exists already", path)
				     : fail(e, path, "link");
	close(fd);
	unlink(draft);
	return ok;
}

bool ring_create(const char *path, uint64_t bytes, unsigned mode, struct err *e)
{
	char draft[4096], wake[4096];
	if (bytes < RING_BYTES_MIN || bytes > RING_BYTES_MAX || (bytes & (bytes - 1)) != 0)
		return err_set(e, ERR_INVALID, "ring of %llu bytes: expected a power of two from %llu to %llu",
			       (unsigned long long)bytes, (unsigned long long)RING_BYTES_MIN,
			       (unsigned long long)RING_BYTES_MAX);
	if (snprintf(draft, sizeof(draft), "%s.%ld.new", path, (long)getpid()) >= (int)sizeof(draft))
		return err_set(e, ERR_INVALID, "ring %.100s...: the path is too long", path);
	snprintf(wake, sizeof(wake), "%s.wake", path);
	if (mkfifo(wake, 0600) != 0 && errno != EEXIST)
		return fail(e, wake, "mkfifo");
	if (chmod(wake, (mode_t)mode) != 0)
		return fail(e, wake, "chmod");
	return make_file(path, draft, bytes, mode, e);
}

/* ---- opening ---- */

static bool map(struct ring *r, const char *path, struct err *e)
{
	int header_protection = r->side == RING_ONLOOKER ? PROT_READ : PROT_READ | PROT_WRITE;
	r->header = mmap(NULL, HEADER_BYTES, header_protection, MAP_SHARED, r->fd, 0);
	if (r->header == MAP_FAILED) {
		r->header = NULL;
		return fail(e, path, "mmap");
	}
	/* Reserve the addresses, then put the room there twice. */
	/* cppcheck-suppress invalidFunctionArg ; -1 is what MAP_ANONYMOUS wants */
	uint8_t *at = mmap(NULL, 2 * r->bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at == MAP_FAILED)
		return fail(e, path, "mmap");
	r->room = at;
	int protection = r->side == RING_WRITER ? PROT_READ | PROT_WRITE : PROT_READ;
	for (int i = 0; i < 2; i++) {
		/* cppcheck-suppress leakReturnValNotUsed ; MAP_FIXED: it is where it was asked to be */
		if (mmap(at + (uint64_t)i * r->bytes, r->bytes, protection, MAP_SHARED | MAP_FIXED, r->fd,
			 HEADER_BYTES) == MAP_FAILED)
			return fail(e, path, "mmap");
	}
	return true;
}

static bool check_file(struct ring *r, const char *path, struct err *e)
{
	struct stat st;
	struct header h;
	if (fstat(r->fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size < (off_t)sizeof(h) ||
	    pread(r->fd, &h, sizeof(h), 0) != (ssize_t)sizeof(h) || memcmp(h.magic, magic, sizeof(magic) - 1) != 0)
		return err_set(e, ERR_CONFIG, "ring %.160s: not a ring (coldfleet-ring create makes one)", path);
	if (h.magic[7] != magic[7])
		return err_set(e, ERR_CONFIG,
			       "ring %.160s: version %d, expected %d: update this side too, or make a new ring", path,
			       h.magic[7], magic[7]);
	if (h.check != header_check(&h) || h.bytes < RING_BYTES_MIN || h.bytes > RING_BYTES_MAX ||
	    (h.bytes & (h.bytes - 1)) != 0 || st.st_size != (off_t)(HEADER_BYTES + h.bytes))
		return err_set(e, ERR_CONFIG, "ring %.160s: the header is damaged, or the file was cut off", path);
	r->bytes = h.bytes;
	return true;
}

/* One byte of the file a side: a lock ends with its process, however that ends. */
static bool lock_side(struct ring *r, const char *path, struct err *e)
{
	if (r->side == RING_ONLOOKER)
		return true;
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = r->side, .l_len = 1};
	if (fcntl(r->fd, F_OFD_SETLK, &lock) == 0)
		return true;
	if (errno != EAGAIN && errno != EACCES)
		return fail(e, path, "lock");
	return err_set(e, ERR_CONFLICT, "ring %.160s: another process is its %s", path,
		       r->side == RING_WRITER ? "writer" : "reader");
}

static bool open_wake(struct ring *r, const char *path, struct err *e)
{
	char wake[4096];
	struct stat st;
	if (r->side == RING_ONLOOKER)
		return true;
	snprintf(wake, sizeof(wake), "%s.wake", path);
	/* For both ways: then neither side ever sees an end of file or EPIPE when the other one is gone. */
	r->wake_fd = open(wake, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (r->wake_fd < 0)
		return fail(e, wake, "open");
	if (fstat(r->wake_fd, &st) != 0 || !S_ISFIFO(st.st_mode))
		return err_set(e, ERR_CONFIG, "ring %.160s.wake: not a FIFO", path);
	return true;
}

static void write_wake(const struct ring *r)
{
	/* A full FIFO is one that the reader will see. */
	ssize_t written = write(r->wake_fd, "", 1);
	(void)written;
}

/* Four accesses are sequentially consistent: head and `sleeping` here, both in ring_sleep(). Each side writes its own
 * and then reads the other's, so at least one of the two sees what the other did. */
static void wake(struct ring *r)
{
	if (atomic_load(&r->header->sleeping) != 0 && atomic_exchange(&r->header->sleeping, 0) != 0)
		write_wake(r);
}

/* Continues where the last process of this side ended. */
static bool take_over(struct ring *r, const char *path, struct err *e)
{
	uint64_t head = atomic_load_explicit(&r->header->head, memory_order_acquire);
	uint64_t tail = atomic_load_explicit(&r->header->tail, memory_order_acquire);
	if (head % RECORD_ALIGN != 0 || tail % RECORD_ALIGN != 0 || head - tail > r->bytes)
		return err_set(e, ERR_CONFIG, "ring %.160s: head and tail do not fit each other", path);
	r->tail = tail;
	r->at = r->side == RING_WRITER ? head : tail;
	if (r->side == RING_WRITER)
		write_wake(
			r); /* the last writer may have been killed when it had said that it would, and not yet had */
	return true;
}

struct ring *ring_open(const char *path, enum ring_side side, struct err *e)
{
	struct ring *r = calloc(1, sizeof(*r));
	if (r == NULL)
		abort();
	r->side = side;
	r->wake_fd = -1;
	r->fd = open(path, (side == RING_ONLOOKER ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOFOLLOW);
	if (r->fd < 0)
		err_set(e, ERR_CONFIG, "ring %.160s: %s (coldfleet-ring create makes one)", path, strerror(errno));
	else if (check_file(r, path, e) && lock_side(r, path, e) && map(r, path, e) && open_wake(r, path, e) &&
		 take_over(r, path, e))
		return r;
	ring_close(&r);
	return NULL;
}

void ring_close(struct ring **rp)
{
	struct ring *r = *rp;
	if (r == NULL)
		return;
	if (r->lent) {
		free(r);
		*rp = NULL;
		return;
	}
	if (r->room != NULL)
		munmap(r->room, 2 * r->bytes);
	if (r->header != NULL)
		munmap(r->header, HEADER_BYTES);
	if (r->wake_fd >= 0)
		close(r->wake_fd);
	if (r->fd >= 0)
		close(r->fd);
	free(r);
	*rp = NULL;
}

struct ring *ring_other_side(const struct ring *ring)
{
	struct ring *r = malloc(sizeof(*r));
	if (r == NULL)
		abort();
	*r = *ring;
	r->lent = true;
	r->side = ring->side == RING_WRITER ? RING_READER : RING_WRITER;
	r->tail = atomic_load_explicit(&r->header->tail, memory_order_acquire);
	r->at = r->side == RING_WRITER ? atomic_load_explicit(&r->header->head, memory_order_acquire) : r->tail;
	return r;
}

/* ---- the writer ---- */

static uint32_t record_check(const struct record *record)
{
	const Bytef *bytes = (const Bytef *)record;
	uint32_t check = (uint32_t)crc32(0, bytes, offsetof(struct record, check));
	return (uint32_t)crc32(check, bytes + offsetof(struct record, length),
			       record->length - (uInt)offsetof(struct record, length));
}

static size_t padded(size_t len)
{
	return (len + RECORD_ALIGN - 1) / RECORD_ALIGN * RECORD_ALIGN;
}

static void write_record(struct ring *r, const struct ring_message *m, size_t length)
{
	uint8_t *at = r->room + r->at % r->bytes;
	struct record *record = (struct record *)(void *)at;
	*record = (struct record){.position = r->at,
				  .length = (uint32_t)length,
				  .received_us = m->received_us,
				  .payload_len = (uint32_t)m->payload_len,
				  .topic_len = (uint16_t)m->topic_len,
				  .content_type_len = (uint8_t)m->content_type_len,
				  .flags = (uint8_t)((m->content_type != NULL ? HAS_CONTENT_TYPE : 0) |
						     (m->asks_receipt ? ASKS_RECEIPT : 0))};
	uint8_t *to = at + sizeof(*record);
	memcpy(to, m->topic, m->topic_len);
	to += m->topic_len;
	if (m->content_type != NULL)
		memcpy(to, m->content_type, m->content_type_len);
	to += m->content_type_len;
	if (m->payload_len > 0)
		memcpy(to, m->payload, m->payload_len);
	to += m->payload_len;
	memset(to, 0, (size_t)(at + length - to));
	record->check = record_check(record);
}

static bool has_room(struct ring *r, size_t length)
{
	if (r->bytes - (r->at - r->tail) >= length)
		return true;
	uint64_t tail = atomic_load_explicit(&r->header->tail, memory_order_acquire);
	if (r->at - tail > r->bytes) /* the reader's side wrote nonsense: nothing is overwritten because of it */
		return false;
	r->tail = tail;
	return r->bytes - (r->at - tail) >= length;
}

void ring_refuse(struct ring *r)
{
	atomic_fetch_add_explicit(&r->header->refused, 1, memory_order_relaxed);
}

enum ring_put ring_put(struct ring *r, const struct ring_message *m)
{
	if (m->topic_len > RING_TOPIC_MAX || m->content_type_len > RING_CONTENT_MAX ||
	    m->payload_len > RING_PAYLOAD_MAX)
		return RING_TOO_LARGE;
	size_t length = padded(sizeof(struct record) + m->topic_len + m->content_type_len + m->payload_len);
	if (length > r->bytes / 2)
		return RING_TOO_LARGE;
	if (!has_room(r, length)) {
		ring_refuse(r);
		return RING_FULL;
	}
	write_record(r, m, length);
	r->at += length;
	atomic_store(&r->header->head, r->at);
	atomic_fetch_add_explicit(&r->header->written, 1, memory_order_relaxed);
	if (r->at - r->tail > atomic_load_explicit(&r->header->highest, memory_order_relaxed))
		atomic_store_explicit(&r->header->highest, r->at - r->tail, memory_order_relaxed);
	wake(r);
	return RING_PUT;
}

/* ---- the reader ---- */

static bool record_fits(const struct record *record, uint64_t position, uint64_t available)
{
	return record->position == position && record->length >= sizeof(*record) && record->length <= available &&
	       record->length % RECORD_ALIGN == 0 && (record->flags & ~FLAGS) == 0 &&
	       record->topic_len <= RING_TOPIC_MAX && record->content_type_len <= RING_CONTENT_MAX &&
	       record->payload_len <= RING_PAYLOAD_MAX &&
	       padded(sizeof(*record) + record->topic_len + record->content_type_len + record->payload_len) ==
		       record->length;
}

/* A private copy of the record at `position`, checked; NULL: there is none. Nothing is read from the mapping twice. */
static const struct record *copy_record(struct ring *r, uint64_t position, uint64_t available, struct arena *arena)
{
	struct record first;
	if (available < sizeof(first))
		return NULL;
	const uint8_t *at = r->room + position % r->bytes;
	memcpy(&first, at, sizeof(first));
	if (!record_fits(&first, position, available))
		return NULL;
	struct record *copy = arena_alloc(arena, first.length);
	memcpy(copy, &first, sizeof(first));
	memcpy(copy + 1, at + sizeof(first), first.length - sizeof(first));
	return record_check(copy) == copy->check ? copy : NULL;
}

static void unpack(const struct record *record, struct arena *arena, struct ring_message *m)
{
	const char *topic = (const char *)(record + 1);
	const char *content_type = topic + record->topic_len;
	*m = (struct ring_message){
		.received_us = record->received_us,
		.topic = arena_text(arena, topic, record->topic_len),
		.topic_len = record->topic_len,
		.content_type_len = record->content_type_len,
		.asks_receipt = (record->flags & ASKS_RECEIPT) != 0,
		.payload = content_type + record->content_type_len,
		.payload_len = record->payload_len,
	};
	if ((record->flags & HAS_CONTENT_TYPE) != 0)
		m->content_type = arena_text(arena, content_type, record->content_type_len);
}

/* Something between here and head is no record: where the next one begins, or head, is where reading goes on. */
static enum ring_get skip_damage(struct ring *r, uint64_t head, struct arena *arena, struct ring_message *m)
{
	uint64_t from = r->at, to = from + RECORD_ALIGN;
	struct record first;
	for (; to < head && to - from < DAMAGE_MAX; to += RECORD_ALIGN) {
		memcpy(&first, r->room + to % r->bytes, sizeof(first));
		if (record_fits(&first, to, head - to) && copy_record(r, to, head - to, arena) != NULL)
			break;
	}
	*m = (struct ring_message){.payload_len = (size_t)(to - from)};
	m->payload = arena_copy(arena, r->room + from % r->bytes, m->payload_len);
	r->at = to;
	return RING_DAMAGED;
}

enum ring_get ring_get(struct ring *r, struct arena *arena, struct ring_message *m)
{
	uint64_t head = atomic_load_explicit(&r->header->head, memory_order_acquire);
	if (head == r->at)
		return RING_EMPTY;
	if (head % RECORD_ALIGN != 0 || head - r->tail > r->bytes || head - r->at > r->bytes)
		return RING_BROKEN;
	const struct record *record = copy_record(r, r->at, head - r->at, arena);
	if (record == NULL)
		return skip_damage(r, head, arena, m);
	unpack(record, arena, m);
	r->at += record->length;
	return RING_GOT;
}

uint64_t ring_position(const struct ring *r)
{
	return r->at;
}

void ring_release(struct ring *r, uint64_t position)
{
	r->tail = position;
	atomic_store_explicit(&r->header->tail, position, memory_order_release);
}

void ring_rewind(struct ring *r)
{
	r->at = r->tail;
}

int ring_wake_fd(const struct ring *r)
{
	return r->wake_fd;
}

bool ring_sleep(struct ring *r)
{
	char taken[64];
	while (read(r->wake_fd, taken, sizeof(taken)) > 0)
		;
	atomic_store(&r->header->sleeping, 1);
	if (atomic_load(&r->header->head) == r->at)
		return true;
	atomic_store(&r->header->sleeping, 0);
	return false;
}

/* ---- anybody ---- */

void ring_state(const struct ring *r, struct ring_state *state)
{
	uint64_t tail = atomic_load_explicit(&r->header->tail, memory_order_acquire);
	uint64_t head = atomic_load_explicit(&r->header->head, memory_order_acquire);
	*state = (struct ring_state){
		.bytes = r->bytes,
		.used = head - tail,
		.written = atomic_load_explicit(&r->header->written, memory_order_relaxed),
		.refused = atomic_load_explicit(&r->header->refused, memory_order_relaxed),
		.highest = atomic_load_explicit(&r->header->highest, memory_order_relaxed),
	};
}
