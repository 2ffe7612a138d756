-- SPDX-License-Identifier: Apache-2.0
-- The statements that store readings, find conflicts and quarantine messages, run as the role of ingest. Run from the
-- top folder of the source tree, where the statements are.
BEGIN;
SET search_path = pgtap, public;
SET TIME ZONE 'UTC';
SELECT plan(35);
\set store `cat schema/queries/ingest_store_readings.sql`
\set conflicts `cat schema/queries/ingest_find_conflicts.sql`
\set quarantine `cat schema/queries/ingest_quarantine.sql`
PREPARE store AS :store;
PREPARE conflicts AS :conflicts;
PREPARE quarantine AS :quarantine;

SELECT date_trunc('hour', now()) AS ts \gset
\set key ARRAY[1001,1001,1002], array_fill(:'ts'::timestamptz, ARRAY[3]), array_fill(now(), ARRAY[3]), ARRAY[0,1,-1], ARRAY[0,0,0], ARRAY[0,0,0]
\set none NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL

SET LOCAL ROLE coldfleet_ingest;
EXECUTE store (:key, ARRAY[4.5,4.6,NULL], NULL, :none, ARRAY[NULL,NULL,'{"co2":[1,"a"]}'], false) \gset
RESET ROLE;
SELECT is(:stored, 3, 'test_a_batch_is_stored_and_its_number_told');
SELECT results_eq($$ SELECT device_id, seq, temperature_c, humidity_pct, extra::text FROM telemetry.reading
	WHERE device_id IN (1001, 1002) ORDER BY 1, 2 $$,
	$$ VALUES (1001, 0, 4.5::real, NULL::real, NULL), (1001, 1, 4.6, NULL, NULL), (1002, -1, NULL, NULL, '{"co2": [1, "a"]}') $$,
	'test_a_channel_without_an_array_is_null_and_extra_is_kept');

SET LOCAL ROLE coldfleet_ingest;
EXECUTE store (:key, ARRAY[4.5,9.9,NULL], NULL, :none, ARRAY[NULL,NULL,'{"co2":[1,"a"]}'], false) \gset again_
RESET ROLE;
SELECT is(:again_stored, 0, 'test_what_is_stored_already_is_not_counted');
SELECT results_eq($$ SELECT temperature_c FROM telemetry.reading WHERE device_id = 1001 AND seq = 1 $$, ARRAY[4.6::real],
	'test_a_stored_reading_is_never_overwritten');
CREATE TEMP TABLE found AS EXECUTE conflicts (:key, ARRAY[4.5,9.9,NULL], NULL, :none, ARRAY[NULL,NULL,'{"co2": [1,"a"]}']);
SELECT results_eq('SELECT ordinal FROM found', ARRAY[2], 'test_the_row_with_another_value_is_the_conflict');
DROP TABLE found;
CREATE TEMP TABLE found AS EXECUTE conflicts (:key, ARRAY[4.5,4.6,NULL], ARRAY[50,NULL,NULL], :none, ARRAY[NULL,NULL,'{"co2":2}']);
SELECT results_eq('SELECT ordinal FROM found', ARRAY[1, 3], 'test_a_value_more_and_another_extra_are_conflicts');
DROP TABLE found;
CREATE TEMP TABLE found AS EXECUTE conflicts (ARRAY[1001], ARRAY[:'ts'::timestamptz], ARRAY[now() - interval '1 day'], '{0}', '{0}', '{0}',
	ARRAY[4.5], NULL, :none, NULL);
SELECT is_empty('SELECT ordinal FROM found', 'test_a_redelivery_at_another_time_is_no_conflict');
EXECUTE store (ARRAY[1003,1003], array_fill(:'ts'::timestamptz, ARRAY[2]), array_fill(now(), ARRAY[2]), '{7,7}', '{0,0}', '{0,0}',
	ARRAY[1,2], NULL, :none, NULL, false) \g /dev/null
DROP TABLE found;
CREATE TEMP TABLE found AS EXECUTE conflicts (ARRAY[1003,1003], array_fill(:'ts'::timestamptz, ARRAY[2]), array_fill(now(), ARRAY[2]),
	'{7,7}', '{0,0}', '{0,0}', ARRAY[1,2], NULL, :none, NULL);
SELECT results_eq('SELECT ordinal FROM found', ARRAY[2], 'test_two_values_for_a_key_in_one_batch_keep_the_first');

-- One moment: probes, epochs and numbers next to each other, the largest of each, one of them a second time.
SET LOCAL ROLE coldfleet_ingest;
EXECUTE store (array_fill(1004, ARRAY[6]), array_fill(:'ts'::timestamptz, ARRAY[6]), array_fill(now(), ARRAY[6]),
	'{3,4,4,3,3,2147483646}', '{0,0,0,1,0,32767}', '{0,0,0,0,1,255}', ARRAY[1,2,2,3,4,5], NULL, :none, NULL, false) \gset same_
EXECUTE store (array_fill(1004, ARRAY[4]), array_fill(:'ts'::timestamptz, ARRAY[4]), array_fill(now(), ARRAY[4]),
	'{-2,-1,4,2147483646}', '{0,0,0,32767}', '{0,0,0,255}', ARRAY[6,7,8,9], NULL, :none, NULL, false) \gset more_
RESET ROLE;
SELECT is(:same_stored, 5, 'test_different_samples_of_one_moment_are_all_stored');
SELECT is(:more_stored, 2, 'test_further_samples_of_a_moment_are_stored_and_those_there_are_not_stored_twice');
SELECT results_eq($$ SELECT probe, epoch, seq, temperature_c FROM telemetry.reading WHERE device_id = 1004 ORDER BY 1, 2, 3 $$,
	$$ VALUES (0::smallint, 0::smallint, -2, 6::real), (0::smallint, 0::smallint, -1, 7), (0::smallint, 0::smallint, 3, 1), (0::smallint, 0::smallint, 4, 2),
		(0::smallint, 1::smallint, 3, 3), (1::smallint, 0::smallint, 3, 4),
		(255::smallint, 32767::smallint, 2147483646, 5) $$, 'test_samples_of_one_moment_come_back_as_they_were_told');
SELECT is((SELECT array_agg(number & 9223372036854775807 ORDER BY number & 9223372036854775807) FROM telemetry.measurement WHERE device_id = 1004),
	(SELECT array_agg(number & 9223372036854775807 ORDER BY (r).probe, (r).epoch, (r).seq) FROM telemetry.measurement AS m,
		LATERAL (SELECT r FROM telemetry.reading AS r WHERE r.device_id = 1004 AND telemetry.number(r.probe, r.epoch, r.seq)
			= m.number & 9223372036854775807) AS r WHERE device_id = 1004),
	'test_numbers_sort_as_probe_epoch_and_seq');
INSERT INTO telemetry.reading (ts, received_at, device_id, seq, epoch, probe, temperature_c, door_open)
SELECT :'ts', now(), 1005, n % 2, 0, 0, n, true FROM generate_series(1, 3) AS n;
SELECT results_eq($$ SELECT seq, temperature_c, door_open, tampered FROM telemetry.reading WHERE device_id = 1005 ORDER BY 1 $$,
	$$ VALUES (0, 2::real, true, NULL::boolean), (1, 1, true, NULL) $$, 'test_rows_inserted_into_readings_are_stored_once');

-- Expected to be new, tried at once: when it is not, the same is stored as by looking at each reading.
CREATE FUNCTION pg_temp.try(device int, seconds int[], seqs int[], probes int[], fresh boolean, door boolean DEFAULT NULL,
	OUT stored int, OUT taken boolean, OUT here int, OUT further int)
LANGUAGE plpgsql AS $$
BEGIN
	SELECT s.stored, s.taken INTO STRICT stored, taken
	FROM telemetry.store_readings(array_fill(device, ARRAY[cardinality(seconds)]),
		ARRAY(SELECT date_trunc('hour', now()) + make_interval(secs => s) FROM unnest(seconds) AS s),
		array_fill(now(), ARRAY[cardinality(seconds)]), seqs, array_fill(0::smallint, ARRAY[cardinality(seconds)]), probes::smallint[],
		seqs::real[], NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
		CASE WHEN door THEN array_fill(door, ARRAY[cardinality(seconds)]) END, NULL, NULL, NULL, NULL, fresh) AS s;
	SELECT count(*), count(*) FILTER (WHERE number < 0) INTO here, further FROM telemetry.measurement WHERE device_id = device;
END
$$;
SELECT is(pg_temp.try(1101, '{1,2,3}', '{1,2,3}', '{0,0,0}', true)::text, '(3,f,3,0)', 'test_new_readings_are_stored_at_once');
SELECT is(pg_temp.try(1101, '{1,2,3}', '{1,2,3}', '{0,0,0}', true)::text, '(0,t,3,0)', 'test_a_batch_that_comes_again_is_found_taken_and_not_stored_again');
SELECT is(pg_temp.try(1101, '{1,2,3}', '{1,2,3}', '{0,0,0}', false)::text, '(0,f,3,0)', 'test_what_was_not_tried_is_not_told_as_taken');
SELECT is(pg_temp.try(1101, '{2,3,4,5}', '{2,3,4,5}', '{0,0,0,0}', true)::text, '(2,t,5,0)', 'test_of_a_batch_that_is_there_in_part_the_rest_is_stored_once');
SELECT is(pg_temp.try(1101, '{4,5}', '{40,5}', '{0,0}', true)::text, '(1,t,6,1)', 'test_another_reading_of_a_moment_that_is_taken_goes_to_the_second_table');
SELECT is(pg_temp.try(1101, '{4}', '{40}', '{0}', true)::text, '(0,t,6,1)', 'test_a_further_reading_that_comes_again_is_not_stored_again');
SELECT is(pg_temp.try(1101, '{4,4}', '{39,40}', '{0,-32768}', true)::text, '(1,t,7,2)', 'test_a_marked_reading_that_is_further_already_is_not_stored_again');
SELECT is(pg_temp.try(1101, '{5,5}', '{4,5}', '{0,-32768}', true)::text, '(1,t,8,3)', 'test_a_marked_reading_that_is_the_first_already_is_not_stored_again');
SELECT is(pg_temp.try(1101, '{6,6}', '{5,6}', '{0,-32768}', false)::text, '(2,f,10,4)', 'test_marks_are_of_no_consequence_to_what_is_not_tried');
SELECT is(pg_temp.try(1102, '{1,1,1,2}', '{1,2,1,2}', '{0,-32768,-32767,0}', true, true)::text, '(4,f,4,2)',
	'test_several_new_readings_of_a_moment_are_stored_at_once');
SELECT results_eq($$ SELECT probe, seq, door_open FROM telemetry.reading WHERE device_id = 1102 ORDER BY ts, probe, seq $$,
	$$ VALUES (0::smallint, 1, true), (0::smallint, 2, true), (1::smallint, 1, true), (0::smallint, 2, true) $$,
	'test_marks_are_no_part_of_what_is_stored');
SELECT is(pg_temp.try(1102, '{0,1,1,1,2}', '{0,1,2,1,2}', '{0,0,-32768,-32767,0}', true, true)::text, '(1,t,5,2)',
	'test_several_readings_of_a_moment_that_come_again_are_not_stored_again');
SELECT is(pg_temp.try(1103, '{1,1,1,1}', '{1,1,2,2}', '{0,0,-32768,0}', true)::text, '(2,t,2,1)', 'test_the_same_reading_twice_in_a_batch_is_stored_once');
SELECT telemetry.ensure_partition(date_trunc('hour', now()) - make_interval(secs => 34560000)) \g /dev/null
SELECT is(pg_temp.try(1104, '{-34560000,1}', '{1,2}', '{0,0}', true)::text, '(2,f,2,0)', 'test_late_readings_are_stored_at_once_in_their_own_week');
SELECT is(pg_temp.try(1104, '{-34560000,-34559999,2}', '{1,2,3}', '{0,0,0}', true)::text, '(2,t,4,0)', 'test_late_readings_are_stored_once');

SET LOCAL ROLE coldfleet_ingest;
EXECUTE quarantine (ARRAY[NULL,1,NULL]::int[], ARRAY['t/1','t/2','t/1'], ARRAY['a','a','a']::bytea[], NULL,
	ARRAY['2026-01-02','2026-01-02','2026-01-01']::timestamptz[], ARRAY['syntax','senml','syntax'], ARRAY['x','y','x']) \g /dev/null
EXECUTE quarantine (ARRAY[1], ARRAY['t/2'], ARRAY['a'::bytea], ARRAY['application/senml+json'],
	ARRAY['2026-01-03'::timestamptz], ARRAY['clock'], ARRAY['z']) \g /dev/null
RESET ROLE;
SELECT results_eq($$ SELECT topic, seen, first_received_at, last_received_at, reason, detail FROM telemetry.quarantine
	WHERE payload = 'a' ORDER BY 1 $$,
	$$ VALUES ('t/1', 2, '2026-01-01'::timestamptz, '2026-01-02'::timestamptz, 'syntax', 'x'),
		('t/2', 2, '2026-01-02', '2026-01-03', 'senml', 'y') $$,
	'test_the_same_message_is_kept_once_and_counted');
SELECT results_eq($$ SELECT digest FROM telemetry.quarantine WHERE topic = 't/1' $$,
	ARRAY[sha256('t/1'::bytea || '\x00'::bytea || 'a'::bytea)], 'test_the_digest_is_of_topic_zero_and_payload');
SELECT throws_ok($$ EXECUTE quarantine (NULL, ARRAY['t'], ARRAY['a'::bytea], NULL, ARRAY[now()], ARRAY['odd'], NULL) $$, '23514',
	NULL, 'test_an_unknown_reason_is_refused');
SELECT lives_ok($$ EXECUTE quarantine (NULL, ARRAY['big'], ARRAY[decode(repeat('00', 2097152), 'hex')], NULL, ARRAY[now()],
	ARRAY['too-large'], NULL) $$, 'test_a_payload_of_2_mib_is_kept');
SELECT is((SELECT octet_length(payload) FROM telemetry.quarantine WHERE topic = 'big'), 2097152,
	'test_a_payload_of_2_mib_is_kept_whole');

SELECT throws_ok(format('EXECUTE store (ARRAY[1], ARRAY[%L::timestamptz], ARRAY[now()], ''{1}'', ''{0}'', ''{0}'', %s NULL, NULL, '
	'ARRAY[''{"a":''], true)', :'ts', repeat('NULL, ', 12)), '22P02', NULL, 'test_extra_that_is_no_json_is_refused');
SELECT throws_ok(format('EXECUTE store (ARRAY[1], ARRAY[%L::timestamptz], ARRAY[NULL]::timestamptz[], ''{1}'', ''{0}'', ''{0}'', '
	'%s NULL, NULL, NULL, true)', :'ts', repeat('NULL, ', 12)), '23502', NULL, 'test_a_reading_without_receipt_time_is_refused');

SELECT * FROM finish();
ROLLBACK;
