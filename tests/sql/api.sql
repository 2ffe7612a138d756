-- SPDX-License-Identifier: Apache-2.0
-- What REST may ask: tokens and roles, the JSON of devices and readings, cursors, and that the API's role can call these
-- functions and nothing else.
BEGIN;
SELECT plan(37);

CREATE TEMPORARY TABLE made AS SELECT name, role, fleet.create_token(name, role, expires) AS token
FROM (VALUES ('v', 'viewer', NULL), ('o', 'operator', NULL), ('a', 'admin', now() + interval '1 hour'),
	('late', 'admin', now() - interval '1 second')) AS t (name, role, expires);
CREATE FUNCTION pg_temp.hash(who text) RETURNS bytea LANGUAGE sql AS
	$$ SELECT sha256(convert_to(token, 'UTF8')) FROM made WHERE name = who $$;

-- Tokens

SELECT lives_ok($$ SELECT api.begin(pg_temp.hash('v'), 'viewer') $$, 'a viewer reads');
SELECT lives_ok($$ SELECT api.begin(pg_temp.hash('o'), 'viewer') $$, 'an operator reads as a viewer does');
SELECT lives_ok($$ SELECT api.begin(pg_temp.hash('o'), 'operator') $$, 'an operator operates');
SELECT lives_ok($$ SELECT api.begin(pg_temp.hash('a'), 'auditor') $$, 'an admin may do all');
SELECT throws_ok($$ SELECT api.begin(pg_temp.hash('v'), 'operator') $$, 'CF403',
	'the token has the role viewer, expected operator or admin', 'a viewer does not operate');
SELECT throws_ok($$ SELECT api.begin(pg_temp.hash('o'), 'approver') $$, 'CF403', NULL, 'an operator does not approve');
SELECT throws_ok($$ SELECT api.begin(pg_temp.hash('late'), 'viewer') $$, 'CF401', NULL, 'an expired token is refused');
SELECT throws_ok($$ SELECT api.begin(sha256('guess'), 'viewer') $$, 'CF401', NULL, 'an unknown token is refused');
SELECT throws_ok($$ SELECT api.begin(NULL, 'viewer') $$, 'CF401', NULL, 'no token is refused');
UPDATE fleet.token SET revoked_at = now() WHERE sha256 = pg_temp.hash('a');
SELECT throws_ok($$ SELECT api.begin(pg_temp.hash('a'), 'viewer') $$, 'CF401', NULL, 'a revoked token is refused');
SELECT is((SELECT last_used_at FROM fleet.token WHERE sha256 = pg_temp.hash('v')), now(), 'the use of a token is noted');
UPDATE fleet.token SET last_used_at = now() - interval '59 seconds' WHERE sha256 = pg_temp.hash('v');
SELECT api.begin(pg_temp.hash('v'), 'viewer');
SELECT is((SELECT last_used_at FROM fleet.token WHERE sha256 = pg_temp.hash('v')), now() - interval '59 seconds',
	'but not more often than once a minute');

-- Times

SELECT is(api.json_time('2026-11-22 08:00:00.120000+02'), '"2026-11-22T06:00:00.12Z"', 'times are UTC without trailing zeros');
SELECT is(api.json_time('2026-11-22 10:00:00+00'), '"2026-11-22T10:00:00Z"', 'whole seconds have no fraction, and keep their zeros');
SELECT is(api.json_time('2026-11-22 10:00:00.000001+00'), '"2026-11-22T10:00:00.000001Z"', 'microseconds are kept');

-- Devices

SELECT fleet.register_device('api-' || n, 'Maker "Q"', 'M' || n, CASE WHEN n = 1 THEN 'B' END,
	CASE WHEN n = 1 THEN '490154203237518' END, CASE WHEN n = 1 THEN '8949000000000000001' END)
FROM generate_series(1, 5) AS n;
UPDATE fleet.model SET end_of_support = (now() AT TIME ZONE 'UTC')::date - (name = 'M2')::int
WHERE manufacturer = 'Maker "Q"' AND name IN ('M1', 'M2');
UPDATE telemetry.device_state SET temperature_c = 4.5, temperature_ts = '2026-11-22 08:00:00Z', seq_high = 7
WHERE device_id = (SELECT device_id FROM fleet.device WHERE serial = 'api-1');

SELECT is(api.device('api-1')::jsonb - 'created_at', jsonb_build_object('serial', 'api-1', 'state', 'active',
	'model', jsonb_build_object('manufacturer', 'Maker "Q"', 'name', 'M1', 'hardware_revision', 'B',
		'end_of_support', (now() AT TIME ZONE 'UTC')::date, 'support_ended', false),
	'module', '{"manufacturer": null, "model": null, "imei": "490154203237518", "firmware": null}'::jsonb,
	'sim', '{"iccid": "8949000000000000001", "imsi": null, "apn": null}'::jsonb,
	'latest', '{"epoch": 0, "gaps": 0, "seq_high": 7, "temperature_c": 4.5, "temperature_ts": "2026-11-22T08:00:00Z"}'::jsonb),
	'a device is told with model, module, SIM and what is known of its state');
SELECT is(api.device('api-2')::jsonb #> '{model,support_ended}', 'true', 'a model after its last day of support is flagged');
SELECT is(api.device('api-3')::jsonb -> 'module', 'null', 'a device without a module has none');
SELECT throws_ok($$ SELECT api.device('api-9') $$, 'CF404', 'no device has the serial api-9', 'an unknown serial is not found');

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
SELECT is((SELECT jsonb_agg(d -> 'serial') FROM jsonb_array_elements(pg_temp.walk('SELECT api.devices($1, $2)', n)) AS d),
	(SELECT jsonb_agg(serial ORDER BY serial) FROM fleet.device), 'pages of ' || n || ' show each device once, in order')
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
	'pages of ' || n || ' show each reading once, in order, across partitions') FROM unnest(ARRAY[1, 5, 1000]) AS n;
SELECT is(pg_temp.items(5) -> 'flags', '["sensor_fault"]', 'flags are words');
SELECT is(pg_temp.items(6) - '{ts,received_at}'::text[],
	'{"probe": 0, "epoch": 0, "seq": 6, "temperature_c": 4.6, "door_open": false}', 'only what was measured is told');
SELECT is(pg_temp.items(7) -> 'extra', '{"co2": null, "x": {"y": 1}}', 'extra is passed on as it was said, nulls too');
SELECT is(jsonb_array_length(api.readings('api-1', now() - interval '6 days', date_trunc('second', now()), 1000, NULL)::jsonb
	-> 'items'), (SELECT count(*)::int FROM telemetry.reading JOIN fleet.device USING (device_id)
	WHERE serial = 'api-1' AND ts >= now() - interval '6 days' AND ts < date_trunc('second', now())),
	'from is included, to is not');
SELECT throws_ok($$ SELECT api.readings('api-1', now(), now(), 10, NULL) $$, 'CF422', NULL, 'to must be after from');
SELECT throws_ok($$ SELECT api.readings('api-9', NULL, NULL, 10, NULL) $$, 'CF404', NULL, 'readings of nobody are not found');

-- Cursors

SELECT throws_ok(format('SELECT api.readings(%L, NULL, NULL, 2, %L)', serial,
		api.readings('api-1', NULL, NULL, 2, NULL)::json ->> 'next'), 'CF400', NULL,
	'a cursor of one device does not fit another') FROM fleet.device WHERE serial = 'api-2';
CREATE FUNCTION pg_temp.refused(cursor text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	PERFORM api.readings('api-1', NULL, NULL, 2, cursor);
	RETURN false;
EXCEPTION WHEN SQLSTATE 'CF400' THEN
	RETURN true;
END
$$;
SELECT ok(bool_and(pg_temp.refused(overlay(next PLACING CASE substr(next, i, 1) WHEN 'A' THEN 'B' ELSE 'A' END FROM i FOR 1))),
	'a cursor with any one character changed is refused')
FROM (SELECT api.readings('api-1', NULL, NULL, 2, NULL)::json ->> 'next') AS c (next), generate_series(1, length(next)) AS i;
SELECT ok(bool_and(pg_temp.refused(bad)), 'what never was a cursor is refused')
FROM unnest(ARRAY['', 'A', 'AAAA', repeat('A', 256), '____', 'gICAgICAgICAgICAgICAgA']) AS bad;

-- Rights: whatever the API's role could do in any schema of ours, beyond the functions that its statements call

SELECT is((SELECT array_agg(format('%s.%s', nspname, proname) ORDER BY proname) FROM pg_proc
	   JOIN pg_namespace AS n ON n.oid = pronamespace
	   WHERE nspname IN ('fleet', 'telemetry', 'api') AND has_function_privilege('coldfleet_api', pg_proc.oid, 'EXECUTE')),
	'{api.begin,api.device,api.devices,api.readings}', 'the API''s role can call the functions of its routes and no other');
SELECT is_empty($$ SELECT relname FROM pg_class JOIN pg_namespace AS n ON n.oid = relnamespace
	WHERE nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast', 'tap') AND relkind IN ('r', 'p', 'v', 'm', 'S')
		AND relpersistence <> 't' AND has_table_privilege('coldfleet_api', pg_class.oid,
			'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER') $$,
	'it can read and write no table');

SELECT finish();
ROLLBACK;
