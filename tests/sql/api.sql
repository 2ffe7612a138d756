-- SPDX-License-Identifier: Apache-2.0
-- What REST may ask: tokens and roles, the JSON of devices and readings, cursors, and that the API's role can call these
-- functions and nothing else.
BEGIN;
SET search_path = pgtap, public;
SELECT plan(37);

CREATE TEMPORARY TABLE made AS SELECT name, role, fleet.create_token(name, role, expires) AS token
FROM (VALUES ('v', 'viewer', NULL), ('o', 'operator', NULL), ('a', 'admin', now() + interval '1 hour'),
	('late', 'admin', now() - interval '1 second')) AS t (name, role, expires);
CREATE FUNCTION pg_temp.hash(who text) RETURNS bytea LANGUAGE sql AS
	$$ SELECT sha256(convert_to(token, 'UTF8')) FROM made WHERE name = who $$;

-- Tokens

SELECT lives_ok($$ SELECT api.begin(pg_temp.hash('v'), 'viewer') $$, 'test_a_viewer_reads');
SELECT lives_ok($$ SELECT api.begin(pg_temp.hash('o'), 'viewer') $$, 'test_an_operator_reads_as_a_viewer_does');
SELECT lives_ok($$ SELECT api.begin(pg_temp.hash('o'), 'operator') $$, 'test_an_operator_operates');
SELECT lives_ok($$ SELECT api.begin(pg_temp.hash('a'), 'auditor') $$, 'test_an_admin_may_do_all');
SELECT throws_ok($$ SELECT api.begin(pg_temp.hash('v'), 'operator') $$, 'CF403',
	'the token has the role viewer, expected operator or admin', 'test_a_viewer_does_not_operate');
SELECT throws_ok($$ SELECT api.begin(pg_temp.hash('o'), 'approver') $$, 'CF403', NULL, 'test_an_operator_does_not_approve');
SELECT throws_ok($$ SELECT api.begin(pg_temp.hash('late'), 'viewer') $$, 'CF401', NULL, 'test_an_expired_token_is_refused');
SELECT throws_ok($$ SELECT api.begin(sha256('guess'), 'viewer') $$, 'CF401', NULL, 'test_an_unknown_token_is_refused');
SELECT throws_ok($$ SELECT api.begin(NULL, 'viewer') $$, 'CF401', NULL, 'test_no_token_is_refused');
UPDATE fleet.token SET revoked_at = now() WHERE sha256 = pg_temp.hash('a');
SELECT throws_ok($$ SELECT api.begin(pg_temp.hash('a'), 'viewer') $$, 'CF401', NULL, 'test_a_revoked_token_is_refused');
SELECT is((SELECT last_used_at FROM fleet.token WHERE sha256 = pg_temp.hash('v')), now(), 'test_the_use_of_a_token_is_noted');
UPDATE fleet.token SET last_used_at = now() - interval '59 seconds' WHERE sha256 = pg_temp.hash('v');
SELECT api.begin(pg_temp.hash('v'), 'viewer');
SELECT is((SELECT last_used_at FROM fleet.token WHERE sha256 = pg_temp.hash('v')), now() - interval '59 seconds',
	'test_the_use_of_a_token_is_noted_once_a_minute_at_most');

-- Times

SELECT is(api.json_time('2026-11-22 08:00:00.120000+02'), '"2026-11-22T06:00:00.12Z"', 'test_times_are_utc_without_trailing_zeros');
SELECT is(api.json_time('2026-11-22 10:00:00+00'), '"2026-11-22T10:00:00Z"', 'test_whole_seconds_have_no_fraction_and_keep_their_zeros');
SELECT is(api.json_time('2026-11-22 10:00:00.000001+00'), '"2026-11-22T10:00:00.000001Z"', 'test_microseconds_are_kept');

-- Devices

SELECT fleet.register_device('api-' || n, 'Maker "Q"', 'M' || n, CASE WHEN n = 1 THEN 'B' END,
	CASE WHEN n = 1 THEN '490154203237518' END, CASE WHEN n = 1 THEN '8949000000000000001' END)
FROM generate_series(1, 5) AS n;
UPDATE fleet.model SET end_of_support = (now() AT TIME ZONE 'UTC')::date - (name = 'M2')::int
WHERE manufacturer = 'Maker "Q"' AND name IN ('M1', 'M2');
UPDATE telemetry.device_state SET temperature_c = 4.5, temperature_ts = '2026-11-22 08:00:00Z', seq_high = 7
WHERE device_id = (SELECT device_id FROM fleet.device WHERE serial = 'api-1');

SELECT is(api.device('api-1')::jsonb - 'created_at', jsonb_build_object('serial', 'api-1', 'state', 'active', 'firmware', null, 'tags', '[]'::jsonb, 'groups', '[]'::jsonb,
	'model', jsonb_build_object('manufacturer', 'Maker "Q"', 'name', 'M1', 'hardware_revision', 'B',
		'end_of_support', (now() AT TIME ZONE 'UTC')::date, 'support_ended', false),
	'module', '{"manufacturer": null, "model": null, "imei": "490154203237518", "firmware": null, "certifications": null}'::jsonb,
	'sim', '{"iccid": "8949000000000000001", "imsi": null, "apn": null, "expected_prefix": null}'::jsonb,
	'mcu_state', null, 'reported', null, 'identity_mismatch', '[]'::jsonb, 'commands', '{"open": 0, "switched": null}'::jsonb,
	'latest', '{"epoch": 0, "gaps": 0, "seq_high": 7, "complete_through": 7, "temperature_c": 4.5, "temperature_ts": "2026-11-22T08:00:00Z"}'::jsonb),
	'test_a_device_is_told_with_model_module_sim_and_what_is_known_of_its_state');
SELECT is(api.device('api-2')::jsonb #> '{model,support_ended}', 'true', 'test_a_model_after_its_last_day_of_support_is_flagged');
SELECT is(api.device('api-3')::jsonb -> 'module', 'null', 'test_a_device_without_a_module_has_none');
SELECT throws_ok($$ SELECT api.device_get('api-9') $$, 'CF404', 'no device has the serial api-9', 'test_an_unknown_serial_is_not_found');

CREATE FUNCTION pg_temp.walk(list text, size int) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	page jsonb;
	seen jsonb := '[]';
	next text;
BEGIN
	LOOP
		EXECUTE list INTO page USING size, next;
		seen := seen || (page -> 'items');
		next := page ->> 'next';
		EXIT WHEN next IS NULL OR jsonb_array_length(seen) > 1000;
	END LOOP;
	RETURN seen;
END
$$;
SELECT is((SELECT jsonb_agg(d -> 'serial') FROM jsonb_array_elements(pg_temp.walk('SELECT api.devices($1, $2, ''serial'', ''{}'')', n)) AS d),
	(SELECT jsonb_agg(serial ORDER BY serial) FROM fleet.device), 'test_pages_of_' || n || '_show_each_device_once_in_order')
FROM unnest(ARRAY[1, 2, 3, 1000]) AS n;

-- Readings

SELECT telemetry.ensure_partition(at) FROM unnest(ARRAY[now() - interval '9 days', now()]) AS at;
INSERT INTO telemetry.reading (ts, received_at, device_id, seq, epoch, probe, temperature_c, flags, door_open, extra)
SELECT date_trunc('second', now()) - (n / 4) * interval '3 days', now(), device_id,
	CASE WHEN n = 3 THEN -1 ELSE n END, n % 2, n % 3, CASE WHEN n > 0 THEN 4 + n / 10.0 END,
	CASE WHEN n = 5 THEN 1 END, CASE WHEN n = 6 THEN false END, CASE WHEN n = 7 THEN '{"co2": null, "x": {"y": 1}}'::jsonb END
FROM fleet.device, generate_series(0, 11) AS n WHERE serial = 'api-1';
CREATE FUNCTION pg_temp.items(VARIADIC n int[]) RETURNS jsonb LANGUAGE sql AS $$
	SELECT jsonb_path_query_array(api.readings('api-1', NULL, NULL, 1000, NULL)::jsonb -> 'items', '$[*] ? (@.seq == $n)',
		jsonb_build_object('n', n[1])) -> 0
$$;

SELECT is((SELECT jsonb_agg(d -> 'seq') FROM jsonb_array_elements(
		pg_temp.walk('SELECT api.readings(''api-1'', NULL, NULL, $1, $2)', n)) AS d),
	(SELECT jsonb_agg(CASE WHEN seq >= 0 THEN seq END ORDER BY ts, probe, epoch, seq) FROM telemetry.reading
	 JOIN fleet.device USING (device_id) WHERE serial = 'api-1'),
	'test_pages_of_' || n || '_show_each_reading_once_in_order_across_partitions') FROM unnest(ARRAY[1, 5, 1000]) AS n;
SELECT is(pg_temp.items(5) -> 'flags', '["sensor_fault"]', 'test_flags_are_words');
SELECT is(pg_temp.items(6) - '{ts,received_at}'::text[],
	'{"probe": 0, "epoch": 0, "seq": 6, "temperature_c": 4.6, "door_open": false}', 'test_only_what_was_measured_is_told');
SELECT is(pg_temp.items(7) -> 'extra', '{"co2": null, "x": {"y": 1}}', 'test_extra_is_passed_on_as_it_was_said_nulls_too');
SELECT is(jsonb_array_length(api.readings('api-1', now() - interval '6 days', date_trunc('second', now()), 1000, NULL)::jsonb
	-> 'items'), (SELECT count(*)::int FROM telemetry.reading JOIN fleet.device USING (device_id)
	WHERE serial = 'api-1' AND ts >= now() - interval '6 days' AND ts < date_trunc('second', now())),
	'test_from_is_included_to_is_not');
SELECT throws_ok($$ SELECT api.readings('api-1', now(), now(), 10, NULL) $$, 'CF422', NULL, 'test_to_must_be_after_from');
SELECT throws_ok($$ SELECT api.readings('api-9', NULL, NULL, 10, NULL) $$, 'CF404', NULL, 'test_readings_of_nobody_are_not_found');

-- Cursors

SELECT throws_ok(format('SELECT api.readings(%L, NULL, NULL, 2, %L)', serial,
		api.readings('api-1', NULL, NULL, 2, NULL)::json ->> 'next'), 'CF400', NULL,
	'test_a_cursor_of_one_device_does_not_fit_another') FROM fleet.device WHERE serial = 'api-2';
CREATE FUNCTION pg_temp.refused(cursor text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	PERFORM api.readings('api-1', NULL, NULL, 2, cursor);
	RETURN false;
EXCEPTION WHEN SQLSTATE 'CF400' THEN
	RETURN true;
END
$$;
SELECT ok(bool_and(pg_temp.refused(overlay(next PLACING CASE substr(next, i, 1) WHEN 'A' THEN 'B' ELSE 'A' END FROM i FOR 1))),
	'test_a_cursor_with_any_one_character_changed_is_refused')
FROM (SELECT api.readings('api-1', NULL, NULL, 2, NULL)::json ->> 'next') AS c (next), generate_series(1, length(next)) AS i;
SELECT ok(bool_and(pg_temp.refused(bad)), 'test_what_never_was_a_cursor_is_refused')
FROM unnest(ARRAY['', 'A', 'AAAA', repeat('A', 256), '____', 'gICAgICAgICAgICAgICAgA']) AS bad;

-- Rights: whatever the API's role could do in any schema of ours, beyond the functions that its statements call

SELECT is((SELECT array_agg(format('%s.%s', nspname, proname) ORDER BY proname) FROM pg_proc
	   JOIN pg_namespace AS n ON n.oid = pronamespace
	   WHERE nspname IN ('fleet', 'telemetry', 'audit', 'api') AND has_function_privilege('coldfleet_api', pg_proc.oid, 'EXECUTE')),
	'{api.alarm_acknowledge,api.alarm_rule_create,api.alarm_rule_delete,api.alarm_rule_get,api.alarm_rule_patch,api.alarm_rules,api.alarms,'
	'api.assignment_change,api.assignment_create,api.assignment_get,api.audit,'
	'api.audit_checkpoints,api.audit_export,api.begin,api.begin_oidc,api.calibration_create,api.calibration_get,api.calibration_void,'
	'api.calibrations,api.cce_export,api.cce_import,api.command_cancel,'
	'api.command_get,api.command_make,api.commands,api.commands_make,api.config_get,api.config_history,api.config_put,'
	'api.deliveries,api.delivery_replay,api.device_calibrations,api.device_create,api.device_decommission,api.device_gaps,api.device_get,'
	'api.device_history,api.device_patch,api.device_state,api.devices,api.devices_export,api.devices_import,'
	'api.excursion_get,api.excursions,api.feed_events,api.feed_sweep,api.feed_watched,api.fleet_summary,api.geofence_create,api.geofence_delete,'
	'api.geofence_get,api.geofence_patch,api.geofences,api.group_create,'
	'api.group_delete,api.group_get,api.group_member_set,api.group_patch,api.groups,api.idempotency,api.leg_change,api.logger_files,'
	'api.logger_import,api.operation_get,api.operation_rows,api.product_create,api.products,api.profile_get,'
	'api.profile_history,api.profile_put,api.profiles,api.quarantine,api.quarantine_replay,api.quarantined,'
	'api.readings_chunk,api.readings_page,api.refused_login,api.remember,api.request_approve,api.request_cancel,'
	'api.request_edit,api.request_get,api.request_pause,api.request_refuse,api.request_resume,api.requests,'
	'api.shipment_change,api.shipment_create,api.shipment_decide,api.shipment_epcis,api.shipment_figures,api.shipment_get,api.shipment_report,'
	'api.shipment_report_html,api.shipment_step,api.shipments,api.stream_open,api.sweep,api.tags_put,api.token_create,'
	'api.token_revoke,api.tokens,api.webhook_create,api.webhook_delete,api.webhook_get,api.webhook_patch,api.webhooks,'
	'api.without_secret,api.without_webhook_secret,api.work}', 'test_the_apis_role_can_call_the_functions_of_its_routes_and_no_other');
SELECT is_empty($$ SELECT relname FROM pg_class JOIN pg_namespace AS n ON n.oid = relnamespace
	WHERE nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast', 'pgtap') AND relkind IN ('r', 'p', 'v', 'm', 'S')
		AND relpersistence <> 't' AND has_table_privilege('coldfleet_api', pg_class.oid,
			'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER') $$,
	'test_the_apis_role_can_read_and_write_no_table');

SELECT finish();
ROLLBACK;
