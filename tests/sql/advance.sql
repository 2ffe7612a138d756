-- SPDX-License-Identifier: Apache-2.0
-- Latest state, gaps and receipts by example; advance_property.py compares any order with set arithmetic.
BEGIN;
SET search_path = pgtap, public;
SET jit = off;
SELECT plan(30);

SELECT fleet.register_device('advance', 'test', 'test', '') AS device \gset
SELECT set_config('test.device', :'device', true) \g /dev/null

-- Numbers first to last of an epoch arrive; the answer as "epoch/through/missing", NULL for none.
CREATE FUNCTION pg_temp.arrive(epoch int, first int, last int, lost boolean DEFAULT NULL, ask int DEFAULT NULL) RETURNS text
LANGUAGE sql AS $$
	SELECT string_agg(format('%s/%s/%s', receipt_epoch, through, missing), ' ')
	FROM (SELECT current_setting('test.device')::int) AS v (d)
	CROSS JOIN telemetry.advance(ARRAY[d], ARRAY[now()], NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
		NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, CASE WHEN first IS NULL THEN NULL ELSE ARRAY[d] END,
		ARRAY[epoch]::smallint[], ARRAY[first], ARRAY[last], ARRAY[lost],
		CASE WHEN ask IS NULL THEN NULL ELSE ARRAY[d] END, ARRAY[nullif(ask, -2)]::smallint[])
$$;
CREATE FUNCTION pg_temp.state() RETURNS text LANGUAGE sql AS $$
	SELECT format('%s/%s/%s', epoch, seq_high, gaps) FROM telemetry.device_state
	WHERE device_id = current_setting('test.device')::int
$$;

SELECT is(pg_temp.state(), '0/-1/0', 'test_a_new_device_has_nothing_accounted_for');
SELECT is(pg_temp.arrive(NULL, NULL, NULL, NULL, -2), '0/-1/{}', 'test_a_receipt_before_any_number_says_minus_1');
SELECT is(pg_temp.arrive(0, 0, 4), NULL, 'test_numbers_that_continue_need_no_receipt');
SELECT is(pg_temp.arrive(0, 5, 9, NULL, 0), '0/9/{}', 'test_an_asked_receipt_tells_the_highest_number');
SELECT is(pg_temp.arrive(0, 5, 9, NULL, -2), '0/9/{}', 'test_redelivery_changes_nothing');
SELECT is(pg_temp.arrive(0, 20, 24), '0/24/{10,19}', 'test_a_hole_sends_a_receipt_unasked');
SELECT is(pg_temp.state(), '0/24/1', 'test_a_hole_is_counted');
SELECT is(pg_temp.arrive(0, 25, 29), NULL, 'test_a_known_hole_sends_no_further_receipt_unasked');
SELECT is(pg_temp.arrive(0, 14, 15, NULL, 0), '0/29/{10,13,16,19}', 'test_a_hole_filled_in_its_middle_is_two_ranges');
SELECT is(pg_temp.state(), '0/29/2', 'test_ranges_are_counted_not_holes');
SELECT is(pg_temp.arrive(0, 10, 13, true, 0), '0/29/{16,19}', 'test_numbers_declared_lost_are_no_longer_missing');
SELECT is(pg_temp.arrive(0, 0, 19, NULL, 0), '0/29/{}', 'test_a_resent_range_closes_the_hole');
SELECT results_eq(format('SELECT seq_from, seq_to, missing::text, lost::text, closed_at IS NOT NULL FROM telemetry.gap
	WHERE device_id = %s', :device), $$ VALUES (10, 19, '{}', '{[10,14)}', true) $$,
	'test_a_closed_hole_keeps_what_it_was_and_what_was_lost');
SELECT is(pg_temp.arrive(0, 30, 34, true), NULL, 'test_numbers_declared_lost_ahead_open_no_hole');
SELECT results_eq(format('SELECT lost::text FROM telemetry.gap WHERE device_id = %s AND seq_from = 30', :device),
	ARRAY['{[30,35)}'], 'test_numbers_declared_lost_ahead_are_recorded');

SELECT is(pg_temp.arrive(1, 800, 800), '1/800/{0,799}', 'test_every_epoch_starts_at_0');
SELECT is(pg_temp.arrive(0, 36, 36, NULL, 0), '0/36/{35,35}', 'test_late_data_of_an_old_epoch_is_accounted_for_there');
SELECT is(pg_temp.state(), '1/800/1', 'test_late_data_of_an_old_epoch_leaves_the_latest_one_alone');
SELECT is(pg_temp.arrive(NULL, NULL, NULL, NULL, -2), '1/800/{0,799}', 'test_a_receipt_for_no_epoch_is_of_the_latest');
SELECT is(pg_temp.arrive(NULL, NULL, NULL, NULL, 3), '3/-1/{}', 'test_a_receipt_for_an_epoch_without_numbers_says_minus_1');
SELECT is(pg_temp.arrive(1, 0, 799, NULL, 1), '1/800/{}', 'test_reversed_delivery_ends_without_a_hole');

SELECT count(pg_temp.arrive(5, n * 2 + 1, n * 2 + 1)) FROM generate_series(0, 39) AS n \g /dev/null
SELECT is(pg_temp.arrive(5, 1, 1, NULL, 5), '5/63/{' || (SELECT string_agg(format('%s,%s', n, n), ',')
	FROM generate_series(0, 62, 2) AS n) || '}', 'test_through_ends_before_the_33rd_range');
SELECT is(pg_temp.arrive(6, 2147483646, 2147483646), '6/2147483646/{0,2147483645}', 'test_the_greatest_number_is_accounted_for');
SELECT throws_ok($$ SELECT pg_temp.arrive(6, 2147483647, 2147483647) $$, '22003', NULL,
	'test_a_number_beyond_the_greatest_is_refused');
SELECT throws_ok($$ SELECT pg_temp.arrive(6, 5, 4) $$, '22000', NULL, 'test_a_range_that_ends_before_it_starts_is_refused');

SELECT is_empty($$ SELECT FROM telemetry.device_state WHERE device_id = -5 $$, 'test_the_device_without_a_row_has_none');
SELECT is((SELECT through FROM telemetry.advance(ARRAY[-5], ARRAY[now()], NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
	NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, ARRAY[-5], ARRAY[0::smallint], ARRAY[0], ARRAY[3], NULL,
	ARRAY[-5], ARRAY[0::smallint])), 3, 'test_a_device_without_a_row_gets_one');

-- Ingest's clock is two hours ahead, and a number is missing.
SELECT count(*) FROM telemetry.advance(ARRAY[-5], ARRAY[now() + interval '2 hours'], NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
	NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, ARRAY[-5], ARRAY[0::smallint], ARRAY[5], ARRAY[6], NULL,
	NULL, NULL) \g /dev/null
SELECT ok((SELECT received_at <= now() FROM telemetry.device_state WHERE device_id = -5), 'test_a_device_is_not_heard_in_the_future');
SELECT ok((SELECT ask_at <= now() + interval '10 seconds' FROM telemetry.device_state WHERE device_id = -5),
	'test_a_clock_of_ingest_that_was_ahead_puts_off_no_round_of_asking');

-- With the settings of its caller a function that may not loop would loop all the same: 2,000 devices took two seconds.
SELECT is_empty($$ SELECT oid::regprocedure FROM pg_proc WHERE pronamespace = 'telemetry'::regnamespace
	AND 'enable_nestloop=off' = ANY (proconfig) AND NOT 'enable_hashjoin=on' = ANY (proconfig) $$,
	'test_what_must_hash_may_hash_whatever_its_caller_says');

SELECT * FROM finish();
ROLLBACK;
