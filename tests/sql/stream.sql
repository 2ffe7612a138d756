-- SPDX-License-Identifier: Apache-2.0
-- Events, who sees them, and what the feed of a coldfleet-api is told. That a late commit is neither skipped nor told
-- twice is tried with real processes (test_stream.py): it takes transactions that overlap.
BEGIN;
SET search_path = pgtap, public;
SELECT plan(35);

SELECT fleet.register_device('stream-a', 'test', 'test', '') AS a \gset
SELECT fleet.register_device('stream-b', 'test', 'test', '') AS b \gset
INSERT INTO fleet.device_group (name) VALUES ('stream a') RETURNING group_id AS team \gset
INSERT INTO fleet.device_group (name, filter) VALUES ('stream banned', '{"state": "banned"}');
INSERT INTO fleet.group_member (group_id, device_id) VALUES (:team, :a);

CREATE FUNCTION pg_temp.told(device int) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(type || ' ' || body::text, '; ' ORDER BY event_id) FROM fleet.event WHERE device_id = device
$$;

-- What becomes an event

SELECT is(pg_temp.told(:a), 'device.lifecycle {"was": null, "actor": "postgres", "state": "active", "reason": null}',
	'test_a_registered_device_is_an_event');
SELECT set_config('coldfleet.actor', 'ops', true), set_config('coldfleet.reason', 'stolen', true) \g /dev/null
UPDATE fleet.device SET state = 'banned' WHERE device_id = :b;
UPDATE fleet.device SET hardware_revision = 'C' WHERE device_id = :a;
SELECT set_config('coldfleet.actor', '', true), set_config('coldfleet.reason', '', true) \g /dev/null
SELECT is((SELECT body::text FROM fleet.event WHERE device_id = :b ORDER BY event_id DESC LIMIT 1),
	'{"was": "active", "actor": "ops", "state": "banned", "reason": "stolen"}', 'test_another_state_is_an_event_with_who_and_why');
SELECT is((SELECT count(*)::int FROM fleet.event WHERE device_id = :a), 1, 'test_an_edit_without_another_state_is_none');
INSERT INTO fleet.config (device_id, version, body, actor) VALUES (:a, 1, '{"interval": 60}', 'ops');
SELECT is((SELECT body::text FROM fleet.event WHERE device_id = :a AND type = 'config'),
	'{"actor": "ops", "reason": null, "version": 1}', 'test_a_configuration_is_an_event_without_its_values');
SELECT throws_ok(format('SELECT fleet.announce(%L, %s, %L)', 'nonsense', :a, '{}'), '22023', NULL, 'test_a_type_that_nobody_knows_is_refused');
SELECT throws_ok(format('SELECT fleet.announce(%L, %s, %L)', 'config', :a, '[]'), '23514', NULL, 'test_a_body_that_is_no_object_is_refused');
SELECT is((SELECT array_agg(DISTINCT xid = pg_current_xact_id()) FROM fleet.event WHERE device_id IN (:a, :b)), '{t}',
	'test_an_event_has_the_number_of_its_transaction');

-- Who may write and read them

SELECT is_empty($$ SELECT r, t FROM unnest(ARRAY['coldfleet_ingest', 'coldfleet_bridge', 'coldfleet_signer', 'coldfleet_notify', 'coldfleet_api', 'coldfleet_analyst']) AS r,
	unnest(ARRAY['fleet.event', 'fleet.event_type', 'fleet.event_log']) AS t
	WHERE has_table_privilege(r, t, 'INSERT, UPDATE, DELETE, TRUNCATE') $$, 'test_no_runtime_role_writes_events');
SELECT is_empty($$ SELECT r FROM unnest(ARRAY['coldfleet_ingest', 'coldfleet_bridge', 'coldfleet_signer', 'coldfleet_notify', 'coldfleet_api', 'coldfleet_analyst']) AS r
	WHERE has_function_privilege(r, 'fleet.announce(text, int, jsonb)', 'EXECUTE')
		OR has_function_privilege(r, 'fleet.events_after(xid8, bigint, int)', 'EXECUTE') $$,
	'test_no_runtime_role_announces_or_reads_events_past_the_policies');

-- Nothing of a transaction that still runs

SELECT is((SELECT count(*)::int FROM api.feed_events('0', 0, 1000, '{*}', '{""}', '{""}') WHERE data LIKE '%"stream-%'), 0,
	'test_events_of_a_transaction_that_runs_are_not_told');
SELECT is((SELECT xid::xid8 <= pg_current_xact_id() AND id = 0 FROM api.feed_events('0', 0, 1000, '{*}', '{""}', '{""}') WHERE type IS NULL), true,
	'test_and_the_place_is_not_beyond_it');

-- As if they were of another transaction, long over
UPDATE fleet.event SET xid = '5' WHERE device_id IN (:a, :b);
SELECT fleet.announce('config', NULL, '{"fleet": true}');
UPDATE fleet.event SET xid = '5' WHERE device_id IS NULL;
DELETE FROM fleet.event WHERE xid <> '5';

CREATE FUNCTION pg_temp.events(scope text, serial text, team text) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(coalesce(data::json ->> 'device', '-') || ' ' || type, ', ' ORDER BY id)
	FROM api.feed_events('5', 0, 1000, ARRAY[scope], ARRAY[serial], ARRAY[team]) WHERE type IS NOT NULL
$$;
SELECT is(pg_temp.events('*', '', ''),
	'stream-a device.lifecycle, stream-b device.lifecycle, stream-b device.lifecycle, stream-a config, - config', 'test_all_see_all_in_order');
SELECT is(pg_temp.events(:'team', '', ''), 'stream-a device.lifecycle, stream-a config', 'test_a_scope_sees_its_devices_and_no_event_without_one');
SELECT is(pg_temp.events('999999', '', ''), NULL, 'test_a_scope_of_a_group_that_is_not_there_sees_nothing');
SELECT is(pg_temp.events('', '', ''), NULL, 'test_no_scope_sees_nothing');
SELECT is(pg_temp.events('*', 'stream-b', ''), 'stream-b device.lifecycle, stream-b device.lifecycle', 'test_a_device_is_singled_out');
SELECT is(pg_temp.events(:'team', 'stream-b', ''), NULL, 'test_naming_a_device_beyond_the_scope_shows_nothing');
SELECT is(pg_temp.events('*', '', 'stream a'), 'stream-a device.lifecycle, stream-a config', 'test_a_static_group_is_singled_out');
SELECT is(pg_temp.events('*', '', 'stream banned'), 'stream-b device.lifecycle, stream-b device.lifecycle',
	'test_a_dynamic_group_is_who_meets_its_filter_now');
SELECT is(pg_temp.events('*', 'stream-b', 'stream a'), NULL, 'test_device_and_group_both_count');
SELECT is(pg_temp.events('*', '', 'no such group'), NULL, 'test_a_group_that_went_shows_nothing_and_breaks_nothing');
SELECT is((SELECT array_agg(views::text ORDER BY id) FROM api.feed_events('5', 0, 1000, ARRAY['*', :'team', :'team'], '{"","",stream-b}', '{"","",""}')
		WHERE type IS NOT NULL), '{"{1,2}","{1}","{1}","{1,2}","{1}"}', 'test_each_view_gets_its_own_and_an_event_comes_once');
SELECT is((SELECT array_agg(type) || max(id)::text FROM api.feed_events('5', 0, 2, '{*}', '{""}', '{""}')),
	(SELECT ARRAY['device.lifecycle', 'device.lifecycle', NULL] || max(id)::text FROM api.feed_events('5', 0, 2, '{*}', '{""}', '{""}') WHERE type IS NOT NULL),
	'test_a_full_piece_says_to_go_on_after_its_last_event');

-- States

UPDATE telemetry.device_state SET temperature_c = 4.5 WHERE device_id = :a;
CREATE FUNCTION pg_temp.states(rows api.stream_piece[]) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg((data::json ->> 'device') || coalesce(' ' || (data::json #>> '{body,temperature_c}'), ''), ', ' ORDER BY id)
	FROM unnest(rows) WHERE type = 'device.state' AND data LIKE '%"stream-%'
$$;
CREATE FUNCTION pg_temp.swept(seen text, most int, scope text, team text) RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.states(array_agg(f)) FROM api.feed_sweep(seen, 0, 100000, most, ARRAY[scope], ARRAY[team]) AS f
$$;
SELECT is(pg_temp.swept('3:3:', 1000, '*', ''), 'stream-a 4.5, stream-b', 'test_states_that_were_not_seen_are_told');
SELECT is(pg_temp.swept(format('%s:%s:', pg_current_xact_id()::text::bigint + 1, pg_current_xact_id()::text::bigint + 1), 1000, '*', ''), NULL,
	'test_states_that_were_seen_are_not');
SELECT is(pg_temp.swept(format('%s:%s:%1$s', pg_current_xact_id(), pg_current_xact_id()::text::bigint + 1), 1000, '*', ''), 'stream-a 4.5, stream-b',
	'test_what_was_in_progress_then_was_not_seen');
SELECT is(pg_temp.swept('3:3:', 1000, :'team', ''), 'stream-a 4.5', 'test_states_are_those_of_the_scope');
SELECT is(pg_temp.swept('3:3:', 1000, '*', 'stream a'), 'stream-a 4.5', 'test_states_are_those_of_a_static_group');
SELECT is(pg_temp.swept('3:3:', 1000, '*', 'stream banned'), 'stream-b', 'test_states_are_those_of_a_dynamic_group');
SELECT is(pg_temp.swept('3:3:', 1000, :'team', 'stream banned'), NULL, 'test_a_group_beyond_the_scope_shows_nothing');
SELECT is((SELECT array_agg(id) FROM api.feed_sweep('3:3:', :a - 1, 100000, 1, '{*}', '{""}')), ARRAY[:a, :a]::bigint[],
	'test_a_full_piece_of_states_says_to_go_on_after_its_last_device');
SELECT is((SELECT array_agg(id) FROM api.feed_sweep('3:3:', :b, 100000, 1000, '{*}', '{""}')), ARRAY[NULL]::bigint[],
	'test_the_last_piece_says_that_it_is_the_last');
SELECT is((SELECT pg_temp.states(array_agg(f)) FROM api.feed_watched('{3:3:,3:3:}', ARRAY['*', :'team'], '{stream-a,stream-b}', '{"",""}') AS f),
	'stream-a 4.5', 'test_named_devices_are_told_to_those_in_whose_scope_they_are');

-- What is old

UPDATE fleet.event SET at = now() - interval '25 hours' WHERE device_id = :b;
UPDATE fleet.event SET at = now() - interval '25 hours' WHERE device_id = :a AND type = 'device.lifecycle';
SELECT set_config('coldfleet.scope', '*', true) \g /dev/null
SELECT is((SELECT fleet.forget_events(1000)::text || fleet.forget_events(1000)::text || pg_temp.told(:a)),
	'truefalseconfig {"actor": "ops", "reason": null, "version": 1}', 'test_events_are_forgotten_after_a_day');
SELECT is((SELECT o.reset LIKE '%events are kept for%' AND (o.xid, o.id) = ('5', l.gone_id) FROM api.stream_open(NULL, NULL, NULL, '5-0-5') AS o, fleet.event_log AS l),
	true, 'test_who_was_away_for_longer_is_told_so_and_goes_on_with_the_oldest');

SELECT * FROM finish();
ROLLBACK;
