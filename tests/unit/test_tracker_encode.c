/* SPDX-License-Identifier: Apache-2.0
 *
 * What the reference tracker sends is what the backend's own decoder reads, number for number, in JSON and in CBOR. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ingest/pack.h"
#include "tests/tracker/encode.h"
#include "tests/tracker/template.h"

#define NOW INT64_C(1790000000000000)

static const enum encoding encodings[] = {ENCODING_JSON, ENCODING_CBOR};
static uint8_t out[ENCODE_MAX];

/* A sample of `count` measures given as (probe, quantity, value). */
static struct sample *sample(int32_t seq, int64_t ts, size_t count, const struct measure *measures)
{
	struct sample *s = calloc(1, sizeof(*s) + count * sizeof(*measures));

	assert_non_null(s);
	s->seq = seq;
	s->ts = ts;
	s->count = (uint16_t)count;
	memcpy(s->measures, measures, count * sizeof(*measures));
	return s;
}

static struct sample *temperature(int32_t seq, int64_t ts, double value)
{
	return sample(seq, ts, 1, &(struct measure){.value = value});
}

static struct pack decode(struct arena *arena, enum encoding encoding, const uint8_t *bytes, size_t len)
{
	struct pack_limits limits = PACK_LIMITS_DEFAULT;
	struct pack pack;
	struct err e = {0};
	enum pack_fault fault =
		pack_decode(bytes, len, encoding_content_type(encoding), NOW, &limits, arena, &pack, &e);

	if (fault != PACK_OK)
		fail_msg("%s: %s: %.*s", pack_fault_name(fault), e.detail, (int)(len > 300 ? 300 : len),
			 (const char *)bytes);
	return pack;
}

static void test_number_is_the_shortest_decimal_that_reads_back(void **state)
{
	static const struct {
		double value;
		const char *text;
	} cases[] = {{4.1, "4.1"},    {-0.5, "-0.5"},
		     {4, "4"},        {0.1 + 0.2, "0.30000000000000004"},
		     {1e22, "1e+22"}, {1790000000.123456, "1790000000.123456"}};
	char text[ENCODE_NUMBER_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(encode_number(text, cases[i].value), strlen(cases[i].text));
		assert_string_equal(text, cases[i].text);
	}
}

static void test_json_pack_is_compact_and_says_the_unit_once(void **state)
{
	const struct sample *samples[] = {temperature(7, NOW, 4.1), temperature(8, NOW + 60000000, 4.2)};
	struct message m = {.epoch = 0, .clock = -1, .samples = samples, .sample_count = 2};
	const char *expected = "[{\"n\":\"seq\",\"v\":7,\"bt\":1790000000},{\"n\":\"temp\",\"v\":4.1,\"bu\":\"Cel\"},"
			       "{\"n\":\"temp\",\"v\":4.2,\"t\":60}]";
	size_t taken, len = encode_message(ENCODING_JSON, &m, out, &taken);

	(void)state;
	assert_int_equal(taken, 2);
	assert_int_equal(len, strlen(expected));
	assert_memory_equal(out, expected, len);
	for (size_t i = 0; i < 2; i++)
		free((void *)(uintptr_t)samples[i]);
}

static void test_every_measure_reaches_the_decoder_unchanged(void **state)
{
	static const struct measure measures[] = {
		{4.3, 0, Q_TEMP}, {47, 0, Q_HUM},       {310.5, 0, Q_LUX},    {2.7, 0, Q_SHOCK},     {87, 0, Q_BATT},
		{-97, 0, Q_RSRP}, {-1.28606, 0, Q_LAT}, {36.81705, 0, Q_LON}, {1661.25, 0, Q_ALT},   {15, 0, Q_ACC},
		{1, 0, Q_DOOR},   {0, 0, Q_TAMPER},     {1, 0, Q_POWER},      {-71.96875, 3, Q_TEMP}};

	(void)state;
	for (size_t k = 0; k < 2; k++) {
		struct arena *arena = arena_new(65536);
		struct sample *s = sample(4711, NOW - 123456, 14, measures);
		struct message m = {.epoch = 3,
				    .clock = 1790000000.25,
				    .samples = (const struct sample *const[]){s},
				    .sample_count = 1};
		size_t taken, len = encode_message(encodings[k], &m, out, &taken);
		struct pack pack = decode(arena, encodings[k], out, len);
		assert_int_equal(pack.reading_count, 2);
		assert_int_equal(pack.epoch, 3);
		assert_int_equal(pack.readings[0].seq, 4711);
		assert_int_equal(pack.readings[0].ts, NOW - 123456);
		assert_int_equal(pack.clock, NOW + 250000);
		assert_int_equal(pack.readings[0].has, (1 << CHANNELS) - 1);
		for (size_t c = 0; c < CH_NUMBERS; c++)
			assert_true(pack.readings[0].number[c] == measures[c].value);
		for (size_t c = CH_NUMBERS; c < CHANNELS; c++)
			assert_int_equal(pack.readings[0].boolean[c - CH_NUMBERS], measures[c].value != 0);
		assert_int_equal(pack.readings[1].probe, 3);
		assert_true(pack.readings[1].number[CH_TEMP] == -71.96875);
		free(s);
		arena_free(&arena);
	}
}

static void test_random_temperatures_survive_both_encodings_bit_for_bit(void **state)
{
	struct sample *samples[500];
	uint64_t x = 42;

	(void)state;
	for (int32_t i = 0; i < 500; i++) {
		x = x * 6364136223846793005u + 1442695040888963407u;
		double value = (double)(int64_t)(x >> 20) / (double)(INT64_C(1) << (i % 44));
		if (i % 3 == 0)
			value = (double)(int)(x >> 50) / 10 - 800;
		samples[i] = temperature(i, NOW - 1000000000 + i * INT64_C(1000037), value);
	}
	for (size_t k = 0; k < 2; k++) {
		struct arena *arena = arena_new(65536);
		struct message m = {.clock = -1, .samples = (const struct sample *const *)samples, .sample_count = 500};
		size_t taken, len = encode_message(encodings[k], &m, out, &taken);
		struct pack pack = decode(arena, encodings[k], out, len);
		assert_int_equal(taken, 500);
		assert_int_equal(pack.reading_count, 500);
		for (size_t i = 0; i < 500; i++) {
			assert_int_equal(pack.readings[i].seq, i);
			assert_int_equal(pack.readings[i].ts, samples[i]->ts);
			assert_memory_equal(&pack.readings[i].number[CH_TEMP], &samples[i]->measures[0].value,
					    sizeof(double));
		}
		arena_free(&arena);
	}
	for (size_t i = 0; i < 500; i++)
		free(samples[i]);
}

static void test_samples_of_equal_time_stay_apart(void **state)
{
	const struct sample *samples[] = {temperature(0, NOW, 4.1), temperature(1, NOW, 4.1), temperature(2, NOW, 4.2)};

	(void)state;
	for (size_t k = 0; k < 2; k++) {
		struct arena *arena = arena_new(65536);
		struct message m = {.clock = -1, .samples = samples, .sample_count = 3};
		size_t taken, len = encode_message(encodings[k], &m, out, &taken);
		struct pack pack = decode(arena, encodings[k], out, len);
		assert_int_equal(pack.reading_count, 3);
		for (int32_t i = 0; i < 3; i++)
			assert_int_equal(pack.readings[i].seq, i);
		arena_free(&arena);
	}
	for (size_t i = 0; i < 3; i++)
		free((void *)(uintptr_t)samples[i]);
}

static void test_pack_ends_before_a_hole_and_before_time_goes_back(void **state)
{
	const struct sample *hole[] = {temperature(0, NOW, 1), temperature(2, NOW + 1, 2)};
	const struct sample *back[] = {temperature(0, NOW, 1), temperature(1, NOW - 1, 2)};
	struct message m = {.clock = -1, .samples = hole, .sample_count = 2};
	size_t taken;

	(void)state;
	encode_message(ENCODING_JSON, &m, out, &taken);
	assert_int_equal(taken, 1);
	m.samples = back;
	encode_message(ENCODING_JSON, &m, out, &taken);
	assert_int_equal(taken, 1);
	for (size_t i = 0; i < 2; i++) {
		free((void *)(uintptr_t)hole[i]);
		free((void *)(uintptr_t)back[i]);
	}
}

static void test_pack_stays_within_the_size_that_the_backend_accepts(void **state)
{
	static struct measure measures[MEASURES_MAX];
	struct sample *samples[3];
	size_t taken;

	(void)state;
	for (size_t i = 0; i < MEASURES_MAX; i++)
		measures[i] = (struct measure){-1.2345678901234567e38, (uint16_t)(i % PROBES_MAX),
					       i < PROBES_MAX ? Q_SHOCK : Q_TEMP};
	for (int32_t i = 0; i < 3; i++)
		samples[i] = sample(i, NOW + i, MEASURES_MAX, measures);
	for (size_t k = 0; k < 2; k++) {
		struct arena *arena = arena_new(65536);
		struct message m = {.epoch = 32767,
				    .clock = 1e9 + 0.1,
				    .samples = (const struct sample *const *)samples,
				    .sample_count = 3};
		size_t len = encode_message(encodings[k], &m, out, &taken);
		assert_in_range(len, 1, ENCODE_MAX);
		assert_in_range(taken, 1, 2);
		struct pack pack = decode(arena, encodings[k], out, len);
		assert_int_equal(pack.reading_count, taken * PROBES_MAX);
		arena_free(&arena);
	}
	for (size_t i = 0; i < 3; i++)
		free(samples[i]);
}

static void test_pack_without_samples_asks_and_tells_what_is_lost(void **state)
{
	const struct range lost[] = {{4650, 4655}, {4700, 4700}};

	(void)state;
	for (size_t k = 0; k < 2; k++) {
		struct arena *arena = arena_new(65536);
		struct message m = {.epoch = 9, .next = 12, .ask = true, .clock = -1, .lost = lost, .lost_count = 2};
		size_t taken, len = encode_message(encodings[k], &m, out, &taken);
		struct pack pack = decode(arena, encodings[k], out, len);
		assert_true(pack.wants_receipt);
		assert_true(pack.sequenced);
		assert_int_equal(pack.sample_count, 0);
		assert_int_equal(pack.epoch, 9);
		assert_int_equal(pack.reading_count, 0);
		assert_int_equal(pack.lost_count, 2);
		assert_int_equal(pack.lost[0].first, 4650);
		assert_int_equal(pack.lost[0].last, 4655);
		assert_int_equal(pack.lost[1].first, 4700);
		arena_free(&arena);
	}
}

static void test_patched_template_decodes_to_its_numbers_and_times(void **state)
{
	static const int32_t seqs[] = {0, 7, 1234567890};

	(void)state;
	for (size_t k = 0; k < 4; k++) {
		bool full = k >= 2;
		int degrees = full ? 12 : 4;
		struct template *t = template_new(encodings[k % 2], 12345, 25, full, degrees);
		for (size_t i = 0; i < 3; i++) {
			struct arena *arena = arena_new(65536);
			size_t len;
			template_patch(t, seqs[i], NOW - 1 + (int64_t)i);
			const uint8_t *bytes = template_bytes(t, &len);
			struct pack pack = decode(arena, encodings[k % 2], bytes, len);
			assert_int_equal(pack.epoch, 12345);
			assert_int_equal(pack.reading_count, 25);
			for (int32_t r = 0; r < 25; r++) {
				const struct reading *reading = &pack.readings[r];
				assert_int_equal(reading->seq, seqs[i] + r);
				assert_int_equal(reading->ts, NOW - 1 + (int64_t)i + r * TEMPLATE_STEP_US);
				assert_true(reading->number[CH_TEMP] == (degrees * 10 + (seqs[i] + r) % 10) / 10.0);
				assert_true(!full ||
					    (reading->number[CH_HUM] == 48.5 && reading->number[CH_BATT] == 87));
			}
			arena_free(&arena);
		}
		template_free(&t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_number_is_the_shortest_decimal_that_reads_back),
		cmocka_unit_test(test_json_pack_is_compact_and_says_the_unit_once),
		cmocka_unit_test(test_every_measure_reaches_the_decoder_unchanged),
		cmocka_unit_test(test_random_temperatures_survive_both_encodings_bit_for_bit),
		cmocka_unit_test(test_samples_of_equal_time_stay_apart),
		cmocka_unit_test(test_pack_ends_before_a_hole_and_before_time_goes_back),
		cmocka_unit_test(test_pack_stays_within_the_size_that_the_backend_accepts),
		cmocka_unit_test(test_pack_without_samples_asks_and_tells_what_is_lost),
		cmocka_unit_test(test_patched_template_decodes_to_its_numbers_and_times),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
