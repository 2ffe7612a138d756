/* SPDX-License-Identifier: Apache-2.0
 *
 * What it costs to decode one telemetry message: packs of 1, 12 and 144 samples (one sample: temp and hum), in JSON and
 * in CBOR; or the messages in the files that are named. Not a test; prints processor time, so that other work on the
 * machine disturbs little. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ingest/pack.h"
#include "ingest/senml.h"

#define BATCH 256 /* messages between two resets of the arena, as in a batch of ingest */

struct message {
	uint8_t bytes[65536];
	size_t len;
};

static void put(struct message *m, const void *bytes, size_t len)
{
	memcpy(m->bytes + m->len, bytes, len);
	m->len += len;
}

#define PUT_TEXT(m, text) put((m), (text), sizeof(text) - 1)

static void json_make(struct message *m, int samples)
{
	char text[256];
	m->len = 0;
	put(m, text,
	    (size_t)snprintf(text, sizeof(text),
			     "[{\"bn\":\"urn:dev:imei:490154203237518:\",\"bt\":1790000000,\"n\":\"seq\",\"v\":4711}"));
	for (int i = 0; i < samples; i++)
		put(m, text,
		    (size_t)snprintf(text, sizeof(text),
				     ",{\"n\":\"temp\",\"u\":\"Cel\",\"t\":%d,\"v\":%.1f},"
				     "{\"n\":\"hum\",\"u\":\"%%RH\",\"t\":%d,\"v\":%.1f}",
				     i * 600, 4.0 + i % 20 / 10.0, i * 600, 50.0 + i % 30 / 10.0));
	PUT_TEXT(m, "]");
}

static void cbor_number(struct message *m, uint8_t label, double v)
{
	uint8_t out[10] = {label, 0xfb};
	uint64_t bits;
	memcpy(&bits, &v, sizeof(bits));
	for (int i = 0; i < 8; i++)
		out[2 + i] = (uint8_t)(bits >> (56 - 8 * i));
	put(m, out, sizeof(out));
}

static void cbor_make(struct message *m, int samples)
{
	m->len = 0;
	PUT_TEXT(m, "\x9f\xa4\x21\x78\x1d"
		    "urn:dev:imei:490154203237518:"
		    "\x22\x1a\x6a\xb1\x3b\x80\x00\x63seq\x02\x19\x12\x67");
	for (int i = 0; i < samples; i++) {
		const uint8_t t[4] = {0x06, 0x1a, 0, 0};
		const uint8_t low[2] = {(uint8_t)(i * 600 >> 8), (uint8_t)(i * 600)};
		put(m,
		    "\xa4\x00\x64temp\x01\x63"
		    "Cel",
		    12);
		put(m, t, 4);
		put(m, low, 2);
		cbor_number(m, 0x02, 4.0 + i % 20 / 10.0);
		PUT_TEXT(m, "\xa4\x00\x63hum\x01\x63%RH");
		put(m, t, 4);
		put(m, low, 2);
		cbor_number(m, 0x02, 50.0 + i % 30 / 10.0);
	}
	PUT_TEXT(m, "\xff");
}

static double seconds_now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* The best of five rounds of about 0.1 s. */
static void run(const char *name, const struct message *m, int samples)
{
	const struct pack_limits limits = PACK_LIMITS_DEFAULT;
	struct arena *arena = arena_new(16 << 20);
	struct pack pack;
	struct err e = {0};
	double best = 1e9;
	enum pack_fault fault = PACK_OK;
	int messages = 400000 / (samples + 10) / BATCH * BATCH + BATCH;
	for (int round = 0; round < 5; round++) {
		double start = seconds_now();
		for (int i = 0; i < messages; i++) {
			if (i % BATCH == 0)
				arena_reset(arena);
			fault = pack_decode(m->bytes, m->len, NULL, INT64_C(1790090000000000), &limits, arena, &pack,
					    &e);
		}
		double each = (seconds_now() - start) / messages;
		best = each < best ? each : best;
	}
	printf("%-24s %6zu bytes %5zu readings %10.0f ns CPU/message  %s %s\n", name, m->len, pack.reading_count,
	       best * 1e9, pack_fault_name(fault), e.detail);
	arena_free(&arena);
}

static bool file_run(const char *path)
{
	static struct message m;
	FILE *f = fopen(path, "rb");
	if (f == NULL) {
		perror(path);
		return false;
	}
	m.len = fread(m.bytes, 1, sizeof(m.bytes), f);
	fclose(f);
	run(path, &m, 4096);
	return true;
}

int main(int argc, char **argv)
{
	static struct message m;
	static const int samples[] = {1, 12, 144};
	for (int i = 1; i < argc; i++)
		if (!file_run(argv[i]))
			return 1;
	for (size_t i = 0; i < 3 && argc == 1; i++) {
		char name[32];
		json_make(&m, samples[i]);
		snprintf(name, sizeof(name), "JSON, %d samples", samples[i]);
		run(name, &m, samples[i]);
		cbor_make(&m, samples[i]);
		snprintf(name, sizeof(name), "CBOR, %d samples", samples[i]);
		run(name, &m, samples[i]);
	}
	return 0;
}
