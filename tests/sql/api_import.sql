-- SPDX-License-Identifier: Apache-2.0
-- Imports: what is taken, what is refused row by row, that work goes on where it ended, and export to import and back.
BEGIN;
SET search_path = pgtap, public;
SELECT plan(29);

SELECT api.begin(sha256(convert_to(fleet.create_token('ida', 'operator'), 'UTF8')), 'operator', 'req-7');
SELECT fleet.register_device('imp-old', 'Maker', 'I', 'A', '490154203237518', '8949000000000000001');
CREATE FUNCTION pg_temp.import(format text, body text) RETURNS TABLE (line int, result text, detail text) LANGUAGE plpgsql AS $$
DECLARE
	id CONSTANT text := (api.devices_import('delivery 12', format, body)).body::json ->> 'id';
BEGIN
	WHILE (api.operation_get(id)::json ->> 'state') <> 'done' LOOP
		PERFORM api.work();
	END LOOP;
	RETURN QUERY SELECT (r ->> 'line')::int, r ->> 'result', r ->> 'detail'
	FROM json_array_elements(api.operation_rows(id, NULL, 1000, NULL)::json -> 'items') AS r;
END
$$;

SELECT results_eq($$ SELECT * FROM pg_temp.import('ndjson', E'{"serial":"imp-1","manufacturer":"Maker","model":"I","tags":["b","a"],"firmware":"2.0"}\r\n'
	'\n{"serial":"imp old"}\n{"serial":"imp-2"}\nnonsense\n{"serial":"imp-3","colour":"red"}\n'
	'{"serial":"imp-4","manufacturer":"M","model":"I","imei":"490154203237518"}\n{"serial":"imp-5","manufacturer":"M","model":"I","imei":"1"}\n'
	'{"serial":"imp-old","model":"I"}\n{"serial":"imp-old","hardware_revision":"B"}\n[]\n{"serial":7}\n'
	'{"serial":"imp-6","manufacturer":"M","model":"I","state":"lost"}\n{"serial":"imp-7","manufacturer":"M","model":"I","tags":"x y","state":"disabled"}') $$,
	$$ VALUES (1, 'created', NULL), (3, 'failed', 'serial: expected 1 to 64 of A-Z a-z 0-9 . _ -'), (4, 'failed', 'manufacturer: expected 1 to 100 characters, not only blanks'),
		(5, 'failed', 'expected a JSON object'),
		(6, 'failed', 'expected serial and any of state, manufacturer, model, hardware_revision, firmware, tags, imei, iccid, imsi, apn, '
			'created_at, last_seen, battery_pct, each once, got colour, serial'),
		(7, 'failed', 'imei: belongs to another device'),
		(8, 'failed', 'imei: expected 15 digits, the last one the check digit of the others'), (9, 'unchanged', NULL),
		(10, 'failed', 'hardware_revision: the device is registered with another value; an import only adds devices'),
		(11, 'failed', 'expected a JSON object'), (12, 'failed', 'expected texts, and for tags a list or words with spaces between'),
		(13, 'failed', 'state: expected registered, active, disabled, quarantined, banned or decommissioned'), (14, 'created', NULL) $$,
	'test_each_row_has_its_own_result_with_the_reason');
SELECT is(d - '{created_at,latest,model,mcu_state,reported,identity_mismatch,commands}'::text[], '{"serial": "imp-1", "state": "active", "firmware": "2.0", "tags": ["a", "b"], "groups": [],
	"module": null, "sim": null}', 'test_an_imported_device_is_as_its_row_says') FROM (SELECT api.device('imp-1')::jsonb) AS v (d);
SELECT is(api.device('imp-7')::jsonb -> 'tags', '["x", "y"]', 'test_tags_may_be_words');
SELECT results_eq($$ SELECT DISTINCT actor, reason, request_id FROM fleet.history WHERE key = 'imp-1' $$,
	$$ VALUES ('ida', 'delivery 12', 'req-7') $$, 'test_history_tells_who_asked_for_the_import');
SELECT is((SELECT count(*) FROM fleet.device WHERE serial LIKE 'imp-%'), 3::bigint, 'test_a_refused_row_leaves_nothing');

SELECT results_eq($$ SELECT * FROM pg_temp.import('csv', E'serial,manufacturer,model,apn,iccid\r\ncsv-1,"Ma""ker, Inc",I,,\r\ncsv-2,M,I,net,8949000000000000002\n'
	'csv-3,M\n"csv-4"x,M,I,,\n') $$,
	$$ VALUES (2, 'created', NULL), (3, 'created', NULL), (4, 'failed', 'expected 5 fields, got 2'),
		(5, 'failed', 'a quote stands alone: expected fields with commas between, those with a comma or a quote in "..."') $$,
	'test_csv_is_read_with_quotes_and_numbered_by_line');
SELECT is(api.device('csv-1')::jsonb #>> '{model,manufacturer}', 'Ma"ker, Inc', 'test_a_quoted_field_is_taken_as_it_is');
SELECT is(result, 'unchanged', 'test_an_export_imports_without_a_change') FROM (SELECT * FROM pg_temp.import('csv',
	(SELECT body FROM api.devices_export('csv', '{"q": "csv-2"}', NULL))) LIMIT 1) AS r;

SELECT throws_ok(format('SELECT api.devices_import(NULL, %L, %L)', format, body), 'CF422', NULL, 'test_an_import_' || what || '_is_refused')
FROM (VALUES ('csv', '', 'of_nothing'), ('csv', E'serial,colour\na,b', 'with_an_unknown_column'), ('csv', E'model\na', 'without_serials'),
	('csv', E'serial,serial\na,b', 'with_a_column_twice'), ('ndjson', E'\n\n', 'of_empty_lines'),
	('ndjson', repeat(E'{}\n', 100001), 'beyond_100000_rows')) AS v (format, body, what);

-- All at once is as one after the other

SELECT is(result, 'failed', 'test_a_device_with_more_tags_than_a_row_says_is_registered_with_another_value') FROM pg_temp.import('ndjson',
	'{"serial":"imp-1","tags":["a"]}') AS r;
SELECT results_eq($$ SELECT * FROM pg_temp.import('ndjson', (SELECT string_agg(v, E'\n') FROM unnest(ARRAY[
	'{"serial":"row-1","manufacturer":"M","model":"I","imei":"356938035643809"}',
	'{"serial":"row-1","manufacturer":"M","model":"I","imei":"356938035643809"}',
	'{"serial":"row-1","manufacturer":"M","model":"J"}',
	'{"serial":"row-2","manufacturer":"M","model":"I","imei":"356938035643809","iccid":"8949000000000000009"}',
	'{"serial":"row-2","manufacturer":"M","model":"I","iccid":"8949000000000000009","imsi":"262010000000009"}',
	'{"serial":"row-3","manufacturer":"M","model":"I","iccid":"8949000000000000009"}',
	'{"serial":"row-3","manufacturer":"M","model":"I","iccid":"8949000000000000008","imsi":"262010000000009"}',
	'{"serial":"row-3","manufacturer":"M","model":"I","state":"lost"}',
	'{"serial":"row-3","manufacturer":"M","model":"I"}',
	'{"serial":"row-3","manufacturer":"M","model":"I","state":"lost"}']) AS v)) $$,
	$$ VALUES (1, 'created', NULL), (2, 'unchanged', NULL),
		(3, 'failed', 'model: the device is registered with another value; an import only adds devices'),
		(4, 'failed', 'imei: belongs to another device'), (5, 'created', NULL), (6, 'failed', 'iccid: belongs to another device'),
		(7, 'failed', 'imsi: belongs to another device'),
		(8, 'failed', 'state: expected registered, active, disabled, quarantined, banned or decommissioned'), (9, 'created', NULL),
		(10, 'failed', 'state: the device is registered with another value; an import only adds devices') $$,
	'test_rows_with_the_same_numbers_end_as_if_done_one_after_the_other');
SELECT is(string_agg(detail, '; ' ORDER BY line), 'manufacturer: expected 1 to 100 characters, not only blanks; manufacturer: expected 1 to 100 characters, not only blanks; firmware: expected at most 64 characters, not only blanks; '
	'iccid: expected 18 to 20 digits; imsi: expected 6 to 15 digits; tags: expected at most 32 of 1 to 64 of A-Z a-z 0-9 . _ : = -; '
	'iccid: expected it beside imsi and apn; expected a JSON object', 'test_a_wrong_value_is_told_what_was_expected')
FROM pg_temp.import('ndjson', (SELECT string_agg('{"serial":"bad-1","model":"I",' || v || '}', E'\n') FROM unnest(ARRAY[
	format('"manufacturer":"%s"', repeat('x', 101)), '"manufacturer":" \t"', format('"manufacturer":"M","firmware":"%s"', repeat('x', 65)),
	'"manufacturer":"M","iccid":"1"', '"manufacturer":"M","iccid":"8949000000000000009","imsi":"x"', '"manufacturer":"M","tags":["é"]',
	'"manufacturer":"M","apn":"net"', '"manufacturer":"\u0000"']) AS v));
SELECT results_eq($$ SELECT r.line, r.result, regexp_replace(r.detail, '^(index row) .*', '\1') FROM unnest(api.import_make((SELECT array_agg((n, jsonb_build_object('serial', s, 'manufacturer',
		'M', 'model', m), NULL, NULL)::api.import_row) FROM (VALUES (1, 'made-1', 'I'), (2, 'imp-1', 'I'), (3, 'made-3', 'I'),
		(4, 'no serial', 'I'), (5, 'made-5', repeat(md5('m'), 300) || (SELECT string_agg(md5(x::text), '') FROM generate_series(1, 300) AS x)))
		AS v (n, s, m)))) AS r $$,
	$$ VALUES (1, 'created', NULL), (2, 'failed', 'serial: belongs to another device'), (3, 'created', NULL),
		(4, 'failed', 'serial: not as it is expected'),
		(5, 'failed', 'index row') $$,
	'test_what_the_tables_alone_refuse_fails_by_itself');
SELECT is((SELECT count(*) FROM fleet.device AS d JOIN telemetry.device_state USING (device_id) JOIN fleet.history AS h USING (device_id)
	WHERE d.serial LIKE 'made-%' AND h.field = 'model' AND h.new = '"M I"'), 2::bigint, 'test_devices_made_together_have_all_that_a_device_has');

-- Pieces

SELECT api.devices_import(NULL, 'ndjson', (SELECT string_agg(format('{"serial":"many-%s","manufacturer":"M","model":"I"}', n), E'\n')
	FROM generate_series(1, 4500) AS n)) IS NOT NULL AS taken \gset
SELECT api.work() \gset
SELECT is((SELECT (state, succeeded, total)::text FROM fleet.operation WHERE state <> 'done'), '(running,2000,4500)', 'test_work_is_done_in_pieces');
SELECT api.work(), api.work() \gset
SELECT is((SELECT count(*) FROM fleet.device WHERE serial LIKE 'many-%'), 4500::bigint, 'test_the_last_piece_ends_it');
SELECT is((SELECT count(*) FROM fleet.operation WHERE state <> 'done'), 0::bigint, 'test_when_no_row_is_left_it_is_done');
-- Counts

INSERT INTO fleet.device_group (name) VALUES ('counted') RETURNING group_id AS team \gset
SELECT fleet.create_token('scoped', 'viewer'), fleet.create_token('ended', 'viewer') \gset
UPDATE fleet.token SET groups = ARRAY[:team] WHERE name = 'scoped';
UPDATE fleet.token SET groups = ARRAY[:team, :team], revoked_at = now() WHERE name = 'ended';
SELECT results_eq('SELECT * FROM fleet.stale_summaries()', ARRAY[:'team'], 'test_the_scope_of_a_new_token_is_due_before_it_asks');
SELECT api.work() \gset
SELECT is((SELECT body ->> 'total' FROM fleet.summary WHERE scope = :'team'), '0', 'test_its_counts_are_there_when_it_asks');
SELECT is_empty('SELECT * FROM fleet.stale_summaries()', 'test_counts_of_now_and_those_of_ended_tokens_are_not_due');
UPDATE fleet.summary SET taken_at = now() - interval '1 minute', took = CASE scope WHEN '*' THEN interval '7 s' ELSE '1 ms' END;
SELECT is_empty('SELECT * FROM fleet.stale_summaries()', 'test_all_scopes_together_take_a_tenth_of_the_time');
UPDATE fleet.summary SET took = interval '2 s';
SELECT isnt_empty('SELECT * FROM fleet.stale_summaries()', 'test_counts_older_than_ten_times_their_making_are_due');

SELECT throws_ok($$ SELECT api.operation_get('x') $$, 'CF404', NULL, 'test_an_unknown_operation_is_not_found');
SELECT set_config('coldfleet.scope', '1', true);
SELECT throws_ok(format('SELECT api.operation_get(%L)', operation_id), 'CF404', NULL, 'test_a_scope_does_not_see_operations_of_others')
FROM fleet.operation LIMIT 1;

SELECT * FROM finish();
ROLLBACK;
