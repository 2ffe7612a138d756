-- SPDX-License-Identifier: Apache-2.0
-- The statements that store readings, find conflicts and quarantine messages, run as the role of ingest. Run from the
-- top folder of the source tree, where the statements are.
BEGIN;
SET search_path = pgtap, public;
SET TIME ZONE 'UTC';
SELECT plan(14);
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
EXECUTE store (:key, ARRAY[4.5,4.6,NULL], NULL, :none, ARRAY[NULL,NULL,'{"co2":[1,"a"]}']);
\set stored :ROW_COUNT
RESET ROLE;
SELECT is(:stored, 3, 'test_a_batch_is_stored_and_its_number_told');
SELECT results_eq($$ SELECT device_id, seq, temperature_c, humidity_pct, extra::text FROM telemetry.reading
	WHERE device_id IN (1001, 1002) ORDER BY 1, 2 $$,
	$$ VALUES (1001, 0, 4.5::real, NULL::real, NULL), (1001, 1, 4.6, NULL, NULL), (1002, -1, NULL, NULL, '{"co2": [1, "a"]}') $$,
	'test_a_channel_without_an_array_is_null_and_extra_is_kept');

SET LOCAL ROLE coldfleet_ingest;
EXECUTE store (:key, ARRAY[4.5,9.9,NULL], NULL, :none, ARRAY[NULL,NULL,'{"co2":[1,"a"]}']);
RESET ROLE;
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
	ARRAY[1,2], NULL, :none, NULL);
DROP TABLE found;
CREATE TEMP TABLE found AS EXECUTE conflicts (ARRAY[1003,1003], array_fill(:'ts'::timestamptz, ARRAY[2]), array_fill(now(), ARRAY[2]),
	'{7,7}', '{0,0}', '{0,0}', ARRAY[1,2], NULL, :none, NULL);
SELECT results_eq('SELECT ordinal FROM found', ARRAY[2], 'test_two_values_for_a_key_in_one_batch_keep_the_first');

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
	'ARRAY[''{"a":''])', :'ts', repeat('NULL, ', 12)), '22P02', NULL, 'test_extra_that_is_no_json_is_refused');
SELECT throws_ok(format('EXECUTE store (ARRAY[1], ARRAY[%L::timestamptz], ARRAY[NULL]::timestamptz[], ''{1}'', ''{0}'', ''{0}'', '
	'%s NULL, NULL, NULL)', :'ts', repeat('NULL, ', 12)), '23502', NULL, 'test_a_reading_without_receipt_time_is_refused');

SELECT * FROM finish();
ROLLBACK;
