/* SPDX-License-Identifier: Apache-2.0
 *
 * What a tracker sends and what becomes of it: readings, numbers of samples, pseudo-records, refusals. Each refusal is
 * checked with the words that the person who looks into the quarantine will read. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ingest/pack.h"
#include "ingest/senml.h"

#define S     INT64_C(1000000)
#define NOW_S INT64_C(1790000300)
#define NOW   (NOW_S * S)

static struct arena *arena;
static struct pack pack;
static struct err err;
static const struct pack_limits limits = PACK_LIMITS_DEFAULT;

static enum pack_fault decode_bytes(const void *bytes, size_t len, const char *type)
{
	/* An exact copy on the heap, so that a sanitizer sees a read past its end. */
	uint8_t *copy = malloc(len > 0 ? len : 1);
	memcpy(copy, bytes, len);
	arena_reset(arena);
	err = (struct err){0};
	enum pack_fault fault = pack_decode(copy, len, type, NOW, &limits, arena, &pack, &err);
	free(copy);
	if (fault != PACK_OK && (pack.readings != NULL || pack.sample_count != 0 || err.code != ERR_DECODE))
		fail_msg("a refused pack is not empty");
	return fault;
}

static enum pack_fault decode(const char *json)
{
	return decode_bytes(json, strlen(json), NULL);
}

static void accepted(const char *json)
{
	if (decode(json) != PACK_OK)
		fail_msg("%s: %s", json, err.detail);
}

static void refused(const char *json, enum pack_fault fault, const char *words)
{
	enum pack_fault got = decode(json);
	if (got != fault || strstr(err.detail, words) == NULL)
		fail_msg("%s: %s, \"%s\": expected %s, \"%s\"", json, pack_fault_name(got), err.detail,
			 pack_fault_name(fault), words);
}

/* "ts/seq/probe name=value ... {extra}" with ts in seconds relative to 1790000000, one reading a line. */
static const char *readings_text(void)
{
	static const char *const names[] = {"temp", "hum", "lux", "shock", "batt",   "rsrp", "lat",
					    "lon",  "alt", "acc", "door",  "tamper", "power"};
	static char out[8192];
	size_t n = 0;
	out[0] = '\0';
	for (size_t i = 0; i < pack.reading_count; i++) {
		const struct reading *r = &pack.readings[i];
		n += (size_t)snprintf(out + n, sizeof(out) - n, "%s%.9g/%d/p%d", i > 0 ? "\n" : "",
				      (double)(r->ts - 1790000000 * S) / 1e6, r->seq, r->probe);
		for (unsigned c = 0; c < CHANNELS; c++) {
			if (!(r->has >> c & 1))
				continue;
			double v = c < CH_NUMBERS ? r->number[c] : r->boolean[c - CH_NUMBERS];
			n += (size_t)snprintf(out + n, sizeof(out) - n, " %s=%.7g", names[c], v);
		}
		if (r->extra != NULL)
			n += (size_t)snprintf(out + n, sizeof(out) - n, " %.*s", (int)r->extra_len, r->extra);
	}
	return out;
}

static void gives(const char *json, const char *readings)
{
	accepted(json);
	assert_string_equal(readings_text(), readings);
}

/* `bt` 1790000000 in front of the records. */
#define PACK(records)        "[{\"bn\":\"urn:dev:imei:490154203237518:\",\"bt\":1790000000}," records "]"
#define V(n, t, v)           "{\"n\":\"" n "\",\"t\":" #t ",\"v\":" #v "}"
#define VU(n, t, v, u)       "{\"n\":\"" n "\",\"t\":" #t ",\"v\":" #v ",\"u\":\"" u "\"}"
#define FIELDS(n, t, fields) "{\"n\":\"" n "\",\"t\":" #t "," fields "}"

static void test_the_example_of_the_contract_gives_three_numbered_samples(void **state)
{
	(void)state;
	gives("[{\"bn\":\"urn:dev:imei:490154203237518:\",\"bt\":1790000000,\"n\":\"seq\",\"v\":4711},"
	      "{\"n\":\"temp\",\"u\":\"Cel\",\"v\":4.1},{\"n\":\"temp\",\"u\":\"Cel\",\"v\":4.2,\"t\":60},"
	      "{\"n\":\"temp\",\"u\":\"Cel\",\"v\":4.4,\"t\":120},{\"n\":\"batt\",\"u\":\"%EL\",\"v\":87,\"t\":120}]",
	      "0/4711/p0 temp=4.1\n60/4712/p0 temp=4.2\n120/4713/p0 temp=4.4 batt=87");
	assert_true(pack.sequenced);
	assert_int_equal(pack.sample_count, 3);
	assert_int_equal(pack.samples.first, 4711);
	assert_int_equal(pack.samples.last, 4713);
	assert_int_equal(pack.epoch, 0);
	assert_false(pack.wants_receipt);
	assert_false(pack.has_clock);
	assert_int_equal(pack.rejected, 0);
}

static void test_each_known_name_has_its_column(void **state)
{
	(void)state;
	gives(PACK(VU("temp", 0, -20.5, "Cel") "," VU("hum", 0, 55, "%RH") "," VU("lux", 0, 3, "lux") "," VU("shock", 0, 9.5, "m/s2") "," VU(
		      "batt", 0, 87,
		      "%EL") "," VU("rsrp", 0, -97,
				    "dBm") "," VU("lat", 0, 60.1,
						  "lat") "," VU("lon", 0, -24.3,
								"lon") "," VU("alt", 0, 12,
									      "m") "," VU("acc", 0, 8,
											  "m") "," FIELDS("door", 0,
													  "\"vb\":"
													  "true") "," FIELDS("tamper",
															     0,
															     "\"vb\":false") "," FIELDS("power",
																			0,
																			"\"vb\":true,\"u\":\"/\"")),
	      "0/-1/p0 temp=-20.5 hum=55 lux=3 shock=9.5 batt=87 rsrp=-97 lat=60.1 lon=-24.3 alt=12 acc=8 door=1 "
	      "tamper=0 power=1");
}

static void test_units_are_assumed_converted_or_refused(void **state)
{
	(void)state;
	gives(PACK(V("temp", 0, 4) "," VU("p1/temp", 0, 277.15, "K") "," VU("rsrp", 0, -127, "dBW")),
	      "0/-1/p0 temp=4 rsrp=-97\n0/-1/p1 temp=4");
	refused(PACK(VU("temp", 0, 39, "degF")), PACK_CONTENT, "record 2: temp has unit 'degF': expected Cel or K");
	refused(PACK(VU("batt", 0, 39, "%")), PACK_CONTENT, "record 2: batt has unit '%': expected %EL");
	refused(PACK(VU("seq", 0, 39, "s")), PACK_CONTENT, "record 2: seq has unit 's': expected count");
	refused(PACK(FIELDS("door", 0, "\"vb\":true,\"u\":\"m\"")), PACK_CONTENT, "door has unit 'm': expected /");
	refused(PACK(FIELDS("lost", 0, "\"vs\":\"1\",\"u\":\"m\"")), PACK_CONTENT, "lost has unit 'm': expected none");
}

static void test_a_base_unit_is_for_measured_numbers_only(void **state)
{
	(void)state;
	gives("[{\"bn\":\"d:\",\"bt\":1790000000,\"bu\":\"Cel\",\"n\":\"seq\",\"v\":7},{\"n\":\"temp\",\"v\":4},"
	      "{\"n\":\"door\",\"vb\":false},{\"n\":\"lost\",\"vs\":\"1\"},{\"n\":\"rr\",\"vb\":true}]",
	      "0/7/p0 temp=4 door=0");
	gives("[{\"bn\":\"d:\",\"bt\":1790000000,\"bu\":\"Cel\",\"n\":\"hum\",\"u\":\"\",\"v\":7}]", "0/-1/p0 hum=7");
	refused("[{\"bn\":\"d:\",\"bu\":\"Cel\",\"n\":\"hum\",\"v\":7}]", PACK_CONTENT,
		"record 1: hum has unit 'Cel': expected %RH");
}

static void test_a_wrong_type_of_value_is_refused(void **state)
{
	(void)state;
	refused(PACK(FIELDS("temp", 0, "\"vs\":\"4\"")), PACK_CONTENT,
		"record 2: temp is a string (vs): expected a number (v)");
	refused(PACK(V("door", 0, 1)), PACK_CONTENT, "record 2: door is a number (v): expected a boolean (vb)");
	refused(PACK(FIELDS("rr", 0, "\"vd\":\"AA\"")), PACK_CONTENT, "rr is data (vd): expected a boolean (vb)");
	refused(PACK(FIELDS("seq", 0, "\"s\":1")), PACK_CONTENT, "seq is a sum only (s): expected a number (v)");
	refused(PACK(V("lost", 0, 1)), PACK_CONTENT, "record 2: lost is a number (v): expected a string (vs)");
}

static void test_numbers_out_of_bounds_are_refused(void **state)
{
	(void)state;
	accepted(PACK(V("lat", 0, -90) "," V("lon", 0, 180)));
	refused(PACK(V("lat", 0, 90.0001)), PACK_CONTENT, "record 2: lat is 90.0001: expected -90 to 90");
	refused(PACK(V("lon", 0, -180.5)), PACK_CONTENT, "record 2: lon is -180.5: expected -180 to 180");
	refused(PACK(V("lux", 0, 1e39)), PACK_CONTENT, "record 2: lux is 1e+39: expected -3.40282e+38 to 3.40282e+38");
}

static void test_an_impossible_temperature_is_kept_and_flagged(void **state)
{
	(void)state;
	gives(PACK(V("temp", 0, -200) "," V("temp", 1, 150) "," V("temp", 2, -200.1) "," V("temp", 3, 151) "," VU(
		      "temp", 4, 0, "K")),
	      "0/-1/p0 temp=-200\n1/-1/p0 temp=150\n2/-1/p0 temp=-200.1\n3/-1/p0 temp=151\n4/-1/p0 temp=-273.15");
	static const uint16_t flags[] = {0, 0, READING_SENSOR_FAULT, READING_SENSOR_FAULT, READING_SENSOR_FAULT};
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(pack.readings[i].flags, flags[i]);
}

static void test_unknown_names_are_kept_as_json(void **state)
{
	(void)state;
	gives(PACK(VU("co2", 0, 412, "ppm") "," FIELDS("note", 0, "\"vs\":\"a \\\"b\\\" \\\\ \\n \\u00e9\"") "," FIELDS(
		      "p3/open", 0,
		      "\"vb\":true") "," FIELDS("p3/raw", 0,
						"\"vd\":\"aGkgCg\"") "," FIELDS("p3/flow", 0,
										"\"v\":0.1,\"s\":1e21,\"u\":"
										"\"\\\"\"") "," FIELDS("kwh", 0,
												       "\"s\":-2."
												       "5")),
	      "0/-1/p0 {\"co2\":{\"v\":412,\"u\":\"ppm\"},\"note\":{\"vs\":\"a \\\"b\\\" \\\\ \\u000a "
	      "\xc3\xa9\"},\"kwh\":{\"s\":-2.5}}\n"
	      "0/-1/p3 "
	      "{\"open\":{\"vb\":true},\"raw\":{\"vd\":\"aGkgCg\"},\"flow\":{\"v\":0.1,\"s\":1e+21,\"u\":\"\\\"\"}}");
}

static void test_the_sum_of_a_known_name_is_kept_beside_its_value(void **state)
{
	(void)state;
	gives(PACK(FIELDS("lux", 0, "\"v\":3,\"s\":900,\"u\":\"lux\"") "," FIELDS("hum", 0, "\"s\":7")),
	      "0/-1/p0 lux=3 {\"lux\":{\"s\":900,\"u\":\"lux\"},\"hum\":{\"s\":7}}");
}

static void test_only_a_well_formed_probe_prefix_is_a_probe(void **state)
{
	(void)state;
	gives(PACK(V("p0/temp", 0, 1) "," V("p255/temp", 0, 2) "," V("p256/temp", 0, 3) "," V("p01/temp", 0, 4) "," V(
		      "p/temp", 0, 5) "," V("p1/", 0, 6) "," V("p1/x/temp", 0, 7) "," V("temp/1", 0,
											8) "," V("p12345/t", 0, 9)),
	      "0/-1/p0 temp=1 {\"p256/temp\":{\"v\":3},\"p01/temp\":{\"v\":4},\"p/temp\":{\"v\":5},\"p1/"
	      "\":{\"v\":6},\"temp/1\":{\"v\":8},\"p12345/t\":{\"v\":9}}\n"
	      "0/-1/p1 {\"x/temp\":{\"v\":7}}\n0/-1/p255 temp=2");
	refused(PACK(V("p1/seq", 0, 1)), PACK_CONTENT, "record 2: p1/seq: seq belongs to the whole pack");
}

static void test_the_name_is_what_follows_the_last_colon(void **state)
{
	(void)state;
	gives("[{\"bn\":\"d:p1/\",\"bt\":1790000000,\"n\":\"temp\",\"v\":1},{\"bn\":\"d:te\",\"n\":\"mp\",\"v\":2},"
	      "{\"bn\":\"d:\",\"n\":\"x:temp\",\"t\":1,\"v\":3},{\"bn\":\"d:temp\",\"t\":2,\"v\":4},"
	      "{\"bn\":\"\",\"n\":\"temp\",\"t\":3,\"v\":5},{\"n\":\"d:\",\"t\":4,\"v\":6},{\"bn\":\"d:\",\"t\":5,"
	      "\"v\":7}]",
	      "0/-1/p0 temp=2\n0/-1/p1 temp=1\n1/-1/p0 temp=3\n2/-1/p0 temp=4\n3/-1/p0 temp=5\n4/-1/p0 "
	      "{\"d:\":{\"v\":6}}\n5/-1/p0 {\"d:\":{\"v\":7}}");
}

static void test_samples_are_numbered_in_time_order(void **state)
{
	(void)state;
	gives(PACK(V("temp", 120, 3) "," V("seq", 0, 10) "," V("p1/hum", 60, 52) "," V("temp", 60, 2) "," V(
		      "p1/temp", 60, 22) "," V("temp", 0, 1) "," V("hum", 120, 53)),
	      "0/10/p0 temp=1\n60/11/p0 temp=2\n60/11/p1 temp=22 hum=52\n120/12/p0 temp=3 hum=53");
	assert_int_equal(pack.sample_count, 3);
}

static void test_a_repeated_name_starts_a_further_sample(void **state)
{
	(void)state;
	gives(PACK(V("seq", 0, 5) "," V("temp", 0, 1) "," V("hum", 0, 51) "," V("temp", 0, 2) "," V("hum", 0, 52) "," V(
		      "temp", 9, 3)),
	      "0/5/p0 temp=1 hum=51\n0/6/p0 temp=2 hum=52\n9/7/p0 temp=3");
	gives(PACK(V("temp", 0, 1) "," V("p1/temp", 0, 2) "," V("temp", 0, 3) "," V("p1/temp", 0, 4) "," V("temp", 1,
													   5)),
	      "0/-1/p0 temp=1\n0/-1/p1 temp=2\n0/-2/p0 temp=3\n0/-2/p1 temp=4\n1/-1/p0 temp=5");
	gives(PACK(V("co2", 0, 1) "," V("voc", 0, 2) "," V("p1/co2", 0, 3) "," V("co2", 0, 4) "," V("voc", 0, 5)),
	      "0/-1/p0 {\"co2\":{\"v\":1},\"voc\":{\"v\":2}}\n0/-1/p1 {\"co2\":{\"v\":3}}\n0/-2/p0 "
	      "{\"co2\":{\"v\":4},\"voc\":{\"v\":5}}");
}

static void test_times_are_rounded_to_microseconds_and_relative_ones_resolved(void **state)
{
	(void)state;
	accepted("[{\"n\":\"temp\",\"t\":-1.0000004,\"v\":1},{\"n\":\"temp\",\"t\":0.0000026,\"v\":1},"
		 "{\"n\":\"temp\",\"t\":1790000000.123456,\"v\":1}]");
	assert_int_equal(pack.readings[0].ts, 1790000000 * S + 123456);
	assert_int_equal(pack.readings[1].ts, NOW - S);
	assert_int_equal(pack.readings[2].ts, NOW + 3);
}

static void test_samples_outside_the_window_are_marked_and_still_numbered(void **state)
{
	(void)state;
	accepted("[{\"n\":\"seq\",\"v\":3},{\"bt\":1790000300,\"n\":\"temp\",\"v\":1},{\"n\":\"temp\",\"t\":600,\"v\":"
		 "2},"
		 "{\"n\":\"temp\",\"t\":600.001,\"v\":3},{\"n\":\"p1/temp\",\"t\":600.001,\"v\":3},"
		 "{\"n\":\"temp\",\"t\":-34560000,\"v\":4},{\"n\":\"temp\",\"t\":-34560001,\"v\":5}]");
	static const bool out[] = {true, false, false, false, true, true};
	assert_int_equal(pack.reading_count, 6);
	for (size_t i = 0; i < 6; i++)
		assert_int_equal(pack.readings[i].out_of_window, out[i]);
	assert_int_equal(pack.readings[5].seq, 7);
	assert_int_equal(pack.samples.last, 7);
	assert_int_equal(pack.rejected, 3);
	assert_string_equal(pack.rejected_why.detail,
			    "clock: 2 of 5 samples: first 2025-08-17T14:18:19Z is more than 400 "
			    "days before receipt");
	accepted("[{\"n\":\"temp\",\"t\":601,\"v\":2}]");
	assert_string_equal(pack.rejected_why.detail,
			    "clock: 1 of 1 samples: first 2026-09-21T14:28:21Z is more than 600 s after receipt");
	accepted("[{\"n\":\"temp\",\"t\":8e12,\"v\":2}]");
	assert_non_null(strstr(pack.rejected_why.detail, "first 255479-11-28T14:13:20Z"));
}

static void test_pseudo_records_speak_for_the_pack_and_make_no_reading(void **state)
{
	(void)state;
	accepted(PACK(V("seq", 0, 2147483646) "," V("seq", 9, 2147483646) "," V("epoch", 0, 32767) "," V("epoch", 0, 32767) "," V(
		"clock", 0,
		1790000299.5) "," FIELDS("rr", 0,
					 "\"vb\":true") "," FIELDS("rr", 0,
								   "\"vb\":false") "," FIELDS("lost", 0,
											      "\"vs\":\"4650-"
											      "4655\"") "," FIELDS("los"
														   "t",
														   0,
														   "\"v"
														   "s\""
														   ":\""
														   "0"
														   "\"")));
	assert_int_equal(pack.reading_count, 0);
	assert_int_equal(pack.sample_count, 0);
	assert_true(pack.sequenced);
	assert_int_equal(pack.epoch, 32767);
	assert_true(pack.has_clock);
	assert_int_equal(pack.clock, 1790000299 * S + S / 2);
	assert_true(pack.wants_receipt);
	assert_int_equal(pack.lost_count, 2);
	assert_int_equal(pack.lost[0].first, 4650);
	assert_int_equal(pack.lost[0].last, 4655);
	assert_int_equal(pack.lost[1].last, 0);
}

static void test_wrong_pseudo_records_are_refused(void **state)
{
	(void)state;
	refused(PACK(V("seq", 0, -1)), PACK_CONTENT, "record 2: seq is -1: expected an integer from 0 to 2147483646");
	refused(PACK(V("seq", 0, 1.5)), PACK_CONTENT, "record 2: seq is 1.5: expected an integer");
	refused(PACK(V("seq", 0, 2147483648)), PACK_CONTENT, "seq is 2147483648: expected an integer");
	refused(PACK(V("seq", 0, 1) "," V("seq", 0, 2)), PACK_CONTENT, "record 3: seq is 2: expected one seq");
	refused(PACK(V("seq", 0, 2147483646) "," V("temp", 0, 1) "," V("temp", 1, 1)), PACK_CONTENT,
		"seq 2147483646 and 2 samples: expected the last number to be at most 2147483646");
	refused(PACK(V("epoch", 0, 32768)), PACK_CONTENT, "epoch is 32768: expected an integer from 0 to 32767");
	refused(PACK(V("epoch", 0, 0) "," V("epoch", 0, 1)), PACK_CONTENT, "record 3: epoch is 1: expected one epoch");
	refused(PACK(V("clock", 0, 1e13)), PACK_CONTENT, "record 2: clock is 1e+13: expected seconds");
	refused(PACK(V("clock", 0, 1) "," V("clock", 0, 2)), PACK_CONTENT, "record 3: clock is 2: expected one clock");
	static const char *const ranges[] = {"",      "-",  "1-", "-1",           "2-1", "a",
					     "1-2-3", " 1", "1 ", "1-2147483648", "+1",  "1e3"};
	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		char json[128];
		snprintf(json, sizeof(json), "[{\"n\":\"lost\",\"vs\":\"%s\"}]", ranges[i]);
		refused(json, PACK_CONTENT, "expected sample numbers \"first-last\" or \"number\"");
	}
}

static void test_the_content_type_decides_before_the_first_byte(void **state)
{
	(void)state;
	static const char json[] = " [{\"n\":\"temp\",\"v\":4}]";
	static const char cbor[] = "\x81\xa2\x00\x64temp\x02\x04";
	assert_int_equal(decode_bytes(json, sizeof(json) - 1, NULL), PACK_OK);
	assert_int_equal(decode_bytes(json, sizeof(json) - 1, ""), PACK_OK);
	assert_int_equal(decode_bytes(json, sizeof(json) - 1, "Application/SenML+JSON; charset=utf-8"), PACK_OK);
	assert_int_equal(decode_bytes(cbor, sizeof(cbor) - 1, NULL), PACK_OK);
	assert_int_equal(decode_bytes(cbor, sizeof(cbor) - 1, "application/senml+cbor"), PACK_OK);
	assert_int_equal(decode_bytes(cbor, sizeof(cbor) - 1, "application/senml+json"), PACK_SYNTAX);
	assert_int_equal(decode_bytes(json, sizeof(json) - 1, "application/senml+cbor"), PACK_SENML);
	assert_int_equal(decode_bytes(json, sizeof(json) - 1, "text/plain"), PACK_SYNTAX);
	assert_string_equal(err.detail, "content type 'text/plain': expected application/senml+json or "
					"application/senml+cbor");
	assert_int_equal(decode_bytes("{}", 2, NULL), PACK_SYNTAX);
	assert_string_equal(err.detail, "first byte is 0x7b: expected '[' (JSON) or a CBOR array");
	assert_int_equal(decode_bytes("\0", 1, NULL), PACK_SYNTAX);
}

static void test_packs_that_are_empty_or_too_large_are_refused(void **state)
{
	(void)state;
	refused("", PACK_EMPTY, "the payload is empty");
	refused("[]", PACK_SENML, "at least one record");
	static char large[65537];
	memset(large, ' ', sizeof(large));
	assert_int_equal(decode_bytes(large, sizeof(large), NULL), PACK_TOO_LARGE);
	assert_string_equal(err.detail, "65537 bytes: expected at most 65536");
}

/* `count` records of `sample` at 1 s intervals; backwards in time when `reverse`. */
static size_t many(char *out, size_t size, size_t count, bool reverse)
{
	size_t n = (size_t)snprintf(out, size, "[{\"n\":\"seq\",\"bt\":1790000000,\"v\":0}");
	for (size_t i = 0; i < count; i++)
		n += (size_t)snprintf(out + n, size - n, ",{\"n\":\"temp\",\"t\":%s%zu,\"v\":4}", reverse ? "-" : "",
				      i);
	return n + (size_t)snprintf(out + n, size - n, "]");
}

static void test_2048_samples_are_accepted_in_any_order_and_2049_are_not(void **state)
{
	(void)state;
	static char json[128 * 1024];
	for (int reverse = 0; reverse < 2; reverse++) {
		accepted((many(json, sizeof(json), 2048, reverse), json));
		assert_int_equal(pack.reading_count, 2048);
		for (size_t i = 0; i < 2048; i++) {
			assert_int_equal(pack.readings[i].seq, i);
			assert_int_equal(pack.readings[i].ts, (1790000000 + (int64_t)i - (reverse ? 2047 : 0)) * S);
		}
	}
	many(json, sizeof(json), 2049, false);
	refused(json, PACK_TOO_LARGE, "2049 samples: expected at most 2048");
}

static void test_10000_records_are_within_the_bounds_when_the_bounds_allow_it(void **state)
{
	(void)state;
	static char json[1024 * 1024];
	size_t len = many(json, sizeof(json), 10000, false);
	const struct pack_limits large = {1024 * 1024, 10000, 86400, 86400, 0},
				 few = {1024 * 1024, 600, 86400, 86400, 0};
	assert_int_equal(pack_decode((uint8_t *)json, len, NULL, NOW, &large, arena, &pack, &err), PACK_OK);
	assert_int_equal(pack.samples.last, 9999);
	assert_int_equal(pack_decode((uint8_t *)json, len, NULL, NOW, &few, arena, &pack, &err), PACK_TOO_LARGE);
	assert_string_equal(err.detail, "more than 9600 records");
}

static void test_pack_with_unknown_underscore_field_is_rejected(void **state)
{
	(void)state;
	refused(PACK(FIELDS("temp", 0, "\"v\":1,\"q_\":1")), PACK_SENML, "record 2: field 'q_' must be understood");
	accepted(PACK(FIELDS("temp", 0, "\"v\":1,\"q\":1")));
}

static int setup(void **state)
{
	(void)state;
	arena = arena_new(1 << 20);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena_free(&arena);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_example_of_the_contract_gives_three_numbered_samples),
		cmocka_unit_test(test_each_known_name_has_its_column),
		cmocka_unit_test(test_units_are_assumed_converted_or_refused),
		cmocka_unit_test(test_a_base_unit_is_for_measured_numbers_only),
		cmocka_unit_test(test_a_wrong_type_of_value_is_refused),
		cmocka_unit_test(test_numbers_out_of_bounds_are_refused),
		cmocka_unit_test(test_an_impossible_temperature_is_kept_and_flagged),
		cmocka_unit_test(test_unknown_names_are_kept_as_json),
		cmocka_unit_test(test_the_sum_of_a_known_name_is_kept_beside_its_value),
		cmocka_unit_test(test_only_a_well_formed_probe_prefix_is_a_probe),
		cmocka_unit_test(test_the_name_is_what_follows_the_last_colon),
		cmocka_unit_test(test_samples_are_numbered_in_time_order),
		cmocka_unit_test(test_a_repeated_name_starts_a_further_sample),
		cmocka_unit_test(test_times_are_rounded_to_microseconds_and_relative_ones_resolved),
		cmocka_unit_test(test_samples_outside_the_window_are_marked_and_still_numbered),
		cmocka_unit_test(test_pseudo_records_speak_for_the_pack_and_make_no_reading),
		cmocka_unit_test(test_wrong_pseudo_records_are_refused),
		cmocka_unit_test(test_the_content_type_decides_before_the_first_byte),
		cmocka_unit_test(test_packs_that_are_empty_or_too_large_are_refused),
		cmocka_unit_test(test_2048_samples_are_accepted_in_any_order_and_2049_are_not),
		cmocka_unit_test(test_10000_records_are_within_the_bounds_when_the_bounds_allow_it),
		cmocka_unit_test(test_pack_with_unknown_underscore_field_is_rejected),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
