-- SPDX-License-Identifier: Apache-2.0
-- Alarms: once for each key, told once, acknowledged with a reason, cleared, escalated; and who may do what.
BEGIN;
SET search_path = pgtap, public;
SELECT plan(36);

SELECT fleet.register_device('alarm-1', 'alarm', 'one', '') AS a \gset
SELECT fleet.register_device('alarm-2', 'alarm', 'two', '') AS b \gset
CREATE FUNCTION pg_temp.told(device int) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT concat_ws(' ', type, body ->> 'kind', body ->> 'state', body ->> 'device') FROM coldchain.notice WHERE device_id = device ORDER BY notice_id
$$;

-- Once

SELECT coldchain.alarm_raise('tamper', :a, NULL, NULL, 'k1', '2026-11-01T10:00Z', false, '{"x": 1}') AS first \gset
SELECT is(coldchain.alarm_raise('tamper', :a, NULL, NULL, 'k1', '2026-11-01T10:00Z', true, '{"x": 1}'), :first::bigint, 'test_one_key_is_one_alarm');
SELECT isnt(coldchain.alarm_raise('tamper', :a, NULL, NULL, 'k2', '2026-11-01T11:00Z', true, NULL), :first::bigint, 'test_another_key_is_another');
SELECT isnt(coldchain.alarm_raise('tamper', :b, NULL, NULL, 'k1', '2026-11-01T11:00Z', false, NULL), :first::bigint, 'test_another_device_is_another');
SELECT results_eq(format('SELECT pg_temp.told(%s)', :a), ARRAY['alarm.raised tamper raised alarm-1', 'alarm.raised tamper raised alarm-1'],
	'test_each_alarm_is_told_once');
SELECT results_eq('SELECT late, known_at = now(), severity, body::text FROM coldchain.alarm WHERE key = ''k2''',
	$$ VALUES (true, true, 'critical', '{}') $$, 'test_an_alarm_knows_that_it_was_found_late_and_when');
SELECT coldchain.alarm_raise('tamper', :a, NULL, 1::smallint, 'k1', '2026-11-01T09:00Z', true, '{"x": 2}');
SELECT results_eq(format('SELECT raised_at, probe, late, body::text FROM coldchain.alarm WHERE alarm_id = %s', :first),
	$$ VALUES ('2026-11-01T09:00Z'::timestamptz, 1::smallint, false, '{"x": 2}') $$, 'test_a_known_alarm_follows_what_later_readings_show');
SELECT is((SELECT count(*) FROM pg_temp.told(:a)), 2::bigint, 'test_which_is_not_told_again');
SELECT is((SELECT count(*) FROM fleet.event WHERE device_id = :a AND type = 'alarm' AND body ->> 'change' = 'raised'), 2::bigint,
	'test_the_stream_tells_it_as_well');
SELECT throws_ok(format('SELECT coldchain.alarm_raise(''flood'', %s, NULL, NULL, ''k'', now(), false, NULL)', :a), '22023', NULL,
	'test_an_unknown_kind_is_refused');

-- Cleared

SELECT ok(coldchain.alarm_clear('tamper', :a, 'k1', '2026-11-01T12:00Z'), 'test_a_condition_ends');
SELECT ok(NOT coldchain.alarm_clear('tamper', :a, 'k1', '2026-11-01T12:00Z'), 'test_it_ends_once');
SELECT ok(NOT coldchain.alarm_clear('tamper', :a, 'never', '2026-11-01T12:00Z'), 'test_what_never_was_does_not_end');
SELECT is((SELECT state FROM coldchain.alarm WHERE alarm_id = :first), 'cleared', 'test_it_is_cleared');
SELECT coldchain.alarm_raise('tamper', :a, NULL, 1::smallint, 'k1', '2026-11-01T09:00Z', true, '{"x": 2}');
SELECT is((SELECT state FROM coldchain.alarm WHERE alarm_id = :first), 'cleared', 'test_raised_again_it_stays_cleared');
SELECT ok(coldchain.alarm_clear('tamper', :a, 'k1', NULL), 'test_it_lasts_after_all');
SELECT is((SELECT state FROM coldchain.alarm WHERE alarm_id = :first), 'raised', 'test_then_it_is_open');
SELECT ok(coldchain.alarm_clear('tamper', :a, 'k1', '2026-11-01T13:00Z'), 'test_and_ends_later');

-- Acknowledged

SELECT throws_ok(format('SELECT coldchain.alarm_acknowledge(%s, ''ann'', '' '')', :first), '23514', NULL, 'test_a_reason_is_required');
SELECT is((coldchain.alarm_acknowledge(:first, 'ann', 'seal was cut at customs')).acknowledged_by, 'ann', 'test_a_person_acknowledges');
SELECT throws_ok(format('SELECT coldchain.alarm_acknowledge(%s, ''bob'', ''me too'')', :first), '55000', NULL, 'test_once');
SELECT throws_ok('SELECT coldchain.alarm_acknowledge(0, ''bob'', ''me too'')', 'P0002', NULL, 'test_what_there_is');
SELECT throws_ok(format('UPDATE coldchain.alarm SET acknowledged_why = ''other'' WHERE alarm_id = %s', :first), '23000', NULL,
	'test_an_acknowledgement_stands');
SELECT throws_ok('DELETE FROM coldchain.alarm', '23000', NULL, 'test_an_alarm_is_never_deleted');
SET CONSTRAINTS audit.chain IMMEDIATE;
SELECT results_eq($$ SELECT c ->> 'action', c ->> 'id', c #>> '{new,why}' FROM (SELECT convert_from(canonical, 'UTF8')::jsonb AS c FROM audit.entry
	WHERE kind = 'alarm') AS e $$, format($$ VALUES ('acknowledged', '%s', 'seal was cut at customs') $$, :first),
	'test_who_acknowledged_why_is_in_the_trail');
SELECT results_eq(format('SELECT pg_temp.told(%s) OFFSET 2', :a), ARRAY['alarm.cleared tamper cleared alarm-1', 'alarm.cleared tamper cleared alarm-1',
	'alarm.acknowledged tamper cleared alarm-1'], 'test_each_of_it_is_told');

-- Escalated, quiet: by rules

SELECT is(coldchain.alarm_escalate(10), 0, 'test_nothing_escalates_before_its_time');
UPDATE coldchain.alarm SET known_at = now() - interval '16 minutes' WHERE device_id = :b;
SELECT is(coldchain.alarm_escalate(10), 1, 'test_what_nobody_acknowledges_escalates');
SELECT is(coldchain.alarm_escalate(10), 0, 'test_once_only');
SELECT results_eq(format('SELECT pg_temp.told(%s) OFFSET 1', :b), ARRAY['alarm.escalated tamper escalated alarm-2'], 'test_which_is_told');
SELECT coldchain.alarm_raise('door', :b, NULL, NULL, 'd1', '2026-11-01T10:00Z', false, NULL), coldchain.alarm_clear('door', :b, 'd1', '2026-11-01T10:20Z'),
	coldchain.alarm_raise('door', :b, NULL, NULL, 'd2', '2026-11-01T10:25Z', false, NULL), coldchain.alarm_raise('door', :b, NULL, NULL, 'd3', '2026-11-01T11:25Z', false, NULL);
SELECT results_eq('SELECT key, told FROM coldchain.alarm WHERE kind = ''door'' ORDER BY key', $$ VALUES ('d1' COLLATE "C", true), ('d2', false), ('d3', true) $$,
	'test_one_right_after_another_is_an_alarm_that_nobody_is_told_of');
UPDATE coldchain.alarm SET known_at = now() - interval '11 minutes' WHERE key = 'd2';
SELECT is(coldchain.alarm_escalate(10), 1, 'test_unless_it_lasts');
INSERT INTO coldchain.alarm_rule (kind, model_id, enabled) SELECT 'door', model_id, false FROM fleet.model WHERE name = 'two';
SELECT is(coldchain.alarm_raise('door', :b, NULL, NULL, 'd4', '2026-11-02T10:25Z', false, NULL), NULL, 'test_a_model_can_be_without_alarms_of_a_kind');
INSERT INTO coldchain.alarm_rule (kind, device_id) VALUES ('door', :b);
SELECT isnt(coldchain.alarm_raise('door', :b, NULL, NULL, 'd4', '2026-11-02T10:25Z', false, NULL), NULL, 'test_and_a_device_of_it_with_them');

-- Who may

SELECT is_empty($$ SELECT r, t, p FROM unnest(ARRAY['coldfleet_ingest', 'coldfleet_bridge', 'coldfleet_signer', 'coldfleet_notify', 'coldfleet_api']) AS r,
	unnest(ARRAY['coldchain.alarm', 'coldchain.alarm_rule', 'coldchain.alarm_kind', 'coldchain.notice']) AS t,
	unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS p WHERE has_table_privilege(r, t, p) $$, 'test_no_program_reads_or_writes_the_tables');
SELECT is_empty($$ SELECT r, p.oid::regprocedure FROM unnest(ARRAY['coldfleet_ingest', 'coldfleet_bridge', 'coldfleet_signer', 'coldfleet_notify', 'coldfleet_api',
	'coldfleet_analyst']) AS r, pg_proc AS p WHERE p.proname IN ('alarm_raise', 'alarm_clear', 'alarm_acknowledge', 'alarm_tell')
	AND p.pronamespace = 'coldchain'::regnamespace AND has_function_privilege(r, p.oid, 'EXECUTE') $$, 'test_no_program_raises_or_clears_by_hand');
SELECT ok(NOT has_table_privilege('coldfleet_api_definer', 'coldchain.alarm', 'UPDATE'), 'test_rest_changes_an_alarm_by_acknowledging_only');

SELECT * FROM finish();
ROLLBACK;
