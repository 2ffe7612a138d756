-- SPDX-License-Identifier: Apache-2.0
-- What devices tell becomes alarms by the time at which it was measured: door, tampering, power, battery, probes; and silence by ours.
BEGIN;
SET search_path = pgtap, public;
SELECT plan(31);

SELECT fleet.register_device('watch-1', 'watch', 'one', '') AS a \gset
SELECT fleet.register_device('watch-2', 'watch', 'one', '') AS b \gset
CREATE TEMP TABLE base AS SELECT date_trunc('hour', now()) - interval '6 hours' AS t0;
SELECT telemetry.ensure_partition(t0), telemetry.ensure_partition(now()) FROM base;

-- A sample at so many minutes after t0, stored as ingest does: the reading, and the latest state with it.
CREATE FUNCTION pg_temp.tell(device int, minute numeric, door boolean DEFAULT NULL, tamper boolean DEFAULT NULL, power boolean DEFAULT NULL,
	battery real DEFAULT NULL, temperature real DEFAULT 5, flag smallint DEFAULT NULL, its_probe int DEFAULT 0) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	at CONSTANT timestamptz := (SELECT t0 FROM base) + minute * interval '1 minute';
BEGIN
	INSERT INTO telemetry.reading (ts, received_at, device_id, seq, epoch, probe, temperature_c, door_open, tampered, mains_power, battery_pct, flags)
	VALUES (at, now(), device, minute * 10, 0, its_probe::smallint, temperature, door, tamper, power, battery, flag);
	UPDATE telemetry.device_state AS s SET received_at = now(), reading_ts = at, temperature_ts = CASE WHEN flag IS NULL THEN at ELSE temperature_ts END,
		door_ts = CASE WHEN door IS NULL THEN door_ts ELSE at END, door_open = coalesce(door, door_open),
		tampered_ts = CASE WHEN tamper IS NULL THEN tampered_ts ELSE at END, tampered = coalesce(tamper, tampered),
		power_ts = CASE WHEN power IS NULL THEN power_ts ELSE at END, mains_power = coalesce(power, mains_power),
		battery_ts = CASE WHEN battery IS NULL THEN battery_ts ELSE at END, battery_pct = coalesce(battery, battery_pct) WHERE s.device_id = device;
	PERFORM coldchain.watch_devices(ARRAY[device]), coldchain.watch_due(1000);
END
$$;
-- Alarms of a device: kind, minute raised, minute cleared
CREATE FUNCTION pg_temp.alarms(device int, its_kind text) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT concat_ws(' ', 'p' || probe, extract(epoch FROM raised_at - t0)::int / 60, '-', extract(epoch FROM cleared_at - t0)::int / 60)
	FROM coldchain.alarm, base WHERE device_id = device AND kind = its_kind ORDER BY alarm_id
$$;

SELECT pg_temp.tell(:a, 0, door => false, tamper => false, power => false);
SELECT pg_temp.tell(:a, 10, door => true), pg_temp.tell(:a, 12, door => true), pg_temp.tell(:a, 14, door => false);
SELECT is_empty(format('SELECT pg_temp.alarms(%s, ''door'')', :a), 'test_a_door_open_for_four_minutes_is_no_alarm');
SELECT pg_temp.tell(:a, 20, door => true), pg_temp.tell(:a, 26, door => true);
SELECT results_eq(format('SELECT pg_temp.alarms(%s, ''door'')', :a), ARRAY['25 -'], 'test_a_door_open_for_five_minutes_is_one_from_that_moment');
SELECT pg_temp.tell(:a, 40, door => false);
SELECT results_eq(format('SELECT pg_temp.alarms(%s, ''door'')', :a), ARRAY['25 - 40'], 'test_which_ends_when_it_is_closed');
SELECT pg_temp.tell(:a, 50, tamper => true);
SELECT results_eq(format('SELECT pg_temp.alarms(%s, ''tamper'')', :a), ARRAY['50 -'], 'test_tampering_alarms_at_once');
SELECT pg_temp.tell(:a, 51, tamper => true), pg_temp.tell(:a, 60, tamper => false);
SELECT results_eq(format('SELECT pg_temp.alarms(%s, ''tamper'')', :a), ARRAY['50 - 60'], 'test_once_until_it_is_over');
SELECT results_eq($$ SELECT key = 'x', body ? 'since' FROM coldchain.alarm WHERE kind = 'tamper' $$, $$ VALUES (false, true) $$, 'test_it_tells_since_when');

-- Both in one pack: only its end shows in the latest state.
INSERT INTO telemetry.reading (ts, received_at, device_id, seq, epoch, probe, door_open, tampered)
SELECT t0 + m * interval '1 minute', now(), :a, 5000 + m, 0, 0, m < 80, m = 71 FROM base, generate_series(70, 80) AS m;
SELECT pg_temp.tell(:a, 81, door => false, tamper => false);
SELECT results_eq(format('SELECT pg_temp.alarms(%s, ''tamper'')', :a), ARRAY['50 - 60', '71 - 72'], 'test_what_came_and_went_in_one_pack_alarms_too');
SELECT results_eq(format('SELECT pg_temp.alarms(%s, ''door'')', :a), ARRAY['25 - 40', '75 - 80'], 'test_also_what_lasted');

-- Power: only who had it can be without.
UPDATE coldchain.alarm_rule SET after = '1 hour' WHERE kind = 'power';
SELECT pg_temp.tell(:a, 82, power => false), pg_temp.tell(:a, 160, power => false);
SELECT is_empty(format('SELECT pg_temp.alarms(%s, ''power'')', :a), 'test_a_device_that_never_had_mains_power_does_not_miss_it');
SELECT pg_temp.tell(:b, 0, power => true), pg_temp.tell(:b, 10, power => false), pg_temp.tell(:b, 80, power => false), pg_temp.tell(:b, 90, power => true);
SELECT results_eq(format('SELECT pg_temp.alarms(%s, ''power'')', :b), ARRAY['70 - 90'], 'test_one_that_had_it_does');

SELECT pg_temp.tell(:b, 100, battery => 21), pg_temp.tell(:b, 101, battery => 19), pg_temp.tell(:b, 102, battery => 18);
SELECT results_eq(format('SELECT pg_temp.alarms(%s, ''battery'')', :b), ARRAY['101 -'], 'test_a_low_battery_alarms_once');
SELECT pg_temp.tell(:b, 110, temperature => 900, flag => 1::smallint, its_probe => 1), pg_temp.tell(:b, 111, temperature => 900, flag => 1::smallint, its_probe => 1);
SELECT results_eq(format('SELECT pg_temp.alarms(%s, ''sensor'')', :b), ARRAY['p1 110 -'], 'test_a_broken_probe_alarms');
SELECT pg_temp.tell(:b, 112), pg_temp.tell(:b, 113, its_probe => 1);
SELECT results_eq(format('SELECT pg_temp.alarms(%s, ''sensor'')', :b), ARRAY['p1 110 - 113'], 'test_until_that_probe_measures_again');

-- A rule that wants no such alarms for a while

SELECT fleet.register_device('watch-3', 'watch', 'one', '') AS c \gset
UPDATE coldchain.alarm_rule SET enabled = false WHERE kind = 'door';
SELECT pg_temp.tell(:c, 0, door => true), pg_temp.tell(:c, 20, door => true);
UPDATE coldchain.alarm_rule SET enabled = true WHERE kind = 'door';
SELECT coldchain.watch_silence(1000), coldchain.watch_due(1000);
SELECT results_eq(format('SELECT pg_temp.alarms(%s, ''door'')', :c), ARRAY['5 -'], 'test_what_began_while_its_rule_was_disabled_alarms_once_it_is_enabled_of_the_moment_at_which_it_was_due');
SELECT pg_temp.tell(:c, 30, door => false), pg_temp.tell(:c, 40, door => true);
UPDATE coldchain.alarm_rule SET enabled = false WHERE kind = 'door';
SELECT pg_temp.tell(:c, 46, door => true);
SELECT results_eq(format('SELECT pg_temp.alarms(%s, ''door'')', :c), ARRAY['5 - 30'], 'test_while_it_is_disabled_nothing_alarms');
UPDATE coldchain.alarm_rule SET enabled = true WHERE kind = 'door';
SELECT coldchain.watch_silence(1000), coldchain.watch_due(1000);
SELECT results_eq(format('SELECT pg_temp.alarms(%s, ''door'')', :c), ARRAY['5 - 30', '45 -'], 'test_what_was_due_while_its_rule_was_disabled_alarms_once_it_is_enabled');
SELECT pg_temp.tell(:c, 47, door => true), coldchain.watch_silence(1000), coldchain.watch_due(1000);
SELECT is((SELECT count(*) FROM coldchain.notice AS n WHERE n.device_id = :c AND n.type = 'alarm.raised'), 2::bigint, 'test_once');
UPDATE coldchain.alarm_rule SET enabled = false WHERE kind = 'door';
SELECT pg_temp.tell(:c, 50, door => false), pg_temp.tell(:c, 52, door => true), pg_temp.tell(:c, 60, door => false);
UPDATE coldchain.alarm_rule SET enabled = true WHERE kind = 'door';
SELECT coldchain.watch_silence(1000), coldchain.watch_due(1000);
SELECT results_eq(format('SELECT pg_temp.alarms(%s, ''door'')', :c), ARRAY['5 - 30', '45 - 50'], 'test_what_came_and_went_while_its_rule_was_disabled_does_not');
UPDATE coldchain.alarm_rule SET enabled = false WHERE kind = 'silence';
INSERT INTO coldchain.condition (kind, device_id, probe, since, due_at, body)
SELECT 'silence', :c, -1, t0, t0 + interval '25 minutes', '{"wake_interval_s": 600}' FROM base;
SELECT coldchain.watch_due(1000);
UPDATE coldchain.alarm_rule SET enabled = true WHERE kind = 'silence';
SELECT coldchain.watch_silence(1000), coldchain.watch_due(1000);
SELECT results_eq(format('SELECT pg_temp.alarms(%s, ''silence'')', :c), ARRAY['25 -'], 'test_silence_too_of_its_moment');

-- Silence, by our clock

UPDATE telemetry.device_state SET received_at = now() - interval '70 minutes', battery_pct = 50 WHERE device_id = :a;
SELECT coldchain.watch_silence(1000), coldchain.watch_due(1000);
SELECT is_empty(format('SELECT pg_temp.alarms(%s, ''silence'')', :a), 'test_silence_within_the_wake_interval_is_none');
INSERT INTO fleet.config_report (device_id, version, body, reported_at) VALUES (:a, 1, '{"wake_interval_s": 600}', now());
SELECT coldchain.watch_silence(1000), coldchain.watch_due(1000);
SELECT is((SELECT count(*) FROM pg_temp.alarms(:a, 'silence')), 1::bigint, 'test_who_reports_a_shorter_one_is_missed_sooner');
UPDATE telemetry.device_state SET received_at = now() WHERE device_id = :a;
SELECT coldchain.watch_devices(ARRAY[:a]);
SELECT is((SELECT state FROM coldchain.alarm WHERE kind = 'silence' AND device_id = :a), 'cleared', 'test_who_is_heard_is_silent_no_longer');
UPDATE telemetry.device_state SET received_at = now() - interval '3 hours' WHERE device_id = :a;
UPDATE fleet.config_report SET body = '{"wake_interval_s": 600, "flight_mode": true}' WHERE device_id = :a;
SELECT coldchain.watch_silence(1000), coldchain.watch_due(1000);
SELECT is((SELECT count(*) FROM pg_temp.alarms(:a, 'silence')), 1::bigint, 'test_in_an_aeroplane_silence_is_expected');

-- Nobody looks after a device that is out of service: what is said of it must not stay on the list.
SELECT isnt_empty(format('SELECT FROM coldchain.alarm WHERE device_id = %s AND cleared_at IS NULL', :b), 'test_there_is_something_to_end');
UPDATE fleet.device SET state = 'decommissioned' WHERE device_id = :b;
SELECT is_empty(format('SELECT FROM coldchain.alarm WHERE device_id = %s AND cleared_at IS NULL', :b), 'test_alarms_end_with_the_service_of_their_device');
SELECT is_empty(format('SELECT FROM coldchain.condition WHERE device_id = %s', :b), 'test_and_so_does_what_could_become_one');

-- Who is passed over: a look asks about those only of whom the latest state says that something may be the matter. Devices of every kind, by chance.
SELECT setseed(0.25);
SELECT fleet.register_device('passed-' || n, 'watch', 'one', '') FROM generate_series(1, 600) AS n;
CREATE TEMP TABLE passed AS SELECT device_id FROM fleet.device WHERE serial LIKE 'passed-%';
CREATE FUNCTION pg_temp.now_and_then(at timestamptz) RETURNS timestamptz VOLATILE LANGUAGE sql AS $$ SELECT CASE WHEN random() < 0.15 THEN at - floor(random() * 3) * interval '1 minute' END $$;
UPDATE telemetry.device_state AS s SET received_at = now(), reading_ts = n.at, temperature_ts = CASE WHEN random() < 0.8 THEN n.at ELSE pg_temp.now_and_then(n.at) END,
	door_ts = pg_temp.now_and_then(n.at), door_open = random() < 0.5, tampered_ts = pg_temp.now_and_then(n.at), tampered = random() < 0.5,
	power_ts = pg_temp.now_and_then(n.at), mains_power = random() < 0.5, battery_ts = now(), battery_pct = CASE WHEN random() < 0.9 THEN 10 + 90 * random() END
FROM (SELECT device_id, CASE WHEN random() < 0.9 THEN t0 + interval '2 hours' END AS at FROM passed, base) AS n WHERE n.device_id = s.device_id;
INSERT INTO telemetry.reading (ts, received_at, device_id, seq, epoch, probe, temperature_c, door_open, tampered, mains_power, flags)
SELECT reading_ts - m * interval '1 minute', now(), device_id, 9 - m, 0, 0, CASE WHEN temperature_ts = reading_ts THEN 5 ELSE 900 END,
	CASE WHEN door_ts <= reading_ts - m * interval '1 minute' THEN door_open END, CASE WHEN tampered_ts <= reading_ts - m * interval '1 minute' THEN tampered END,
	CASE WHEN power_ts <= reading_ts - m * interval '1 minute' THEN mains_power END, CASE WHEN temperature_ts = reading_ts THEN NULL ELSE 1 END
FROM passed JOIN telemetry.device_state USING (device_id), generate_series(0, 2) AS m WHERE reading_ts IS NOT NULL;
INSERT INTO coldchain.condition (kind, device_id, probe, since, due_at)
SELECT kind, device_id, CASE kind WHEN 'sensor' THEN 0 ELSE -1 END, t0, NULL FROM passed, base, unnest(ARRAY['sensor', 'battery', 'silence', 'door', 'tamper', 'power']) AS kind
WHERE random() < 0.03;
CREATE FUNCTION pg_temp.known() RETURNS SETOF text LANGUAGE sql AS $$
	SELECT x::text FROM coldchain.condition AS x WHERE device_id IN (TABLE passed) UNION ALL SELECT x::text FROM coldchain.watched AS x WHERE device_id IN (TABLE passed)
	UNION ALL SELECT x::text FROM coldchain.alarm AS x WHERE device_id IN (TABLE passed)
$$;
CREATE TEMP TABLE before AS SELECT * FROM pg_temp.known();
CREATE TEMP TABLE told AS SELECT unnest(n.told) AS device_id FROM coldchain.watch_state AS w, coldchain.watch_news(w.seen) AS n;
CREATE TEMP TABLE not_told AS TABLE passed EXCEPT TABLE told;
SELECT cmp_ok((SELECT count(*) FROM not_told), '>', 100::bigint, 'test_many_have_told_of_nothing_but_a_temperature');
SELECT coldchain.watch_devices(ARRAY(TABLE not_told));
SELECT bag_eq('SELECT * FROM pg_temp.known()', 'TABLE before', 'test_whom_a_look_passes_over_it_would_have_found_nothing_of');
SELECT coldchain.watch(100);
CREATE TEMP TABLE after AS SELECT * FROM pg_temp.known();
SELECT bag_ne('TABLE after', 'TABLE before', 'test_of_the_others_it_finds_something');
SELECT coldchain.watch_devices(ARRAY(TABLE passed));
SELECT bag_eq('SELECT * FROM pg_temp.known()', 'TABLE after', 'test_all_that_there_is');
SELECT is_empty('SELECT unnest(n.moved) FROM coldchain.watch_state AS w, coldchain.watch_news(w.seen) AS n', 'test_nobody_moves_who_is_on_no_geofenced_shipment');

SELECT * FROM finish();
ROLLBACK;
