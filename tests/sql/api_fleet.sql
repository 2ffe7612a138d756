-- SPDX-License-Identifier: Apache-2.0
-- The fleet as a list: every filter and sort against the answer of a plain scan, pages, scope, export and counts.
BEGIN;
SET search_path = pgtap, public;
SELECT plan(60);

SELECT fleet.register_device('f-' || lpad(n::text, 3, '0'), 'Maker', 'F' || n % 3, 'A', NULL, '89490' || lpad(n::text, 14, '0'))
FROM generate_series(1, 60) AS n;
CREATE TEMP TABLE t AS SELECT device_id, serial, right(serial, 3)::int AS n FROM fleet.device WHERE serial LIKE 'f-%';
INSERT INTO fleet.module (device_id, imei) SELECT device_id, '490154203237518' FROM t WHERE n = 7;
UPDATE fleet.device AS d SET state = CASE WHEN n % 10 = 0 THEN 'disabled' ELSE 'active' END, firmware = '1.' || n % 4,
	tags = CASE WHEN n % 2 = 0 THEN '{even}' WHEN n % 3 = 0 THEN '{odd,three}' ELSE '{odd}' END::text[],
	created_at = now() - interval '30 days'
FROM t WHERE d.device_id = t.device_id;
UPDATE telemetry.device_state AS s SET received_at = CASE WHEN n % 12 > 0 THEN now() - n * interval '1 hour' END,
	battery_pct = CASE WHEN n % 9 > 0 THEN n * 1.5 END, latitude = n, longitude = 2 * n - 60
FROM t WHERE s.device_id = t.device_id;
INSERT INTO telemetry.gap (device_id, epoch, seq_from, seq_to, missing, lost, first_seen, closed_at)
SELECT device_id, 0, from_n, from_n + 9, CASE WHEN n % 5 = 0 THEN int4multirange(int4range(from_n, from_n + 10)) ELSE '{}' END, '{}', now(),
	CASE WHEN n % 5 > 0 THEN now() END
FROM t, unnest(ARRAY[0, 20]) AS from_n WHERE n % 5 < 2;
INSERT INTO fleet.device_group (name) VALUES ('seven') RETURNING group_id AS seven \gset
INSERT INTO fleet.group_member (group_id, device_id) SELECT :seven, device_id FROM t WHERE n % 7 = 0;
INSERT INTO fleet.device_group (name, filter) VALUES ('weak', '{"battery_below": 10, "state": "active"}');
SELECT fleet.fill_listing();
SELECT fleet.relist_excursions(ARRAY(SELECT device_id FROM t), ARRAY(SELECT device_id FROM t WHERE n % 11 = 0));
SELECT set_config('coldfleet.scope', '*', true);

CREATE FUNCTION pg_temp.walk(filter jsonb, sort text DEFAULT 'serial', size int DEFAULT 7) RETURNS int[] LANGUAGE plpgsql AS $$
DECLARE
	page jsonb;
	next text;
	seen int[] := '{}';
BEGIN
	LOOP
		page := api.devices(size, next, sort, filter || '{"q": "f-"}')::jsonb;
		seen := seen || ARRAY(SELECT right(d ->> 'serial', 3)::int FROM jsonb_array_elements(page -> 'items') WITH ORDINALITY AS e (d, place)
				      ORDER BY place);
		next := page ->> 'next';
		EXIT WHEN next IS NULL OR cardinality(seen) > 1000;
	END LOOP;
	RETURN seen;
END
$$;
CREATE FUNCTION pg_temp.those(condition text, ordered text DEFAULT 'n') RETURNS int[] LANGUAGE plpgsql AS $$
DECLARE
	found int[];
BEGIN
	EXECUTE format('SELECT coalesce(array_agg(n ORDER BY %s), ''{}'') FROM t JOIN telemetry.device_state AS s USING (device_id) JOIN fleet.listing AS f ON f.device_id = t.device_id AND f.group_id = 0 WHERE %s',
		ordered, condition) INTO found;
	RETURN found;
END
$$;

SELECT is(pg_temp.walk(filter::jsonb), pg_temp.those(condition), 'test_filter_' || filter || '_finds_what_a_scan_finds')
FROM (VALUES ('{}', 'true'), ('{"state": "disabled"}', 'n % 10 = 0'), ('{"state": "active,disabled"}', 'true'), ('{"state": "banned"}', 'false'),
	('{"model": "F1"}', 'n % 3 = 1'), ('{"model": "nosuch"}', 'false'), ('{"firmware": "1.0,1.3"}', 'n % 4 IN (0, 3)'),
	('{"tag": "three"}', 'n % 3 = 0 AND n % 2 = 1'), ('{"tag": "odd,three"}', 'n % 3 = 0 AND n % 2 = 1'), ('{"tag": "x"}', 'false'),
	('{"group": "seven"}', 'n % 7 = 0'), ('{"group": "weak"}', 'n * 1.5 < 10 AND n % 9 > 0'),
	('{"silent_for": "24h"}', 'received_at < now() - interval ''24 h'' OR received_at IS NULL'),
	('{"battery_below": "30"}', 'battery_pct < 30'), ('{"bbox": "-50,3,10,20.5"}', '2 * n - 60 BETWEEN -50 AND 10 AND n BETWEEN 3 AND 20.5'),
	('{"bbox": "-20,20,-15.5,22"}', '2 * n - 60 BETWEEN -20 AND -15.5 AND n BETWEEN 20 AND 22'),
	('{"bbox": "50,0,-50,90"}', '2 * n - 60 >= 50 OR 2 * n - 60 <= -50'),
	('{"incomplete": "true"}', 'n % 5 = 0'), ('{"incomplete": "false", "model": "F1"}', 'n % 5 > 0 AND n % 3 = 1'),
	('{"in_excursion": "true"}', 'n % 11 = 0'), ('{"in_excursion": "false", "model": "F1"}', 'n % 11 > 0 AND n % 3 = 1'),
	('{"state": "active", "model": "F2", "tag": "even", "battery_below": "50"}', 'n % 10 > 0 AND n % 3 = 2 AND n % 2 = 0 AND battery_pct < 50')
	) AS v (filter, condition);
SELECT is((SELECT jsonb_agg(d -> 'serial') FROM jsonb_array_elements(api.devices(10, NULL, 'serial', jsonb_build_object('q', q))::jsonb -> 'items') AS d),
	expected::jsonb, 'test_q_' || q || '_is_the_beginning_of_a_serial_an_imei_or_an_iccid')
FROM (VALUES ('f-00', '["f-001","f-002","f-003","f-004","f-005","f-006","f-007","f-008","f-009"]'), ('49015420323', '["f-007"]'),
	('894900000000000001', '["f-010","f-011","f-012","f-013","f-014","f-015","f-016","f-017","f-018","f-019"]'), ('f-9', NULL)) AS v (q, expected);
SELECT is(pg_temp.walk('{}', sort, size), pg_temp.those('true', ordered), format('test_pages_of_%s_by_%s_show_each_device_once_in_order', size, sort))
FROM (VALUES ('serial', 'n'), ('-serial', 'n DESC'), ('last_seen', 'heard, s.device_id'),
	('-last_seen', 'heard DESC, s.device_id DESC'), ('battery', 'battery_step, s.device_id'),
	('-battery', 'battery_step DESC, s.device_id DESC')) AS v (sort, ordered), unnest(ARRAY[7]) AS size;

-- Refusals

SELECT throws_ok(format('SELECT api.devices(10, NULL, %L, %L)', sort, filter), 'CF422', message, 'test_' || message || '_is_said')
FROM (VALUES ('serial', '{"state": "lost"}', 'state: expected registered, active, disabled, quarantined, banned or decommissioned, up to 16 of them with commas between, got ''lost'''),
	('serial', '{"silent_for": "1 week"}', 'silent_for: expected a duration like 90s, 30m, 12h or 7d, got ''1 week'''),
	('serial', jsonb_build_object('q', chr(1114111))::text,
		'q: expected the first 1 to 64 characters of a serial, an IMEI or an ICCID, got ''' || chr(1114111) || ''''),
	('serial', '{"bbox": "1,2,3"}', 'bbox: expected west,south,east,north in degrees, got ''1,2,3'''),
	('serial', '{"group": "nosuch"}', 'group: expected the name of a group, got ''nosuch'''),
	('serial', '{"battery_below": "0"}', 'battery_below: expected a whole number from 1 to 100, got ''0'''),
	('serial', '{"colour": "red"}', 'filter: expected state, model, firmware, tag, group, q, silent_for, battery_below, bbox, in_excursion or incomplete, got ''colour'''),
	('serial', '{"incomplete": "1"}', 'incomplete: expected true or false, got ''1'''),
	('serial', '{"in_excursion": "yes"}', 'in_excursion: expected true or false, got ''yes'''),
	('height', '{}', 'sort: expected serial, last_seen or battery, with - before it for the reverse, got ''height''')) AS v (sort, filter, message);
SELECT throws_ok(format('SELECT api.devices(10, %L, ''-battery'', ''{}'')', api.devices(10, NULL, 'battery', '{}')::json ->> 'next'),
	'CF400', NULL, 'test_a_cursor_of_one_order_does_not_fit_another');

-- More than one page's work: 3,500 devices, of which the last 1,600 have the tag, so that no filter has few devices and
-- the first page looks at 3,000 and finds only some.

INSERT INTO fleet.device (serial, model_id, state, tags)
SELECT 'w-' || lpad(n::text, 4, '0'), (SELECT model_id FROM fleet.model WHERE name = 'F0'), 'active', CASE WHEN n > 1900 THEN '{late}' ELSE '{}' END::text[]
FROM generate_series(1, 3500) AS n;
SELECT api.devices(1000, NULL, '-serial', '{"tag": "late", "model": "F0", "state": "active"}') AS page \gset
SELECT is((SELECT count(*) FROM jsonb_array_elements(:'page'::jsonb -> 'items')), 1000::bigint, 'test_a_page_is_full_when_enough_are_near');
CREATE TEMP TABLE walked AS WITH RECURSIVE w AS (
	SELECT api.devices(1000, NULL, 'serial', '{"tag": "late", "model": "F0"}')::jsonb AS page
	UNION ALL SELECT api.devices(1000, w.page ->> 'next', 'serial', '{"tag": "late", "model": "F0"}')::jsonb FROM w WHERE w.page ->> 'next' IS NOT NULL)
SELECT jsonb_array_length(page -> 'items') AS shown FROM w;
SELECT results_eq('SELECT sum(shown), bool_or(shown BETWEEN 1 AND 999) FROM walked', 'VALUES (1600::bigint, true)',
	'test_pages_that_end_early_lose_no_device');

-- Export, counts, scope

SELECT is((SELECT count(*) FROM api.devices_export('ndjson', '{"q": "f-", "state": "disabled"}', NULL), string_to_table(rtrim(body, E'\n'), E'\n') AS line
	WHERE line::jsonb ->> 'state' = 'disabled'), 6::bigint, 'test_an_export_has_a_json_object_a_line');
SELECT is((SELECT body FROM api.devices_export('csv', '{"q": "f-004"}', 'f-003')),
	(SELECT format(E'f-004,active,Maker,F1,A,1.0,even,,8949000000000000004,,,%s,%s,6\r\n', btrim(api.json_time(created_at), '"'),
		btrim(api.json_time(received_at), '"')) FROM fleet.device JOIN telemetry.device_state USING (device_id) WHERE serial = 'f-004'),
	'test_an_export_as_csv_goes_on_after_its_key_without_a_header');
SELECT is(api.fleet_summary()::jsonb #> '{by_state,disabled}', '6', 'test_the_summary_counts_states');
SELECT is(api.fleet_summary()::jsonb -> 'in_excursion', '5', 'test_the_summary_counts_devices_in_an_excursion');
SELECT is(api.fleet_summary()::jsonb -> 'incomplete', '12', 'test_the_summary_counts_devices_that_miss_something_each_once');
SELECT is((SELECT jsonb_agg(d -> 'in_excursion') FROM jsonb_array_elements(api.devices(2, NULL, 'serial', '{"q": "f-01"}')::jsonb -> 'items') AS d),
	'[false, true]', 'test_a_list_says_who_is_in_an_excursion');
SELECT is((SELECT jsonb_agg(d -> 'incomplete') FROM jsonb_array_elements(api.devices(2, NULL, 'serial', '{"q": "f-01"}')::jsonb -> 'items') AS d),
	'[true, false]', 'test_a_list_says_who_misses_something');
SELECT is((SELECT string_agg(line::jsonb ->> 'serial', ' ') FROM api.devices_export('ndjson', '{"q": "f-01", "incomplete": "true"}', NULL),
	string_to_table(rtrim(body, E'\n'), E'\n') AS line), 'f-010 f-015', 'test_an_export_honours_what_is_incomplete');
SELECT set_config('coldfleet.scope', :'seven', true);
SELECT is(pg_temp.walk('{}'), pg_temp.those('n % 7 = 0'), 'test_a_scope_sees_its_own_devices_alone');
SELECT is(api.fleet_summary()::jsonb ->> 'total', '8', 'test_a_scope_is_counted_for_itself');
SELECT is(pg_temp.walk('{"in_excursion": "true"}'), '{}', 'test_a_scope_sees_no_excursions_of_others');
SELECT is(api.fleet_summary()::jsonb -> 'in_excursion', '0', 'test_and_counts_none');
SELECT is(pg_temp.walk('{"incomplete": "true"}'), '{35}', 'test_a_scope_sees_the_incomplete_of_its_own');
SELECT is(api.fleet_summary()::jsonb -> 'incomplete', '1', 'test_and_counts_those');
SELECT set_config('coldfleet.scope', '', true);
SELECT is(pg_temp.walk('{}'), '{}', 'test_without_a_scope_nothing_is_seen');

SELECT * FROM finish();
ROLLBACK;
