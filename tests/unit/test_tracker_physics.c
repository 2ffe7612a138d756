/* SPDX-License-Identifier: Apache-2.0
 *
 * The simulated world is repeatable, stays within what such things do, and has its bad days. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/tracker/physics.h"

#define START    1.79e9
#define DAY      86400.0
#define TRACKERS 60

static void tracker(struct physics *p, int n)
{
	char serial[32];

	snprintf(serial, sizeof(serial), "demo-%05d", n);
	physics_init(p, 1, serial);
}

static void test_same_question_gets_the_same_answer(void **state)
{
	struct physics a, b;
	struct measure x[QUANTITIES], y[QUANTITIES];

	(void)state;
	tracker(&a, 1);
	tracker(&b, 1);
	for (int i = 0; i < 1000; i++) {
		int64_t ts = (int64_t)(START * 1e6) + i * INT64_C(61234567);
		size_t n = physics_measure(&a, ts, i % 2 == 0, x);
		assert_int_equal(n, physics_measure(&b, ts, i % 2 == 0, y));
		assert_memory_equal(x, y, n * sizeof(*x));
	}
}

static void test_another_seed_or_serial_is_another_tracker(void **state)
{
	struct physics a, b, c;
	int equal = 0;

	(void)state;
	physics_init(&a, 1, "demo-00001");
	physics_init(&b, 2, "demo-00001");
	physics_init(&c, 1, "demo-00002");
	for (int i = 0; i < 100; i++) {
		double t = START + i * 600;
		equal += physics_temperature(&a, t) == physics_temperature(&b, t);
		equal += physics_temperature(&a, t) == physics_temperature(&c, t);
	}
	assert_int_equal(equal, 0);
}

static void test_every_measure_is_within_physical_bounds(void **state)
{
	static const double least[QUANTITIES] = {
		[Q_TEMP] = -10, [Q_HUM] = 0, [Q_BATT] = 1, [Q_RSRP] = -130, [Q_LAT] = -90, [Q_LON] = -180, [Q_ACC] = 1};
	static const double most[QUANTITIES] = {
		[Q_TEMP] = 40, [Q_HUM] = 100, [Q_LUX] = 1000, [Q_SHOCK] = 20, [Q_BATT] = 100, [Q_RSRP] = -44,
		[Q_LAT] = 90,  [Q_LON] = 180, [Q_ACC] = 50,   [Q_DOOR] = 1,   [Q_POWER] = 1};
	struct measure m[QUANTITIES];
	struct physics p;

	(void)state;
	for (int k = 0; k < TRACKERS; k++) {
		tracker(&p, k);
		for (int i = 0; i < 2000; i++) {
			size_t n = physics_measure(&p, (int64_t)((START + i * 600) * 1e6), true, m);
			assert_in_range(n, 2, QUANTITIES);
			for (size_t j = 0; j < n; j++)
				if (!(m[j].value >= least[m[j].quantity] && m[j].value <= most[m[j].quantity]))
					fail_msg("tracker %d quantity %u: %g", k, m[j].quantity, m[j].value);
		}
	}
}

static void test_cold_chain_mostly_holds_and_sometimes_breaks(void **state)
{
	struct physics p;
	int in = 0, hot = 0, frozen = 0, all = 0;

	(void)state;
	for (int k = 0; k < TRACKERS; k++) {
		tracker(&p, k);
		for (double t = START; t < START + 30 * DAY; t += 600, all++) {
			double c = physics_temperature(&p, t);
			in += c >= 2 && c <= 8;
			hot += c > 8;
			frozen += c <= -0.5;
		}
	}
	assert_true(in > all * 0.9);
	assert_true(hot > all * 0.001 && hot < all * 0.05);
	assert_true(frozen > all * 0.0005 && frozen < all * 0.02);
}

static void test_temperature_does_not_jump_between_two_minutes(void **state)
{
	struct physics p;

	(void)state;
	for (int k = 0; k < TRACKERS; k++) {
		tracker(&p, k);
		for (double t = START; t < START + 5 * DAY; t += 60)
			if (fabs(physics_temperature(&p, t + 60) - physics_temperature(&p, t)) > 2.5)
				fail_msg("tracker %d at %.0f: %g then %g", k, t, physics_temperature(&p, t),
					 physics_temperature(&p, t + 60));
	}
}

static void test_shipment_passes_all_stages_and_is_silent_in_the_air(void **state)
{
	struct physics p;
	struct measure m[QUANTITIES];
	unsigned seen = 0, travellers = 0;

	(void)state;
	for (int k = 0; k < TRACKERS; k++) {
		tracker(&p, k);
		travellers += p.travels;
		for (double t = START; p.travels && t < START + 10 * DAY; t += 1800) {
			enum stage s = physics_stage(&p, t);
			size_t n = physics_measure(&p, (int64_t)(t * 1e6), true, m);
			seen |= 1u << s;
			for (size_t j = 0; j < n && s == STAGE_PLANE; j++)
				assert_true(m[j].quantity != Q_RSRP && m[j].quantity != Q_LAT);
		}
	}
	assert_int_equal(seen, (1u << STAGES) - 1);
	assert_in_range(travellers, TRACKERS / 5, TRACKERS * 3 / 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same_question_gets_the_same_answer),
		cmocka_unit_test(test_another_seed_or_serial_is_another_tracker),
		cmocka_unit_test(test_every_measure_is_within_physical_bounds),
		cmocka_unit_test(test_cold_chain_mostly_holds_and_sometimes_breaks),
		cmocka_unit_test(test_temperature_does_not_jump_between_two_minutes),
		cmocka_unit_test(test_shipment_passes_all_stages_and_is_silent_in_the_air),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
