/* SPDX-License-Identifier: Apache-2.0
 *
 * What it costs to decode one telemetry message: packs of 1, 12 and 144 samples (one sample: temp and hum), in JSON and
 * in CBOR. Not a test; prints nanoseconds a message and how long the message is. */
#include <stdio.h>
#include <stdlib.h>
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
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void run(const char *format, const struct message *m, int samples)
{
	const struct pack_limits limits = PACK_LIMITS_DEFAULT;
	struct arena *arena = arena_new(16 << 20);
	double best = 1e9;
	int messages = 400000 / (samples + 10) / BATCH * BATCH + BATCH;
	for (int round = 0; round < 5; round++) {
		double start = seconds_now();
		for (int i = 0; i < messages; i++) {
			struct pack pack;
			struct err e;
			if (i % BATCH == 0)
				arena_reset(arena);
			if (pack_decode(m->bytes, m->len, NULL, INT64_C(1790090000000000), &limits, arena, &pack, &e) !=
				    PACK_OK ||
			    pack.reading_count != (size_t)samples) {
				fprintf(stderr, "%s, %d samples: %s\n", format, samples, e.detail);
				exit(1);
			}
		}
		double each = (seconds_now() - start) / messages;
		best = each < best ? each : best;
	}
	printf("%-4s %4d samples %6zu bytes %9.0f ns/message %6.0f ns/sample\n", format, samples, m->len, best * 1e9,
	       best * 1e9 / samples);
	arena_free(&arena);
}

int main(void)
{
	static struct message m;
	static const int samples[] = {1, 12, 144};
	for (size_t i = 0; i < 3; i++) {
		json_make(&m, samples[i]);
		run("JSON", &m, samples[i]);
		cbor_make(&m, samples[i]);
		run("CBOR", &m, samples[i]);
	}
	return 0;
}
