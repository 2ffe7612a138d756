-- SPDX-License-Identifier: Apache-2.0
-- The audit trail in the database: every change is in the chain with its old value, who, when and why; the chain holds; and nobody
-- can change it or leave it out.
BEGIN;
SET search_path = pgtap, public;
SELECT plan(47);
SET LOCAL TimeZone = 'Asia/Tokyo';
SET LOCAL bytea_output = 'escape';

-- Tables that are not watched, and why.
CREATE TEMP TABLE excepted (target regclass, why text);
INSERT INTO excepted VALUES
	('telemetry.measurement', 'evidence: no runtime role may change it, tested in privileges.sql'),
	('telemetry.device_state', 'computed from readings'),
	('telemetry.epoch', 'computed from readings'),
	('telemetry.gap', 'computed from readings'),
	('telemetry.quarantine', 'evidence: no runtime role may change it; a replay is watched'),
	('telemetry.device_status', 'what devices say; what it changes in device and module is watched'),
	('fleet.config_report', 'what devices say'),
	('fleet.device_tag', 'follows fleet.device.tags, which is watched'),
	('fleet.history', 'is itself a history, and unchangeable'),
	('fleet.operation_row', 'rows as they were sent; what they make is watched'),
	('fleet.summary', 'counts'),
	('fleet.listing', 'follows devices and what they say'),
	('fleet.fence', 'sampled from the listing'),
	('fleet.sweep_state', 'how far a background sweep is'),
	('fleet.event', 'tells what happened elsewhere, and unchangeable'),
	('fleet.refused_login', 'recorded by audit.login_refused(), first ones and counts'),
	('api.idempotency_key', 'answers kept for repetitions, a day long'),
	('audit.entry', 'the trail itself'),
	('audit.head', 'the trail itself'),
	('audit.checkpoint', 'signed statements about the trail'),
	('audit.pending', 'the trail itself'),
	('audit.refusal', 'counts on their way into the trail'),
	('coldchain.alarm', 'computed from readings; who acknowledged is recorded by coldchain.alarm_acknowledge()'),
	('coldchain.notice', 'copies of alarms on their way out'),
	('coldchain.watch_state', 'how far a background sweep is'),
	('coldchain.watched', 'how far a background sweep is'),
	('coldchain.condition', 'computed from readings'),
	('coldchain.push_state', 'how far a background sweep is'),
	('coldchain.push_due', 'what is yet to be sent'),
	('coldchain.delivery', 'what became of notices; a replay is recorded by coldchain.delivery_replay()'),
	('command.request', 'recorded by the functions that make and decide requests'),
	('command.target', 'frozen with its request'),
	('command.approval', 'recorded by the functions that decide, and unchangeable'),
	('command.command', 'recorded by the functions that act on it; every change of state is in command.history'),
	('command.device', 'counters and locks of queues'),
	('command.message', 'signed bytes, and unchangeable'),
	('command.history', 'is itself a history, and unchangeable'),
	('command.idle_reply', 'counts of what devices say'),
	('command.reply', 'what devices say, and unchangeable'),
	('coldchain.assignment_version', 'is itself a history, and unchangeable'),
	('coldchain.excursion', 'computed from readings, assignments and profiles'),
	('coldchain.excursion_revision', 'is itself a history, and unchangeable'),
	('coldchain.exposure', 'computed from excursions'),
	('coldchain.due', 'what is yet to be computed'),
	('coldchain.cce_report', 'readings of others, kept as they came, and unchangeable'),
	('coldchain.cce_record', 'readings of others, kept as they came, and unchangeable'),
	('coldchain.logger_limit', 'part of a file, which is watched'),
	('coldchain.logger_verdict', 'part of a file, which is watched'),
	('coldchain.logger_span', 'part of a file, which is watched'),
	('analytics.hour', 'computed from readings'),
	('analytics.day', 'computed from readings'),
	('analytics.due', 'what is to be computed');
SELECT is_empty($$
	SELECT c.oid::regclass FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
	WHERE n.nspowner = 'coldfleet_owner'::regrole AND c.relkind IN ('r', 'p') AND NOT c.relispartition
		AND c.oid NOT IN (SELECT target FROM excepted)
		AND (SELECT count(*) FROM pg_trigger AS t WHERE t.tgrelid = c.oid AND t.tgfoid = 'audit.watched()'::regprocedure
		     AND t.tgenabled = 'O') <> 4
$$, 'test_every_table_is_watched_or_has_a_reason_why_not');
SELECT is_empty($$
	SELECT e.target FROM excepted AS e JOIN pg_trigger AS t ON t.tgrelid = e.target WHERE t.tgfoid = 'audit.watched()'::regprocedure
$$, 'test_no_excepted_table_is_watched');

-- What a commit would chain, now.
CREATE FUNCTION pg_temp.taken() RETURNS SETOF jsonb LANGUAGE plpgsql AS $$
DECLARE
	before CONSTANT bigint := (SELECT number FROM audit.head());
BEGIN
	SET CONSTRAINTS audit.chain IMMEDIATE;
	SET CONSTRAINTS audit.chain DEFERRED;
	RETURN QUERY SELECT convert_from(e.canonical, 'UTF8')::jsonb FROM audit.entry AS e WHERE e.number > before ORDER BY e.number;
END
$$;
CREATE TEMP TABLE was AS SELECT * FROM audit.head();
SELECT set_config('coldfleet.actor', 'anna', true), set_config('coldfleet.reason', E'line\nbreak "x"', true),
	set_config('coldfleet.request_id', 'r-1', true);

SELECT fleet.register_device('audit-1', 'audit', 'audit', 'A', '490154203237518', '894450000000000001') AS device \gset
SELECT results_eq('SELECT number FROM audit.head()', 'SELECT number FROM was', 'test_the_head_is_not_taken_before_the_commit');
SELECT set_config('coldfleet.actor', 'somebody else', true);
CREATE TEMP TABLE made AS SELECT e FROM pg_temp.taken() AS e;
SELECT set_config('coldfleet.actor', 'anna', true);
SELECT results_eq($$ SELECT concat_ws(' ', e ->> 'action', e ->> 'kind', e ->> 'id', e ->> 'device') FROM made ORDER BY (e ->> 'number')::bigint $$,
	ARRAY['created model ' || (SELECT model_id FROM fleet.model WHERE name = 'audit'), 'created device audit-1 audit-1',
	'created module 490154203237518 audit-1', 'created sim 894450000000000001 audit-1'],
	'test_a_new_device_is_an_entry_for_each_thing_that_came');
SELECT is(count(*), 4::bigint, 'test_an_entry_says_who_why_and_in_which_request_as_it_was_at_the_change')
	FROM made WHERE e @> '{"actor": "anna", "reason": "line\nbreak \"x\"", "request_id": "r-1", "old": null}'
	AND e ->> 'role' = session_user;
SELECT is(e #>> '{new,state}', 'active', 'test_an_entry_has_the_new_values') FROM made WHERE e ->> 'kind' = 'device';
SELECT ok(e #>> '{new,created_at}' LIKE '%+00:00', 'test_times_in_an_entry_are_utc_whatever_the_session_prefers') FROM made
	WHERE e ->> 'kind' = 'device';
SELECT matches(e ->> 'at', '^[0-9-]{10}T[0-9:]{8}\.[0-9]{6}Z$', 'test_an_entry_is_dated_in_utc_to_the_microsecond') FROM made LIMIT 1;
SELECT is_empty('SELECT FROM audit.pending', 'test_nothing_is_left_behind');

UPDATE fleet.device SET state = 'quarantined', tags = '{cold}' WHERE device_id = :device;
SELECT results_eq($$ SELECT concat_ws(' ', e ->> 'action', e -> 'old', e -> 'new') FROM pg_temp.taken() AS e $$,
	ARRAY['changed {"tags": [], "state": "active"} {"tags": ["cold"], "state": "quarantined"}'],
	'test_a_change_has_the_values_that_changed_before_and_since');
UPDATE fleet.device SET state = 'quarantined', revision = DEFAULT WHERE device_id = :device;
SELECT is_empty('SELECT pg_temp.taken()', 'test_an_update_that_changes_nothing_that_counts_is_no_change');
UPDATE fleet.device SET state = 'active' WHERE serial = 'nobody';
SELECT is_empty('SELECT pg_temp.taken()', 'test_an_update_of_no_row_is_no_change');
DELETE FROM fleet.module WHERE device_id = :device;
SELECT results_eq($$ SELECT concat_ws(' ', e ->> 'action', e #>> '{old,imei}', e -> 'new') FROM pg_temp.taken() AS e $$,
	ARRAY['removed 490154203237518 null'], 'test_what_goes_is_kept_in_its_entry');
INSERT INTO fleet.device_group (name) VALUES ('audit a'), ('audit b');
SELECT is(count(*), 2::bigint, 'test_a_statement_of_two_rows_is_two_entries') FROM pg_temp.taken();
SELECT group_id AS a FROM fleet.device_group WHERE name = 'audit a' \gset
SELECT group_id AS b FROM fleet.device_group WHERE name = 'audit b' \gset
INSERT INTO fleet.group_member (device_id, group_id) VALUES (:device, :a);
SELECT is(e ->> 'id', concat_ws('/', :a, :device), 'test_a_member_is_named_by_group_and_device') FROM pg_temp.taken() AS e;
UPDATE fleet.group_member SET group_id = :b WHERE device_id = :device;
SELECT bag_eq($$ SELECT concat_ws(' ', e ->> 'action', e ->> 'id') FROM pg_temp.taken() AS e $$,
	ARRAY[concat('removed ', :a, '/', :device), concat('created ', :b, '/', :device)],
	'test_a_changed_key_is_one_that_went_and_one_that_came');
DELETE FROM fleet.device_group WHERE group_id = :b;
SELECT bag_eq($$ SELECT concat_ws(' ', e ->> 'action', e ->> 'kind') FROM pg_temp.taken() AS e $$, ARRAY['removed group', 'removed member'],
	'test_what_goes_with_something_else_is_recorded_too');
SELECT fleet.create_token('audit', 'viewer') AS secret \gset
UPDATE fleet.token SET groups = ARRAY[:a], last_used_at = now() WHERE name = 'audit';
CREATE TEMP TABLE token AS SELECT e FROM pg_temp.taken() AS e;
SELECT results_eq($$ SELECT concat_ws(' ', e ->> 'action', e #>> '{new,role}', e #> '{new,groups}') FROM token $$,
	ARRAY['created viewer', format('changed [%s]', :a)], 'test_a_tokens_role_and_scope_are_recorded');
SELECT is_empty(format($$ SELECT e FROM token WHERE e::text ~ 'sha256|last_used' OR e::text LIKE '%%' || %L || '%%' $$, :'secret'),
	'test_a_token_is_recorded_without_what_it_could_be_guessed_from');
UPDATE fleet.token SET last_used_at = now() + interval '1 hour' WHERE name = 'audit';
SELECT is_empty('SELECT pg_temp.taken()', 'test_the_use_of_a_token_is_no_change');
UPDATE telemetry.setting SET retention_days = 2000;
SELECT is(e -> 'new', '{"retention_days": 2000}', 'test_a_setting_is_recorded') FROM pg_temp.taken() AS e;
TRUNCATE telemetry.setting;
SELECT is(concat_ws(' ', e ->> 'action', e ->> 'kind', e ->> 'id'), 'emptied telemetry_setting *', 'test_a_truncated_table_is_recorded')
	FROM pg_temp.taken() AS e;
SAVEPOINT undone;
UPDATE fleet.device SET state = 'banned' WHERE device_id = :device;
ROLLBACK TO undone;
SELECT is_empty('SELECT pg_temp.taken()', 'test_what_was_undone_is_not_recorded');

-- Recording by hand

SELECT set_config('coldfleet.reason', '', true), set_config('coldfleet.request_id', '', true), set_config('coldfleet.actor', '', true);
SELECT audit.record('approved', 'test', '1', :device, NULL, '{"a": 1.10}');
SELECT is(e - 'number' - 'at', jsonb_build_object('role', session_user, 'actor', session_user, 'action', 'approved', 'kind', 'test',
	'id', '1', 'device', 'audit-1', 'old', NULL, 'new', '{"a": 1.10}'::jsonb, 'reason', NULL, 'request_id', NULL),
	'test_an_action_is_recorded_with_its_device_and_the_role_where_nobody_is_named') FROM pg_temp.taken() AS e;
SELECT results_eq($$ SELECT json_object_keys(convert_from(canonical, 'UTF8')::json) FROM audit.entry WHERE number = (SELECT number FROM audit.head()) $$,
	'{number,at,role,actor,action,kind,id,device,old,new,reason,request_id}'::text[], 'test_fields_are_in_their_order');
SELECT audit.record_all('[{"action": "sent", "kind": "test", "id": "2", "reason": "own"}, {"action": "sent", "kind": "test", "id": "1", "old": {}}]');
SELECT results_eq($$ SELECT concat_ws(' ', e ->> 'id', e -> 'old', e ->> 'reason') FROM pg_temp.taken() AS e $$, ARRAY['2 null own', '1 {}'],
	'test_many_are_recorded_in_their_order');
SELECT audit.record_all('[]');
SELECT is_empty('SELECT pg_temp.taken()', 'test_no_entry_is_no_entry');

-- The chain

SELECT is_empty($$ SELECT number FROM (SELECT *, lag(hash, 1, (SELECT hash FROM was)) OVER w AS before, lag(number, 1, (SELECT number FROM was)) OVER w AS last,
		lag(at, 1, at) OVER w AS earlier FROM audit.entry WHERE number > (SELECT number FROM was) WINDOW w AS (ORDER BY number)) AS e
	WHERE previous_hash <> before OR hash <> sha256('\x00'::bytea || before || canonical) OR number <> last + 1 OR at < earlier $$,
	'test_every_entry_is_hashed_onto_the_one_before');
SELECT results_eq('SELECT number, hash, at FROM audit.head()', 'SELECT number, hash, at FROM audit.entry ORDER BY number DESC LIMIT 1',
	'test_the_head_is_the_last_entry');
SELECT is_empty($$ SELECT number FROM audit.entry WHERE position('\x0a'::bytea IN canonical) > 0 $$, 'test_an_entry_is_one_line');
SELECT is_empty($$ SELECT number FROM audit.entry AS e, LATERAL (SELECT convert_from(canonical, 'UTF8')::jsonb AS c) AS j
	WHERE (c ->> 'number')::bigint <> number OR c ->> 'actor' <> actor OR c ->> 'action' <> action OR c ->> 'kind' <> kind OR c ->> 'id' <> id
		OR (c ->> 'at')::timestamptz <> at
		OR c ->> 'device' IS DISTINCT FROM (SELECT serial FROM fleet.device AS d WHERE d.device_id = e.device_id) $$,
	'test_what_finds_an_entry_is_what_it_says');

-- Who cannot touch it

CREATE FUNCTION pg_temp.try_as(role text, statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('SET LOCAL ROLE %I', role);
	SET LOCAL transaction_read_only = off;
	EXECUTE statement;
	RAISE EXCEPTION 'undo' USING ERRCODE = 'ZZ000';
EXCEPTION WHEN OTHERS THEN
	RETURN sqlstate;
END
$$;
SELECT is_empty($$
	SELECT role, target, privilege FROM unnest(ARRAY['coldfleet_ingest', 'coldfleet_bridge', 'coldfleet_signer', 'coldfleet_notify', 'coldfleet_api',
			'coldfleet_analyst', 'coldfleet_api_definer']) AS role
	CROSS JOIN (SELECT oid::regclass FROM pg_class WHERE relnamespace = 'audit'::regnamespace AND relkind = 'r') AS t (target)
	CROSS JOIN unnest(ARRAY['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER', 'REFERENCES']) AS privilege
	WHERE has_table_privilege(role, target, privilege)
$$, 'test_no_runtime_role_can_write_the_trail');
SELECT is(pg_temp.try_as(role, 'DELETE FROM audit.entry'), '42501', 'test_' || role || '_cannot_delete_entries')
	FROM unnest(ARRAY['coldfleet_api', 'coldfleet_api_definer', 'coldfleet_signer']) AS role;
SELECT is(pg_temp.try_as('coldfleet_owner', statement || ' audit.' || target), '23000', 'test_the_owner_cannot: ' || statement || ' audit.' || target)
	FROM (VALUES ('DELETE FROM', 'entry'), ('TRUNCATE', 'entry, audit.checkpoint'), ('DELETE FROM', 'checkpoint'), ('DELETE FROM', 'head'))
	AS s (statement, target);
SELECT is(pg_temp.try_as('coldfleet_owner', 'UPDATE audit.entry SET actor = actor'), '23000', 'test_the_owner_cannot_update_entries');
SELECT is_empty($$
	SELECT p.oid::regprocedure, role FROM pg_proc AS p CROSS JOIN unnest(ARRAY['coldfleet_ingest', 'coldfleet_bridge', 'coldfleet_signer',
		'coldfleet_api', 'coldfleet_analyst']) AS role
	WHERE p.pronamespace = 'audit'::regnamespace AND has_function_privilege(role, p.oid, 'EXECUTE') AND (role, p.proname::text) NOT IN (
		('coldfleet_signer', 'head'), ('coldfleet_signer', 'store_checkpoint'), ('coldfleet_analyst', 'head'))
$$, 'test_no_runtime_role_can_record_what_did_not_happen');

-- Refused logins

INSERT INTO fleet.refused_login (at, reason, detail, address, request_id)
SELECT '2026-11-22T08:00:30Z', 'signature', 'x', '192.0.2.1', 'r-' || n FROM generate_series(1, 5) AS n;
SELECT results_eq($$ SELECT concat_ws(' ', e ->> 'action', e ->> 'kind', e ->> 'id', e #>> '{new,request_id}') FROM pg_temp.taken() AS e $$,
	ARRAY['refused login 192.0.2.1 r-1'], 'test_of_the_refused_logins_of_an_address_in_a_minute_the_first_is_an_entry');
INSERT INTO fleet.refused_login (at, reason, detail, address, request_id)
SELECT '2026-11-22T08:01:00Z', 'signature', 'x', inet '2001:db8::' + n, 'r' FROM generate_series(1, 30) AS n;
CREATE TEMP TABLE refused AS SELECT e FROM pg_temp.taken() AS e;
SELECT results_eq($$ SELECT concat_ws(' ', e ->> 'id', e #>> '{new,minute}', e #>> '{new,more}') FROM refused WHERE e -> 'new' ? 'more' $$,
	ARRAY['192.0.2.1 2026-11-22T08:00Z 4'], 'test_the_others_are_counted_when_the_minute_is_over');
SELECT is(count(*), 12::bigint, 'test_a_flood_from_many_addresses_is_eleven_entries_a_minute_beside_the_counts') FROM refused;
SELECT number, hash FROM audit.head() \gset
SELECT ok(audit.store_checkpoint(:number, :'hash', now(), '\x0102030405060708', '\x00'), 'test_a_checkpoint_is_kept');
SELECT is(e -> 'new', '{"more": 19, "minute": "2026-11-22T08:01Z"}', 'test_a_checkpoint_is_a_moment_to_count_refusals') FROM pg_temp.taken() AS e;
SELECT ok(NOT audit.store_checkpoint(:number, sha256('x'), now(), '\x0102030405060708', '\x00'), 'test_a_checkpoint_of_another_chain_is_not_kept');

SELECT * FROM finish();
ROLLBACK;
