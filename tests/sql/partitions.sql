-- SPDX-License-Identifier: Apache-2.0
-- Partitions are made when they are needed, dropped when they are old, and never overlap.
BEGIN;
SET search_path = pgtap, public;
SET TIME ZONE 'UTC';
SELECT plan(18);

SELECT is_empty($$ SELECT FROM generate_series(now(), now() + interval '14 days', interval '1 day') AS t
	WHERE NOT EXISTS (SELECT FROM telemetry.partitions() WHERE t >= lower AND t < upper) $$,
	'test_the_current_and_two_further_partitions_exist_after_the_deployment');
SELECT is_empty($$ SELECT FROM telemetry.partitions() WHERE extract(isodow FROM lower) <> 1 OR upper - lower <> interval '7 days' $$,
	'test_partitions_are_weeks_from_monday_on');

SELECT telemetry.ensure_partition(now() - interval '399 days') AS name \gset
SELECT matches(:'name'::text, '^reading_[0-9]{8}$', 'test_late_data_gets_its_partition');
SELECT is(telemetry.ensure_partition(now() - interval '399 days'), NULL, 'test_a_partition_is_made_once');
SELECT lives_ok($$ INSERT INTO telemetry.reading (ts, received_at, device_id, seq, epoch, probe)
	VALUES (now() - interval '399 days', now(), 1, 0, 0, 0) $$, 'test_late_readings_are_stored');
SELECT throws_ok($$ INSERT INTO telemetry.reading (ts, received_at, device_id, seq, epoch, probe)
	VALUES (now() - interval '200 days', now(), 1, 0, 0, 0) $$, '23514', NULL,
	'test_a_reading_without_a_partition_is_refused_not_lost');
SELECT throws_ok($$ SELECT telemetry.ensure_partition(now() - interval '1151 days') $$, '22008', NULL,
	'test_no_partition_is_made_for_what_would_be_dropped_at_once');
SELECT throws_ok($$ SELECT telemetry.ensure_partition(now() + interval '401 days') $$, '22008', NULL,
	'test_no_partition_is_made_for_the_far_future');
SELECT throws_ok($$ SELECT telemetry.ensure_partition(NULL) $$, '22008', NULL, 'test_no_partition_is_made_for_no_time');
SELECT results_eq(format('SELECT indrelid::regclass::text, indkey::text FROM pg_index JOIN pg_inherits ON inhrelid = indrelid
	WHERE inhparent = ''telemetry.%I''::regclass AND indisprimary ORDER BY 1', :'name'),
	format('VALUES (''telemetry.%1$s_first'', ''4 1''), (''telemetry.%1$s_further'', ''4 1 3'')', :'name'),
	'test_a_partition_has_its_keys');

UPDATE telemetry.setting SET partition_days = 30;
SELECT telemetry.ensure_partition(t) FROM generate_series(now() - interval '300 days', now() + interval '90 days', '5 days') AS t \g /dev/null
SELECT is_empty($$ SELECT FROM (SELECT upper, lead(lower) OVER (ORDER BY lower) AS next FROM telemetry.partitions()) AS p
	WHERE upper > next $$, 'test_partitions_of_a_new_width_do_not_overlap_the_old_ones');
SELECT is_empty($$ SELECT FROM generate_series(now() - interval '300 days', now() + interval '90 days', '5 days') AS t
	WHERE NOT EXISTS (SELECT FROM telemetry.partitions() WHERE t >= lower AND t < upper) $$,
	'test_partitions_of_a_new_width_fill_what_the_old_ones_leave');

SELECT throws_ok($$ UPDATE telemetry.setting SET retention_days = 409 $$, '23514', NULL,
	'test_the_retention_is_never_shorter_than_the_lateness_that_is_accepted');
SELECT throws_ok($$ INSERT INTO telemetry.setting DEFAULT VALUES $$, '23505', NULL, 'test_there_is_one_row_of_settings');

SELECT telemetry.ensure_partition(now() - interval '440 days') AS old \gset
UPDATE telemetry.setting SET retention_days = 410, partition_days = 7;
SELECT telemetry.quarantine_store(ARRAY[NULL::int, NULL], ARRAY['old', 'new'], ARRAY['maintain', 'maintain']::bytea[], NULL,
	ARRAY[now() - interval '401 days', now()], ARRAY['syntax', 'syntax'], NULL) \g /dev/null
CREATE TEMP TABLE done AS SELECT what FROM telemetry.maintain() AS what;
SELECT is((SELECT count(*) FROM telemetry.partitions() WHERE upper < now() - interval '410 days'), 0::bigint,
	'test_maintenance_drops_partitions_past_the_retention');
SELECT ok(EXISTS (SELECT FROM done WHERE what = 'dropped ' || :'old'), 'test_maintenance_says_what_it_dropped');
SELECT results_eq($$ SELECT topic FROM telemetry.quarantine WHERE payload = 'maintain' $$, ARRAY['new'],
	'test_maintenance_deletes_old_quarantined_messages');
SELECT is_empty($$ SELECT telemetry.maintain() $$, 'test_maintenance_with_nothing_to_do_says_nothing');

SELECT * FROM finish();
ROLLBACK;
