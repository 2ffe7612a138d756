-- SPDX-License-Identifier: Apache-2.0
-- Readings in every form, buckets, state, gaps and quarantine, and that a scope hides all of them.
BEGIN;
SET search_path = pgtap, public;
SELECT plan(33);

CREATE TEMPORARY TABLE made AS SELECT name, fleet.create_token(name, 'admin') AS token FROM unnest(ARRAY['all', 'some']) AS name;
CREATE FUNCTION pg_temp.enter(who text) RETURNS void LANGUAGE sql AS
	$$ SELECT api.begin(sha256(convert_to(token, 'UTF8')), 'viewer') FROM made WHERE name = who $$;
SELECT fleet.register_device('r-' || n, 'A', 'M', '') FROM generate_series(1, 3) AS n;
CREATE TEMPORARY TABLE day AS SELECT date_trunc('day', now(), 'UTC') - interval '3 days' AS day;
SELECT telemetry.ensure_partition(day + n * interval '1 day') FROM day, generate_series(0, 3) AS n;
-- Two probes, every 10 s for 20 hours; the sensor of every hundredth sample is at fault.
INSERT INTO telemetry.reading (ts, received_at, device_id, seq, epoch, probe, temperature_c, humidity_pct, flags, door_open, extra)
SELECT day + n * interval '10 s' + n % 2 * interval '1 microsecond', now(), device_id, n, 0, p, n % 10 + p * 10,
	CASE WHEN p = 0 THEN 50 END, CASE WHEN n % 100 = 0 THEN 1 END, CASE WHEN n % 7 = 0 THEN n % 2 = 0 END,
	CASE WHEN n = 3 THEN '{"note": "a \"b\", c"}'::jsonb END
FROM day, fleet.device, generate_series(0, 7199) AS n, generate_series(0, 1) AS p WHERE serial = 'r-1';
-- Five thousand samples of one moment, which no chunk can be cut in.
INSERT INTO telemetry.reading (ts, received_at, device_id, seq, epoch, probe, temperature_c)
SELECT day, now(), device_id, n, 0, 0, 1 FROM day, fleet.device, generate_series(0, 4999) AS n WHERE serial = 'r-3';
SELECT pg_temp.enter('all');

-- Long answers

CREATE FUNCTION pg_temp.whole(serial text, format text, bucket interval, OUT body text, OUT chunks int) LANGUAGE plpgsql AS $$
DECLARE
	key text;
	piece record;
BEGIN
	body := '';
	chunks := 0;
	LOOP
		SELECT * INTO piece FROM api.readings_chunk(serial, NULL, NULL, NULL, NULL, bucket, format, key);
		body := body || piece.body;
		chunks := chunks + 1;
		key := piece.next;
		EXIT WHEN key IS NULL OR chunks > 100;
	END LOOP;
END
$$;
CREATE TEMPORARY TABLE csv AS SELECT * FROM pg_temp.whole('r-1', 'csv', NULL);
CREATE TEMPORARY TABLE line AS SELECT row_number() OVER () AS n, line FROM csv, regexp_split_to_table(rtrim(body, E'\n'), '\n') AS line;
SELECT cmp_ok(chunks, '>=', 3, 'test_a_long_answer_comes_in_chunks') FROM csv;
SELECT is((SELECT count(*) FROM line), 14401::bigint, 'test_csv_has_each_reading_once_and_one_head');
SELECT ok(bool_and(cardinality(string_to_array(line, ',')) = 20), 'test_every_line_of_csv_has_all_columns') FROM line
	WHERE line NOT LIKE '%note%';
SELECT is((SELECT array_agg(concat(split_part(line, ',', 5), ' ', split_part(line, ',', 3)) ORDER BY n) FROM line WHERE n > 1),
	(SELECT array_agg(concat(seq, ' ', probe) ORDER BY ts, probe, epoch, seq) FROM telemetry.reading JOIN fleet.device USING (device_id)
	 WHERE serial = 'r-1'), 'test_csv_is_in_the_order_of_time');
SELECT is(line, concat(to_char(day AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS'), 'Z,', trim(api.json_time(now()), '"'),
	',0,0,0,0,50,,,,,,,,,true,,,sensor_fault,'), 'test_csv_tells_what_was_measured_and_leaves_the_rest_empty') FROM line, day WHERE n = 2;
SELECT ok(line LIKE '%,"{""note"": ""a \\""b\\"", c""}"', 'test_csv_quotes_what_has_commas_and_quotes') FROM line
	WHERE line LIKE '%note%' LIMIT 1;
SELECT is((SELECT jsonb_agg(l::jsonb - 'received_at') FROM pg_temp.whole('r-1', 'ndjson', NULL), regexp_split_to_table(rtrim(body, E'\n'), '\n') WITH ORDINALITY AS u (l, n) WHERE n <= 1000),
	(SELECT jsonb_agg(i - 'received_at') FROM jsonb_array_elements(api.readings_page('r-1', NULL, NULL, 1000, NULL, NULL)::jsonb -> 'items') AS i),
	'test_ndjson_is_what_pages_are');
SELECT is((SELECT chunks FROM pg_temp.whole('r-2', 'csv', NULL)), 1, 'test_a_device_without_readings_is_one_chunk');
SELECT is((SELECT body FROM pg_temp.whole('r-2', 'ndjson', NULL)), '', 'test_no_reading_is_no_line');
SELECT is((SELECT cardinality(regexp_split_to_array(body, '\n')) FROM pg_temp.whole('r-3', 'csv', NULL)), 5002,
	'test_a_moment_with_more_readings_than_a_chunk_is_not_lost');
SELECT throws_ok($$ SELECT api.readings_chunk('r-1', NULL, NULL, 10, NULL, NULL, 'csv', NULL) $$, 'CF422', NULL,
	'test_a_long_answer_has_no_pages');
SELECT throws_ok($$ SELECT api.readings_chunk('r-9', NULL, NULL, NULL, NULL, NULL, 'csv', NULL) $$, 'CF404', NULL,
	'test_readings_of_an_unknown_device_are_not_found');

-- Buckets

SELECT is(api.readings_page('r-1', NULL, NULL, NULL, NULL, '1 day')::jsonb -> 'items' -> 0 -> 'temperature_c',
	(SELECT jsonb_build_object('count', count(*), 'min', min(temperature_c), 'max', max(temperature_c), 'mean', trim_scale(round(avg(temperature_c)::numeric, 3)))
	 FROM telemetry.reading JOIN fleet.device USING (device_id) WHERE serial = 'r-1' AND probe = 0 AND flags IS NULL),
	'test_a_bucket_sums_up_a_probe_without_faulty_samples');
SELECT is(api.readings_page('r-1', NULL, NULL, NULL, NULL, '1 day')::jsonb #> '{items,0,count}', '7200',
	'test_a_bucket_counts_faulty_samples_too');
SELECT is(api.readings_page('r-1', NULL, NULL, NULL, NULL, '1 day')::jsonb #> '{items,1,humidity_pct}', NULL,
	'test_a_channel_that_a_probe_lacks_is_left_out');
CREATE FUNCTION pg_temp.walk(size int) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	page jsonb;
	seen jsonb := '[]';
BEGIN
	LOOP
		page := api.readings_page('r-1', NULL, NULL, size, page ->> 'next', '5 minutes')::jsonb;
		seen := seen || (page -> 'items');
		EXIT WHEN page ->> 'next' IS NULL;
	END LOOP;
	RETURN seen;
END
$$;
SELECT is(jsonb_array_length(pg_temp.walk(size)), 480, 'test_pages_of_' || size || '_show_each_bucket_once') FROM unnest(ARRAY[7, 1000]) AS size;
SELECT is(pg_temp.walk(7), pg_temp.walk(1000), 'test_a_bucket_is_the_same_on_pages_of_any_size');
SELECT is((SELECT count(*) FROM pg_temp.whole('r-1', 'csv', '5 minutes'), regexp_split_to_table(rtrim(body, E'\n'), '\n')), 481::bigint,
	'test_buckets_as_csv_are_as_many');
SELECT is((SELECT sum((i ->> 'count')::int) FROM day, jsonb_array_elements(api.readings_page('r-1', day + interval '90 s', day + interval '400 s', NULL, NULL, '5 minutes')::jsonb -> 'items') AS i),
	62::bigint, 'test_buckets_at_the_ends_have_what_is_within_from_and_to');
SELECT throws_ok($$ SELECT api.readings_page('r-1', NULL, NULL, 7, api.readings_page('r-1', NULL, NULL, 7, NULL, '5 minutes')::json ->> 'next', '1 hour') $$,
	'CF400', NULL, 'test_a_cursor_fits_one_width_of_buckets');

-- State, gaps, quarantine

SELECT is(body::jsonb #> '{latest,epoch}', '0', 'test_the_state_of_a_device_is_told') FROM api.device_state('r-1');
INSERT INTO telemetry.gap (device_id, epoch, seq_from, seq_to, missing, lost, first_seen, closed_at)
SELECT device_id, 0, n * 10, n * 10 + 4, CASE WHEN n = 3 THEN '{}' ELSE int4multirange(int4range(n * 10, n * 10 + 2), int4range(n * 10 + 4, n * 10 + 5)) END,
	'{}', now(), CASE WHEN n = 3 THEN now() END FROM fleet.device, generate_series(1, 3) AS n WHERE serial = 'r-1';
SELECT is(api.device_gaps('r-1', 10, NULL, 'open')::jsonb #> '{items,0,missing}', '{"count": 3, "ranges": [[10, 11], [14, 14]]}',
	'test_missing_numbers_are_told_as_ranges');
SELECT is((SELECT array_agg(jsonb_array_length(api.device_gaps('r-1', 10, NULL, state)::jsonb -> 'items')) FROM unnest(ARRAY['open', 'closed', 'all']) AS state),
	'{2,1,3}', 'test_gaps_are_open_closed_or_all');
SELECT is(api.device_gaps('r-1', 1, api.device_gaps('r-1', 1, NULL, 'all')::json ->> 'next', 'all')::jsonb #> '{items,0,seq_from}', '20',
	'test_gaps_go_on_by_cursor');
UPDATE telemetry.device_state SET gaps = 4, seq_high = 40 WHERE device_id = (SELECT device_id FROM fleet.device WHERE serial = 'r-1');
SELECT is(body::jsonb #> '{latest,complete_through}', '9', 'test_up_to_where_a_device_is_complete_ends_before_the_first_open_gap') FROM api.device_state('r-1');
SELECT ok(telemetry.complete_through(s) = 9 AND has_function_privilege('coldfleet_analyst', 'telemetry.complete_through(telemetry.device_state)', 'EXECUTE')
	AND has_function_privilege('coldfleet_analyst', 'telemetry.first_missing(int, smallint)', 'EXECUTE'), 'test_an_analyst_may_ask_it_too')
FROM telemetry.device_state AS s JOIN fleet.device USING (device_id) WHERE serial = 'r-1';
SELECT telemetry.quarantine_store(ARRAY[(SELECT device_id FROM fleet.device WHERE serial = 'r-1'), NULL], ARRAY['t/r-1', 't/who'],
	ARRAY['\x0001ff'::bytea, '\x'], NULL, ARRAY[now(), now()], ARRAY['syntax', 'unknown-device'], ARRAY['pgtap', 'pgtap']);
SELECT is((SELECT jsonb_agg(q -> 'topic' ORDER BY q -> 'topic') FROM jsonb_array_elements(api.quarantine(1000, NULL, NULL, NULL)::jsonb -> 'items') AS q
	WHERE q ->> 'detail' = 'pgtap'), '["t/r-1", "t/who"]', 'test_quarantine_lists_messages_of_known_and_unknown_devices');
SELECT is(api.quarantined(id)::jsonb ->> 'payload_base64', 'AAH/', 'test_a_message_is_told_byte_for_byte')
	FROM telemetry.quarantine WHERE topic = 't/r-1' AND detail = 'pgtap';

-- Scope

CREATE FUNCTION pg_temp.state(call text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE 'SELECT ' || call;
	RETURN '00000';
EXCEPTION WHEN OTHERS THEN
	RETURN sqlstate;
END
$$;
INSERT INTO fleet.device_group (name) VALUES ('pgtap') RETURNING group_id \gset
INSERT INTO fleet.group_member (device_id, group_id) SELECT device_id, :group_id FROM fleet.device WHERE serial = 'r-2';
UPDATE fleet.token SET groups = ARRAY[:group_id] WHERE name = 'some';
SELECT pg_temp.enter('some');
SELECT is((SELECT array_agg(pg_temp.state(call) ORDER BY n) FROM unnest(ARRAY[
		$$ api.readings_page('r-1', NULL, NULL, NULL, NULL, NULL) $$, $$ api.readings_page('r-1', NULL, NULL, NULL, NULL, '1 hour') $$,
		$$ api.readings_chunk('r-1', NULL, NULL, NULL, NULL, NULL, 'csv', NULL) $$, $$ api.device_state('r-1') $$,
		$$ api.device_gaps('r-1', 1, NULL, 'all') $$, $$ api.quarantine(1, NULL, NULL, 'r-1') $$]) WITH ORDINALITY AS u (call, n)),
	array_fill('CF404'::text, ARRAY[6]), 'test_of_a_device_beyond_the_scope_nothing_is_told');
SELECT is((SELECT count(*) FROM jsonb_array_elements(api.quarantine(1000, NULL, NULL, NULL)::jsonb -> 'items')), 0::bigint,
	'test_a_scope_sees_no_messages_of_others_or_of_nobody');
SELECT is((SELECT (api.readings_page('r-2', NULL, NULL, NULL, NULL, NULL))), '{"items":[],"next":null}', 'test_a_device_in_the_scope_is_told');
SET LOCAL ROLE coldfleet_api_definer;
SELECT count(*) AS seen FROM telemetry.reading \gset
RESET ROLE;
SELECT is(:seen, 0, 'test_readings_of_others_are_not_even_there');

SELECT finish();
ROLLBACK;
