-- SPDX-License-Identifier: Apache-2.0
-- What is missing is asked for again, with growing pauses, whatever the device sends; devices that skip an epoch, go back to
-- one, count anew or repeat numbers lose nothing and are seen to do it.
BEGIN;
SET search_path = pgtap, public;
SET jit = off; -- as coldfleet-ingest has it
SELECT plan(33);

SELECT telemetry.ensure_partition('2026-11-22') \g /dev/null

-- Numbers first to last of an epoch arrive so many seconds after t0 with a newest sample of then, or of `measured`; the answer as
-- "epoch/through/missing" by epoch.
CREATE FUNCTION pg_temp.arrive(device int, at int, epoch int, first int, last int, lost boolean DEFAULT NULL, ask int DEFAULT NULL,
			       measured int DEFAULT NULL) RETURNS text
LANGUAGE sql AS $$
	SELECT string_agg(format('%s/%s/%s', receipt_epoch, through, missing), ' ' ORDER BY receipt_epoch)
	FROM (SELECT device, timestamptz '2026-11-22' + at * interval '1 second', timestamptz '2026-11-22' + coalesce(measured, at) * interval '1 second')
		AS v (d, received, ts)
	CROSS JOIN telemetry.advance(ARRAY[d], ARRAY[received], ARRAY[CASE WHEN lost IS NULL AND first IS NOT NULL THEN ts END],
		NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
		NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, CASE WHEN first IS NULL THEN NULL ELSE ARRAY[d] END,
		ARRAY[epoch]::smallint[], ARRAY[first], ARRAY[last], ARRAY[lost],
		CASE WHEN ask IS NULL THEN NULL ELSE ARRAY[d] END, ARRAY[nullif(ask, -2)]::smallint[])
$$;
CREATE FUNCTION pg_temp.gaps(device int) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT format('%s %s-%s asked %s at %s', epoch, seq_from, seq_to, asked, extract(epoch FROM asked_at - '2026-11-22')::int)
	FROM telemetry.gap WHERE device_id = device AND closed_at IS NULL ORDER BY epoch, seq_from
$$;
CREATE FUNCTION pg_temp.history(device int) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT concat_ws(' ', field, old, new) FROM fleet.history WHERE device_id = device AND object = 'numbering' AND actor = '@device' ORDER BY history_id
$$;
CREATE FUNCTION pg_temp.state(device int) RETURNS text LANGUAGE sql AS $$
	SELECT format('%s/%s/%s/%s', epoch, seq_high, gaps, telemetry.complete_through(s)) FROM telemetry.device_state AS s WHERE device_id = device
$$;

-- Asking again
SELECT fleet.register_device('numbering-1', 'test', 'test', '') AS d \gset
SELECT is(pg_temp.arrive(:d, 0, 0, 0, 4), NULL, 'test_numbers_that_continue_ask_nothing');
SELECT is(pg_temp.arrive(:d, 1, 0, 8, 9), '0/9/{5,7}', 'test_a_hole_is_asked_for_when_it_shows');
SELECT results_eq(format('SELECT pg_temp.gaps(%s)', :d), ARRAY['0 5-7 asked 1 at 1'], 'test_the_row_says_that_it_was_asked_for_and_when');
SELECT is(pg_temp.arrive(:d, 10, 0, 10, 10), NULL, 'test_it_is_not_asked_for_again_within_10_seconds');
SELECT is(pg_temp.arrive(:d, 10, NULL, NULL, NULL, NULL, 0), '0/10/{5,7}', 'test_who_asks_is_told_at_any_time');
SELECT results_eq(format('SELECT pg_temp.gaps(%s)', :d), ARRAY['0 5-7 asked 1 at 1'], 'test_what_is_told_before_it_is_due_is_the_same_round');
SELECT is(pg_temp.arrive(:d, 11, 0, 11, 11), '0/11/{5,7}', 'test_after_10_seconds_the_next_message_is_answered_unasked');
SELECT results_eq(format('SELECT pg_temp.gaps(%s)', :d), ARRAY['0 5-7 asked 2 at 11'], 'test_asking_again_is_counted');
SELECT is(pg_temp.arrive(:d, 30, 0, 12, 12), NULL, 'test_the_second_pause_is_longer');
SELECT is(pg_temp.arrive(:d, 31, NULL, NULL, NULL, NULL, -2), '0/12/{5,7}', 'test_a_question_when_it_is_due_has_one_answer');
SELECT results_eq(format('SELECT pg_temp.gaps(%s)', :d), ARRAY['0 5-7 asked 3 at 31'], 'test_a_question_when_it_is_due_begins_a_round');
SELECT is(count(pg_temp.arrive(:d, 31 + n * 60, 0, 12 + n, 12 + n)), 12::bigint, 'test_pauses_double_up_to_an_hour')
	FROM generate_series(1, 420) AS n;
SELECT is(pg_temp.arrive(:d, 90000, 0, 433, 433), '0/433/{5,7}', 'test_whoever_comes_back_is_asked_at_once');
SELECT is(pg_temp.arrive(:d, 90001, 0, 5, 7), NULL, 'test_what_is_filled_is_asked_for_no_more');
SELECT is(pg_temp.arrive(:d, 99999, 0, 434, 434), NULL, 'test_what_is_filled_stays_so');
SELECT is((SELECT ask_at FROM telemetry.device_state WHERE device_id = :d), NULL, 'test_without_holes_there_is_nothing_to_be_asked');
SELECT is((SELECT count(pg_temp.arrive(:d, 100000 + n, 0, 436 + n * 2, 436 + n * 2)) FROM generate_series(0, 39) AS n), 40::bigint,
	'test_each_hole_that_shows_is_asked_for');
SELECT results_eq(format('SELECT count(*) FROM telemetry.gap WHERE device_id = %s AND closed_at IS NULL AND asked = 0', :d), ARRAY[8::bigint],
	'test_what_is_behind_the_32_ranges_of_a_receipt_was_not_asked_for');
SELECT ok((SELECT ask_at > received_at FROM telemetry.device_state WHERE device_id = :d), 'test_what_cannot_be_named_makes_no_message_costlier');

-- Epochs
SELECT fleet.register_device('numbering-2', 'test', 'test', '') AS d \gset
SELECT pg_temp.arrive(:d, 0, 0, 0, 4), pg_temp.arrive(:d, 1, 0, 8, 9) \g /dev/null
SELECT is(pg_temp.arrive(:d, 60, 2, 0, 0), '0/9/{5,7}', 'test_a_device_in_a_new_epoch_is_asked_for_what_is_missing_of_the_old');
SELECT results_eq(format('SELECT pg_temp.history(%s)', :d), ARRAY['epoch 0 2'], 'test_a_skipped_epoch_is_a_step_in_the_history');
SELECT is(pg_temp.state(:d), '2/0/0/0', 'test_after_a_skipped_epoch_all_numbers_of_the_new_one_are_complete');
SELECT pg_temp.arrive(:d, 61, 0, 5, 7, true) \g /dev/null
SELECT results_eq(format('SELECT lost::text FROM telemetry.gap WHERE device_id = %s AND epoch = 0 AND closed_at IS NOT NULL', :d),
	ARRAY['{[5,8)}'], 'test_what_an_old_epoch_cannot_give_any_more_is_closed_as_lost');
SELECT pg_temp.arrive(:d, 62, 0, 10, 10, measured => 59) \g /dev/null
SELECT is((SELECT renumbered_at FROM telemetry.device_state WHERE device_id = :d), NULL, 'test_late_samples_of_an_old_epoch_are_no_renumbering');
SELECT pg_temp.arrive(:d, 70, 0, 11, 11) \g /dev/null
SELECT is((SELECT renumbered_at FROM telemetry.device_state WHERE device_id = :d), timestamptz '2026-11-22 00:01:10',
	'test_new_samples_in_an_old_epoch_are_told');

-- Holes that show all the time
SELECT fleet.register_device('numbering-4', 'test', 'test', '') AS d \gset
SELECT pg_temp.arrive(:d, 0, 0, 0, 4), pg_temp.arrive(:d, 1, 0, 8, 9), pg_temp.arrive(:d, 5, 1, 1, 1), pg_temp.arrive(:d, 10, 1, 3, 3) \g /dev/null
SELECT is(pg_temp.arrive(:d, 12, 1, 4, 4), '0/9/{5,7}', 'test_new_holes_put_off_no_round_for_the_old_ones');
SELECT is(pg_temp.arrive(:d, 21, 1, 5, 5), NULL, 'test_after_a_round_nothing_is_asked_for_within_10_seconds');

-- Counting anew
SELECT fleet.register_device('numbering-3', 'test', 'test', '') AS d \gset
SELECT pg_temp.arrive(:d, 100, 0, 0, 99), pg_temp.arrive(:d, 101, 0, 90, 99, measured => 100), pg_temp.arrive(:d, 102, 0, 0, 9, measured => 10) \g /dev/null
SELECT is((SELECT renumbered_at FROM telemetry.device_state WHERE device_id = :d), NULL, 'test_redelivery_is_no_renumbering');
SELECT pg_temp.arrive(:d, 200, 0, 0, 0), pg_temp.arrive(:d, 201, 0, 1, 1) \g /dev/null
SELECT results_eq(format('SELECT pg_temp.history(%s)', :d), ARRAY['seq {"epoch": 0, "seq_high": 99}'], 'test_a_device_that_counts_anew_is_told_once_a_day');
SELECT is(api.json_latest(s)::jsonb ->> 'renumbered_at', '2026-11-22T00:03:20Z', 'test_rest_tells_who_counts_anew')
	FROM telemetry.device_state AS s WHERE device_id = :d;
INSERT INTO telemetry.reading (device_id, ts, received_at, seq, epoch, probe, temperature_c)
VALUES (:d, '2026-11-22 00:01', now(), 0, 0, 0, 4), (:d, '2026-11-22 00:03:20', now(), 0, 0, 0, 5), (:d, '2026-11-22 00:01', now(), 0, 0, 0, 4);
SELECT results_eq(format('SELECT temperature_c FROM telemetry.reading WHERE device_id = %s AND ts >= ''2026-11-22'' ORDER BY ts', :d), ARRAY[4::real, 5::real],
	'test_another_sample_under_a_known_number_is_stored_beside_it');
SELECT is(pg_temp.state(:d), '0/99/0/99', 'test_a_device_that_counts_anew_keeps_its_numbers');

SELECT results_eq(format('SELECT complete_through, seq_high, gaps, epoch::int FROM analytics.device WHERE device_id = %s', :d), $$ VALUES (99, 99, 0, 0) $$,
	'test_analysts_see_up_to_where_a_device_is_complete');

SELECT * FROM finish();
ROLLBACK;
