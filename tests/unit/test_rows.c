/* SPDX-License-Identifier: Apache-2.0
 *
 * From messages to parameters, decoded back as PostgreSQL would: order, latest values, facts, wishes, quarantine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <endian.h>

#include "ingest/rows.h"

#define NOW  INT64_C(1790000300000000)
#define T0   INT64_C(1790000000)
#define NONE "-"

static const struct pack_limits limits = PACK_LIMITS_DEFAULT;
static struct devices *devices;
static struct batch b;
static struct rows rows;
static struct pg_params p;

static int fresh(void **state)
{
	(void)state;
	devices = devices_new();
	devices_put(devices, "a", 1, 10);
	devices_put(devices, "b", 1, 20);
	devices_put(devices, "c", 1, 5);
	batch_init(&b);
	return 0;
}

static int drop(void **state)
{
	(void)state;
	batch_fini(&b);
	devices_free(&devices);
	return 0;
}

/* A message of one device, received `second` seconds after NOW; `records` in JSON without the brackets. */
static void add(const char *serial, int second, const char *records)
{
	char topic[64], payload[2048];
	snprintf(topic, sizeof(topic), "cf/v1/%s/telemetry", serial);
	snprintf(payload, sizeof(payload), "[{\"bt\":%lld},%s]", (long long)T0, records);
	const struct mqtt_message in = {
		.topic = topic, .payload = (const uint8_t *)payload, .payload_len = strlen(payload), .qos = 1};
	batch_add(&b, &in, NOW + second * INT64_C(1000000), devices, &limits);
	if (!b.messages[b.count - 1].store && b.messages[b.count - 1].quarantine != NULL)
		fail_msg("%s: %s", payload, b.messages[b.count - 1].detail);
}

/* ---- decoding ---- */

static uint32_t get32(const uint8_t *at)
{
	uint32_t bits;
	memcpy(&bits, at, sizeof(bits));
	return be32toh(bits);
}

static void print_element(char *out, size_t size, uint32_t oid, const uint8_t *at, uint32_t len)
{
	uint64_t wide = 0;
	uint32_t narrow = 0;
	double d;
	float f;
	for (uint32_t i = 0; i < len && i < 8; i++)
		wide = wide << 8 | at[i];
	narrow = (uint32_t)wide;
	memcpy(&d, &wide, sizeof(d));
	memcpy(&f, &narrow, sizeof(f));
	switch (oid) {
	case 16:
		snprintf(out, size, "%s", wide ? "t" : "f");
		break;
	case 21:
		snprintf(out, size, "%d", (int16_t)narrow);
		break;
	case 23:
		snprintf(out, size, "%d", (int32_t)narrow);
		break;
	case 700:
		snprintf(out, size, "%g", (double)f);
		break;
	case 701:
		snprintf(out, size, "%.9g", d);
		break;
	case 1184: /* seconds after T0, with what is below a second */
		snprintf(out, size, "%gs", (double)((int64_t)wide + PG_EPOCH_US - T0 * 1000000) / 1e6);
		break;
	default:
		snprintf(out, size, "%.*s", (int)len, (const char *)at);
	}
}

/* Parameter $number as "a,b,null"; "-" when it is NULL as a whole. */
static const char *param(int number)
{
	static char text[4096];
	char element[512];
	const uint8_t *at = (const uint8_t *)p.values[number - 1];
	if (at == NULL)
		return NONE;
	size_t used = 0, len = (size_t)p.lengths[number - 1];
	uint32_t oid = get32(at + 8), count = get32(at) == 0 ? 0 : get32(at + 12);
	const uint8_t *end = at + len;
	text[0] = '\0';
	at += count > 0 ? 20 : 12;
	for (uint32_t i = 0; i < count; i++) {
		uint32_t size = get32(at);
		at += 4;
		snprintf(element, sizeof(element), "null");
		if (size != UINT32_MAX) {
			print_element(element, sizeof(element), oid, at, size);
			at += size;
		}
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s", i > 0 ? "," : "", element);
	}
	assert_ptr_equal(at, end);
	return text;
}

static void is(int number, const char *expected)
{
	const char *got = param(number);
	if (strcmp(got, expected) != 0)
		fail_msg("$%d: expected %s, got %s", number, expected, got);
}

static void readings(void)
{
	rows_collect(&rows, &b, 0, b.count, b.arena);
	rows_readings_params(&p, &rows, b.arena);
	assert_int_equal(p.count, 21);
}

static size_t advance(void)
{
	rows_collect(&rows, &b, 0, b.count, b.arena);
	size_t n = rows_advance_params(&p, &rows, &b, 0, b.count, b.arena);
	assert_int_equal(p.count, n > 0 ? 34 : 0);
	return n;
}

#define SEQ(n)           "{\"n\":\"seq\",\"v\":" #n "}"
#define TEMP(t, v)       "{\"n\":\"temp\",\"u\":\"Cel\",\"t\":" #t ",\"v\":" #v "}"
#define ONE(name, t, v)  "{\"n\":\"" name "\",\"t\":" #t ",\"v\":" #v "}"
#define BOOL(name, t, v) "{\"n\":\"" name "\",\"t\":" #t ",\"vb\":" #v "}"

static void test_readings_are_sorted_by_their_key(void **state)
{
	(void)state;
	add("b", 0, SEQ(1) "," TEMP(60, 2) "," TEMP(0, 1));
	add("a", 1, SEQ(7) "," ONE("p1/temp", 0, 11) "," ONE("temp", 0, 10) "," ONE("p0/hum", 30, 50));
	add("c", 2, SEQ(3) "," TEMP(0, 5));
	readings();
	is(1, "5,10,10,10,20,20");
	is(2, "0s,0s,0s,30s,0s,60s");
	is(3, "302s,301s,301s,301s,300s,300s");
	is(4, "3,7,7,8,1,2");
	is(5, "0,0,0,0,0,0");
	is(6, "0,0,-32767,0,0,0");
	is(7, "5,10,11,null,1,2");
	is(8, "null,null,null,50,null,null");
	for (int i = 9; i <= 21; i++)
		is(i, NONE);
	assert_true(rows.first_ts == T0 * 1000000 && rows.last_ts == (T0 + 60) * 1000000);
}

static void test_another_sample_of_a_moment_is_marked_and_the_same_one_again_is_not(void **state)
{
	(void)state;
	add("a", 0, SEQ(3) "," TEMP(0, 1) "," ONE("p255/temp", 0, 2));
	add("a", 1, SEQ(3) "," TEMP(0, 1));
	add("a", 2, SEQ(4) "," TEMP(0, 1));
	add("b", 3, SEQ(4) "," TEMP(0, 1));
	readings();
	is(1, "10,10,10,10,20");
	is(4, "3,3,4,3,4");
	is(6, "0,0,-32768,-32513,0");
}

static void test_every_channel_has_its_column(void **state)
{
	(void)state;
	add("a", 0,
	    SEQ(1) "," ONE("lux", 0, 1) "," ONE("shock", 0, 2) "," ONE("batt", 0, 3) "," ONE("rsrp", 0, -99) "," ONE(
		    "lat", 0,
		    52.520008) "," ONE("lon", 0,
				       13.404954) "," ONE("alt", 0,
							  34) "," ONE("acc", 0,
								      5) "," BOOL("door", 0,
										  true) "," BOOL("tamper", 0,
												 false) "," BOOL("powe"
														 "r",
														 0,
														 true) "," ONE("co2",
															       0,
															       400));
	readings();
	static const char *const expected[] = {"1",  "2", "3", "-99", "52.520008", "13.404954",
					       "34", "5", "t", "f",   "t",         NONE};
	is(7, NONE);
	is(8, NONE);
	for (int i = 0; i < 12; i++)
		is(9 + i, expected[i]);
	assert_non_null(strstr(param(21), "\"co2\""));
}

static void test_a_sensor_fault_is_stored_with_its_flag(void **state)
{
	(void)state;
	add("a", 0, TEMP(0, 4) "," TEMP(60, 999));
	readings();
	is(7, "4,999");
	is(20, "null,1");
}

static void test_readings_outside_the_window_and_of_refused_messages_are_left_out(void **state)
{
	(void)state;
	add("a", 0, TEMP(-99999999, 1) "," TEMP(0, 2));
	add("a", 0, TEMP(10, 3));
	b.messages[1].store = false;
	readings();
	is(7, "2");
}

static void test_only_the_messages_of_the_range_are_taken(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++)
		add("a", i, TEMP(0, 1));
	rows_collect(&rows, &b, 1, 3, b.arena);
	assert_int_equal(rows.count, 2);
	assert_int_equal(rows.rows[0].message, 1);
	assert_int_equal(rows.rows[1].message, 2);
	assert_int_equal(rows_advance_params(&p, &rows, &b, 1, 3, b.arena), 1);
	is(2, "302s");
}

static void test_the_newest_value_wins_whatever_the_order(void **state)
{
	(void)state;
	add("a", 0, TEMP(60, 2) "," ONE("hum", 10, 40));
	add("a", 1, TEMP(30, 9) "," ONE("hum", 20, 41));
	add("b", 2, ONE("batt", 5, 88));
	assert_int_equal(advance(), 2);
	is(1, "10,20");
	is(2, "301s,302s");
	is(3, "60s,5s");
	is(4, "2,null");
	is(5, "60s,null");
	is(6, "41,null");
	is(7, "20s,null");
	is(8, "null,88");
	is(9, "null,5s");
	is(10, NONE);
	is(11, NONE);
}

static void test_of_two_values_of_one_moment_the_greater_wins(void **state)
{
	(void)state;
	add("a", 0, SEQ(1) "," TEMP(0, 3) "," BOOL("door", 0, true));
	add("a", 0, SEQ(2) "," TEMP(0, 8) "," BOOL("door", 0, false));
	add("a", 0, SEQ(3) "," TEMP(0, 5) "," BOOL("door", 0, false));
	advance();
	is(4, "8");
	is(17, "t");
}

static void test_a_fault_and_another_probe_are_not_shown_as_the_temperature(void **state)
{
	(void)state;
	add("a", 0, TEMP(0, 4) "," TEMP(60, 999) "," ONE("p1/temp", 120, -20));
	add("b", 0, TEMP(0, -999));
	advance();
	is(3, "120s,0s");
	is(4, "4,null");
	is(5, "0s,null");
}

static void test_what_is_judged_is_told_of_all_probes_without_faults(void **state)
{
	(void)state;
	add("a", 0, TEMP(60, 999) "," TEMP(90, 4) "," ONE("p1/temp", 120, -20));
	add("b", 0, TEMP(30, -999));
	advance();
	is(32, "-20,null");
	is(33, "4,null");
	is(34, "60s,30s");
}

static void position(int second, const char *lat_lon_alt_acc)
{
	double lat, lon, alt, acc;
	char records[512];
	int n = sscanf(lat_lon_alt_acc, "%lf %lf %lf %lf", &lat, &lon, &alt, &acc);
	size_t used = (size_t)snprintf(records, sizeof(records),
				       "{\"n\":\"seq\",\"v\":%d},{\"n\":\"lat\",\"v\":%.6f},"
				       "{\"n\":\"lon\",\"v\":%.6f}",
				       second + 1, lat, lon);
	if (n > 2)
		used += (size_t)snprintf(records + used, sizeof(records) - used, ",{\"n\":\"alt\",\"v\":%.6f}", alt);
	if (n > 3)
		snprintf(records + used, sizeof(records) - used, ",{\"n\":\"acc\",\"v\":%.6f}", acc);
	add("a", second, records);
}

/* As telemetry.position_wins says: latitude, longitude, altitude, accuracy, and an absent part sorts highest. */
static void test_of_two_positions_of_one_moment_the_same_wins_in_any_order(void **state)
{
	(void)state;
	static const char *const rising[] = {"51 14 9 9",  "52 13",        "52 13.5 10 3", "52 13.5 10 4",
					     "52 13.5 10", "52 13.5 11 1", "52 13.5"};
	enum { POSITIONS = sizeof(rising) / sizeof(rising[0]) };
	for (int low = 0; low < POSITIONS; low++) {
		for (int high = low; high < POSITIONS; high++) {
			char expected[128];
			double lat = 0, lon = 0, alt = 0, acc = 0;
			int n = sscanf(rising[high], "%lf %lf %lf %lf", &lat, &lon, &alt, &acc);
			for (int turn = 0; turn < 2; turn++) {
				batch_reset(&b);
				position(0, rising[turn ? low : high]);
				position(1, rising[turn ? high : low]);
				advance();
				snprintf(expected, sizeof(expected), "%g", lat);
				is(12, expected);
				snprintf(expected, sizeof(expected), "%g", lon);
				is(13, expected);
				snprintf(expected, sizeof(expected), "%g", alt);
				is(14, n > 2 ? expected : NONE);
				snprintf(expected, sizeof(expected), "%g", acc);
				is(15, n > 3 ? expected : NONE);
			}
		}
	}
}

static void test_the_newest_clock_is_taken_and_of_two_at_once_the_greater(void **state)
{
	(void)state;
	for (int turn = 0; turn < 2; turn++) {
		batch_reset(&b);
		add("a", turn ? 1 : 2, ONE("clock", 0, 1790000310) "," TEMP(0, 1));
		add("a", turn ? 2 : 1, ONE("clock", 0, 1790000310) "," TEMP(0, 1));
		advance();
		is(23, "8");
		is(24, "302s");
		batch_reset(&b);
		add("a", 0, turn ? ONE("clock", 0, 1790000310) : ONE("clock", 0, 1790000299));
		add("a", 0, turn ? ONE("clock", 0, 1790000299) : ONE("clock", 0, 1790000310));
		advance();
		is(23, "10");
	}
}

static void test_touching_and_overlapping_facts_are_joined(void **state)
{
	(void)state;
	add("b", 0, SEQ(50) "," TEMP(0, 1));
	add("a", 0, SEQ(3) "," TEMP(0, 1) "," TEMP(60, 1)); /* 3-4 */
	add("a", 0, SEQ(1) "," TEMP(0, 1) "," TEMP(60, 1)); /* 1-2 */
	add("a", 0, SEQ(4) "," TEMP(0, 1) "," TEMP(60, 1)); /* 4-5 */
	add("a", 0, SEQ(9) "," TEMP(0, 1));
	add("a", 0, "{\"n\":\"epoch\",\"v\":1}," SEQ(5) "," TEMP(0, 1));
	add("a", 0, "{\"n\":\"lost\",\"vs\":\"6-7\"}");
	advance();
	is(25, "10,10,10,10,20");
	is(26, "0,0,0,1,0");
	is(27, "1,9,6,5,50");
	is(28, "5,9,7,5,50");
	is(29, "f,f,t,f,f");
}

static void test_wishes_are_told_once_in_a_row(void **state)
{
	(void)state;
	add("a", 0, "{\"n\":\"rr\",\"vb\":true}," SEQ(3) "," TEMP(0, 1));
	add("a", 0, "{\"n\":\"rr\",\"vb\":true}," SEQ(4) "," TEMP(0, 1));
	add("a", 0, "{\"n\":\"rr\",\"vb\":true}," TEMP(0, 1));
	add("b", 0, TEMP(0, 1));
	advance();
	is(30, "10,10");
	is(31, "0,null");
}

static void test_one_wish_each_stands_beside_the_devices(void **state)
{
	(void)state;
	add("b", 0, TEMP(0, 1));
	add("a", 0, "{\"n\":\"rr\",\"vb\":true}," SEQ(3) "," TEMP(0, 1));
	advance();
	is(30, "10,20");
	is(31, "0,-2");
}

static void test_a_batch_without_anything_to_store_sends_nothing(void **state)
{
	(void)state;
	assert_int_equal(advance(), 0);
	add("a", 0, TEMP(0, 1));
	b.messages[0].store = false;
	assert_int_equal(advance(), 0);
	assert_int_equal(rows_quarantine_params(&p, &b, 0, b.count, b.arena), 0);
}

static void add_status(const char *serial, int second, const char *head)
{
	char topic[64], payload[512];
	snprintf(topic, sizeof(topic), "cf/v1/%s/status", serial);
	snprintf(payload, sizeof(payload),
		 "{%s\"uptime\":1,\"mcu\":\"running\",\"module\":null,\"config\":{\"version\":0},"
		 "\"firmware\":{\"running\":\"a\",\"slots\":{\"a\":\"1\"}}}",
		 head);
	const struct mqtt_message in = {
		.topic = topic, .payload = (const uint8_t *)payload, .payload_len = strlen(payload), .qos = 1};
	batch_add(&b, &in, NOW + second * INT64_C(1000000), devices, &limits);
}

static void test_statuses_travel_beside_readings_and_tell_that_the_device_was_heard(void **state)
{
	(void)state;
	add("a", 0, "{\"n\":\"temp\",\"v\":4}");
	assert_int_equal(rows_status_params(&p, &b, 0, b.count, b.arena), 0);
	add_status("b", 1, "\"boot\":7,\"clock\":1790000301.5,");
	add_status("a", 2, "\"boot\":8,");
	add_status("a", 3, "\"boot\":-1,"); /* refused */
	assert_int_equal(rows_status_params(&p, &b, 0, b.count, b.arena), 2);
	assert_int_equal(p.count, 3);
	is(1, "20,10");
	is(2, "301s,302s");
	assert_non_null(strstr(param(3), "{\"boot\":7,"));
	assert_non_null(strstr(param(3), ",{\"boot\":8,\"config\""));
	assert_int_equal(rows_status_params(&p, &b, 2, b.count, b.arena), 1);
	is(1, "10");
	rows_collect(&rows, &b, 0, b.count, b.arena);
	assert_int_equal(rows.count, 1);
	assert_int_equal(rows_advance_params(&p, &rows, &b, 0, b.count, b.arena), 2);
	is(1, "10,20");
	is(2, "302s,301s");
	is(23, "null,0.5");
	is(30, "");
}

static void test_quarantine_carries_the_message_whole_and_only_once(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		const struct mqtt_message in = {.topic = i == 1 ? "cf/v1/nobody/telemetry" : "cf/v1/a/telemetry",
						.payload = (const uint8_t *)"[{]",
						.payload_len = (size_t)(1 + i),
						.content_type = i == 2 ? "text/x" : NULL};
		batch_add(&b, &in, NOW + i * 1000000, devices, &limits);
	}
	batch_resolve(&b, devices);
	b.messages[0].kept = true;
	assert_int_equal(rows_quarantine_params(&p, &b, 0, b.count, b.arena), 2);
	assert_int_equal(p.count, 7);
	is(1, "null,10");
	is(2, "cf/v1/nobody/telemetry,cf/v1/a/telemetry");
	is(3, "[{,[{]");
	is(4, "null,text/x");
	is(5, "301s,302s");
	assert_non_null(strstr(param(6), "unknown-device,"));
	assert_non_null(strstr(param(7), "no device has the serial nobody"));
}

#define T(name) cmocka_unit_test_setup_teardown(name, fresh, drop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_readings_are_sorted_by_their_key),
		T(test_another_sample_of_a_moment_is_marked_and_the_same_one_again_is_not),
		T(test_every_channel_has_its_column),
		T(test_a_sensor_fault_is_stored_with_its_flag),
		T(test_readings_outside_the_window_and_of_refused_messages_are_left_out),
		T(test_only_the_messages_of_the_range_are_taken),
		T(test_the_newest_value_wins_whatever_the_order),
		T(test_of_two_values_of_one_moment_the_greater_wins),
		T(test_a_fault_and_another_probe_are_not_shown_as_the_temperature),
		T(test_what_is_judged_is_told_of_all_probes_without_faults),
		T(test_of_two_positions_of_one_moment_the_same_wins_in_any_order),
		T(test_the_newest_clock_is_taken_and_of_two_at_once_the_greater),
		T(test_touching_and_overlapping_facts_are_joined),
		T(test_wishes_are_told_once_in_a_row),
		T(test_one_wish_each_stands_beside_the_devices),
		T(test_a_batch_without_anything_to_store_sends_nothing),
		T(test_statuses_travel_beside_readings_and_tell_that_the_device_was_heard),
		T(test_quarantine_carries_the_message_whole_and_only_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
