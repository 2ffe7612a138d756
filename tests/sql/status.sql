-- SPDX-License-Identifier: Apache-2.0
-- What trackers say about themselves: the latest is kept whatever the order, changes go to the history within bounds, and
-- what differs from what was registered is seen by those who may see the device.
BEGIN;
SET search_path = pgtap, public;
SELECT plan(42);

SELECT fleet.register_device('status-1', 'test', 'test', '', '490154203237518', '8949000000000000001') AS device \gset
SELECT fleet.register_device('status-2', 'test', 'test', '', '356938035643809', '8949000000000000002') AS other \gset
SELECT set_config('test.device', :'device', true) \g /dev/null

CREATE FUNCTION pg_temp.status(boot int, uptime float8, version text DEFAULT '1.0', mcu text DEFAULT 'running', imei text DEFAULT NULL,
	iccid text DEFAULT NULL, imsi text DEFAULT NULL, config jsonb DEFAULT NULL) RETURNS jsonb LANGUAGE sql AS $$
	SELECT jsonb_strip_nulls(jsonb_build_object('boot', boot, 'uptime', uptime, 'mcu', mcu, 'clock', 1790000000.5,
		'firmware', jsonb_build_object('running', 'a', 'slots', jsonb_build_object('a', version, 'b', '0.9')),
		'module', CASE WHEN imei IS NOT NULL THEN jsonb_build_object('imei', imei, 'iccid', iccid, 'imsi', imsi, 'model', 'M-1',
			'firmware', 'M1.' || version) END, 'config', config))
$$;
CREATE FUNCTION pg_temp.store(VARIADIC bodies jsonb[]) RETURNS int LANGUAGE sql AS $$
	SELECT telemetry.store_status(array_fill(current_setting('test.device')::int, ARRAY[cardinality(bodies)]),
		array_fill(now(), ARRAY[cardinality(bodies)]), bodies)
$$;
CREATE FUNCTION pg_temp.now_is() RETURNS text LANGUAGE sql AS $$
	SELECT concat_ws('/', boot, uptime_s, firmware, mcu_state) FROM telemetry.device_status WHERE device_id = current_setting('test.device')::int
$$;
CREATE FUNCTION pg_temp.version() RETURNS text LANGUAGE sql AS $$
	SELECT firmware FROM fleet.device WHERE device_id = current_setting('test.device')::int
$$;
CREATE FUNCTION pg_temp.told() RETURNS SETOF text LANGUAGE sql AS $$
	SELECT concat_ws(' ', object, field, old, new, reason) FROM fleet.history
	WHERE device_id = current_setting('test.device')::int AND actor = '@device' ORDER BY history_id
$$;

-- The latest, whatever the order
SELECT is(pg_temp.now_is(), NULL, 'test_a_device_that_told_nothing_has_no_status');
SELECT is(pg_temp.store(pg_temp.status(3, 10)), 1, 'test_a_first_status_is_news');
SELECT is(pg_temp.now_is(), '3/10/1.0/running', 'test_a_first_status_is_kept');
SELECT is((SELECT clock FROM telemetry.device_status WHERE device_id = :device), to_timestamp(1790000000.5),
	'test_the_clock_of_the_device_is_kept');
SELECT is(pg_temp.version(), '1.0', 'test_the_running_version_is_that_of_the_device');
SELECT is(pg_temp.store(pg_temp.status(3, 10)), 0, 'test_the_same_status_again_is_no_news');
SELECT is(pg_temp.store(pg_temp.status(2, 900, '0.9', 'disabled')), 0, 'test_a_status_of_an_earlier_boot_is_no_news');
SELECT is(pg_temp.store(pg_temp.status(3, 9.5, '0.9', 'disabled')), 0, 'test_an_earlier_status_of_the_same_boot_is_no_news');
SELECT is(pg_temp.now_is() || ' ' || pg_temp.version(), '3/10/1.0/running 1.0', 'test_an_older_status_overwrites_nothing');
SELECT is(pg_temp.store(pg_temp.status(4, 1, '2.0'), pg_temp.status(3, 99, '1.5'), pg_temp.status(2, 1, '0.1'), pg_temp.status(4, 1, '2.0')), 2,
	'test_statuses_of_a_batch_are_counted_once_each_if_newer');
SELECT is(pg_temp.now_is() || ' ' || pg_temp.version(), '4/1/2.0/running 2.0', 'test_the_latest_of_a_batch_is_kept');
SELECT is((SELECT count(*)::int FROM telemetry.device_status WHERE device_id = :other), 0, 'test_other_devices_are_left_alone');
CREATE FUNCTION pg_temp.after_any_order() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	said CONSTANT jsonb[] := ARRAY[pg_temp.status(9, 2, '9.9', 'disabled', NULL, NULL, NULL, '{"version":7}'), pg_temp.status(9, 1, '9.0'),
		pg_temp.status(9, 2, '9.8', 'disabled'), pg_temp.status(8, 7e6, '8.1', 'disabled'), pg_temp.status(1, 1)];
	one jsonb;
BEGIN
	FOR round IN 1..40 LOOP
		PERFORM set_config('test.device', fleet.register_device('status-any-' || round, 'test', 'test', '')::text, true);
		FOR one IN SELECT s FROM unnest(said || said[1:round % 5]) AS s ORDER BY random() LOOP
			PERFORM pg_temp.store(one);
		END LOOP;
		RETURN NEXT concat_ws(' ', pg_temp.now_is(), pg_temp.version(), (SELECT r.version FROM fleet.config_report AS r
			WHERE r.device_id = current_setting('test.device')::int));
	END LOOP;
END
$$;
SELECT results_eq('SELECT DISTINCT pg_temp.after_any_order()', ARRAY['9/2/9.9/disabled 9.9 7'],
	'test_any_order_and_repetition_of_the_same_statuses_ends_the_same');
SELECT set_config('test.device', :'device', true) \g /dev/null

-- History
SELECT results_eq('SELECT pg_temp.told()', ARRAY[
	'status firmware {"slots": {"a": "1.0", "b": "0.9"}, "running": "a"} told at boot 3', 'status mcu "running" told at boot 3',
	'device firmware "" "1.0" told by its status',
	'status firmware {"slots": {"a": "1.0", "b": "0.9"}, "running": "a"} {"slots": {"a": "1.5", "b": "0.9"}, "running": "a"} told while running, boot 3',
	'status firmware {"slots": {"a": "1.5", "b": "0.9"}, "running": "a"} {"slots": {"a": "2.0", "b": "0.9"}, "running": "a"} told at boot 4',
	'device firmware "1.0" "2.0" told by its status'], 'test_each_change_is_in_the_history_with_what_was_before_and_why');
SELECT pg_temp.store(pg_temp.status(4, 2, '2.0')), pg_temp.store(pg_temp.status(5, 1, '2.0')) \g /dev/null
SELECT is((SELECT count(*)::int FROM pg_temp.told()), 6, 'test_a_status_that_changes_nothing_adds_nothing_to_the_history');
SELECT throws_ok(format('DELETE FROM fleet.history WHERE device_id = %s', :device), '23000', NULL, 'test_what_was_told_stays_in_the_history');
SELECT count(pg_temp.store(pg_temp.status(6, n, 'v' || n))) FROM generate_series(1, 150) AS n \g /dev/null
SELECT is((SELECT count(*)::int FROM pg_temp.told() AS t WHERE t LIKE 'status%'), 100, 'test_a_device_adds_at_most_100_changes_a_day_to_the_history');
SELECT is(pg_temp.now_is(), '6/150/v150/running', 'test_the_latest_status_is_kept_beyond_that');
SELECT isnt(pg_temp.version(), 'v150', 'test_the_version_of_a_device_that_flaps_waits');
UPDATE telemetry.device_status SET history_day = history_day - 1 WHERE device_id = :device;
SELECT is(pg_temp.store(pg_temp.status(6, 151, 'v150')), 1, 'test_the_next_day_begins_anew');
SELECT is(pg_temp.version(), 'v150', 'test_the_version_is_taken_over_the_next_day');

-- What is registered
SELECT is_empty(format('SELECT FROM telemetry.identity_mismatch WHERE device_id = %s', :device), 'test_no_module_told_is_no_mismatch');
SELECT pg_temp.store(pg_temp.status(7, 1, '3.0', 'running', '490154203237518', '8949000000000000001', '262010000000001')) \g /dev/null
SELECT is_empty(format('SELECT FROM telemetry.identity_mismatch WHERE device_id = %s', :device), 'test_what_was_registered_is_no_mismatch');
SELECT is((SELECT firmware FROM fleet.module WHERE device_id = :device), 'M1.3.0', 'test_the_firmware_of_the_registered_module_is_taken_over');
SELECT pg_temp.store(pg_temp.status(7, 2, '3.1', 'running', '356938035643809', '8949000000000000002')) \g /dev/null
SELECT set_eq(format('SELECT field, expected_by, expected, reported FROM telemetry.identity_mismatch WHERE device_id = %s', :device), $$ VALUES
	('imei', 'device', '490154203237518', '356938035643809'), ('iccid', 'device', '8949000000000000001', '8949000000000000002') $$,
	'test_another_module_and_sim_are_told_with_what_was_expected');
SELECT is((SELECT firmware FROM fleet.module WHERE device_id = :device), 'M1.3.0', 'test_the_firmware_of_another_module_is_not_taken_over');
SELECT pg_temp.store(pg_temp.status(7, 3, '3.1', 'running', '490154203237518', '8949000000000000002')) \g /dev/null
SELECT set_eq(format('SELECT field, expected_by, expected, reported FROM telemetry.identity_mismatch WHERE device_id = %s', :device), $$ VALUES
	('imei', 'sim', '356938035643809', '490154203237518'), ('iccid', 'device', '8949000000000000001', '8949000000000000002') $$,
	'test_a_sim_of_another_device_expects_the_module_of_that_device');
UPDATE fleet.sim SET imsi = '262010000000009' WHERE device_id = :device;
SELECT pg_temp.store(pg_temp.status(7, 4, '3.1', 'running', '490154203237518', '8949000000000000001', '262010000000001')) \g /dev/null
SELECT set_eq(format('SELECT field, expected, reported FROM telemetry.identity_mismatch WHERE device_id = %s', :device),
	$$ VALUES ('imsi', '262010000000009', '262010000000001') $$, 'test_another_subscriber_is_told');
UPDATE fleet.sim SET imsi = '262010000000001' WHERE device_id = :device;
SELECT is_empty(format('SELECT FROM telemetry.identity_mismatch WHERE device_id = %s', :device), 'test_a_mismatch_ends_when_the_register_is_put_right');
SELECT throws_ok($$ SELECT pg_temp.store(pg_temp.status(8, 1, '3.1', 'asleep')) $$, '23514', NULL, 'test_an_unknown_state_of_the_controller_is_refused');
SELECT throws_ok($$ SELECT pg_temp.store(pg_temp.status(8, 1, repeat('x', 65))) $$, '23514', NULL, 'test_a_version_of_65_characters_is_refused');

-- Configuration
INSERT INTO fleet.config (device_id, version, body, actor) VALUES (:device, 1, '{"interval_s": 600}', 'test'), (:device, 2, '{"interval_s": 300}', 'test');
SELECT api.enter('test', 0, 'admin', NULL, 'viewer', NULL) \g /dev/null
CREATE FUNCTION pg_temp.config(path text[]) RETURNS text LANGUAGE sql AS $$ SELECT (api.config_get('status-1')).body::jsonb #>> path $$;
SELECT pg_temp.store(pg_temp.status(9, 1, '3.1', 'running', NULL, NULL, NULL, '{"version": 1}')) \g /dev/null
SELECT is(pg_temp.config('{reported,version}'), '1', 'test_the_version_in_force_is_reported');
SELECT is(pg_temp.config('{difference,interval_s}'), '{"desired": 300, "reported": 600}',
	'test_a_version_alone_is_compared_by_what_that_version_says');
SELECT pg_temp.store(pg_temp.status(9, 2, '3.1', 'running', NULL, NULL, NULL, '{"version": 2, "values": {"interval_s": 60}}')) \g /dev/null
SELECT is(pg_temp.config('{difference,interval_s}'), '{"desired": 300, "reported": 60}', 'test_values_that_are_told_are_compared_themselves');

-- REST
SELECT pg_temp.store(pg_temp.status(9, 3, '3.1', 'disabled', '356938035643809')) \g /dev/null
SELECT is((api.device_state('status-1')).body::jsonb ->> 'mcu_state', 'disabled', 'test_the_state_of_the_controller_is_part_of_the_state');
SELECT is(api.device('status-1')::jsonb #>> '{reported,firmware,slots,b}', '0.9', 'test_a_device_shows_the_firmware_of_each_slot');
SELECT is(api.device('status-1')::jsonb #> '{identity_mismatch,0}', '{"field": "imei", "expected_by": "device",
	"expected": "490154203237518", "reported": "356938035643809"}', 'test_a_device_shows_what_was_expected_and_what_came');
SELECT is(api.device('status-2')::jsonb #>> '{identity_mismatch}' || (api.device('status-2')::jsonb -> 'reported')::text, '[]null',
	'test_a_device_that_told_nothing_shows_nothing');

-- Who may
SELECT fleet.register_device('status-3', 'test', 'test', '') AS third \gset
SELECT set_config('test.device', :'third', true) \g /dev/null
SELECT pg_temp.store(pg_temp.status(1, 1, '1.0', 'running', '490154203237518', '8949000000000000002')) \g /dev/null
SELECT is((SELECT count(*)::int FROM telemetry.identity_mismatch WHERE device_id = :third), 1, 'test_a_sim_of_another_device_is_seen_without_own_registration');
INSERT INTO fleet.device_group (name) VALUES ('status') RETURNING group_id AS team \gset
INSERT INTO fleet.group_member (device_id, group_id) VALUES (:third, :team);
SELECT api.enter('test', 0, 'viewer', ARRAY[:team], 'viewer', NULL) \g /dev/null
SELECT is(api.device('status-3')::jsonb ->> 'identity_mismatch', '[]', 'test_a_scope_does_not_see_the_module_of_a_device_outside_of_it');
SELECT ok(NOT has_function_privilege('coldfleet_ingest', 'fleet.take_reported(int[])', 'EXECUTE'),
	'test_ingest_takes_versions_over_by_statuses_alone');
SELECT ok(NOT has_any_column_privilege('coldfleet_ingest', 'telemetry.device_status', 'SELECT, INSERT, UPDATE'),
	'test_ingest_neither_reads_nor_writes_statuses_itself');

SELECT * FROM finish();
ROLLBACK;
