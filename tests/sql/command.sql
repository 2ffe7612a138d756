-- SPDX-License-Identifier: Apache-2.0
-- The life of a command: every change of state is tried by every role, and only those that are meant go through; then the
-- queues, the fences against stale calls, late and false replies, and what nobody may change.
BEGIN;
SET search_path = pgtap, public;
SELECT * FROM no_plan();

-- The SQLSTATE that a statement ends with under a role; '00000' when it goes through. It is undone either way.
CREATE FUNCTION pg_temp.try_as(role text, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	state text;
BEGIN
	BEGIN
		EXECUTE format('SET LOCAL ROLE %I', role);
		SET LOCAL transaction_read_only = off;
		EXECUTE statement;
		RAISE EXCEPTION 'undo' USING ERRCODE = 'ZZ000';
	EXCEPTION WHEN OTHERS THEN
		state := sqlstate;
	END;
	RETURN CASE state WHEN 'ZZ000' THEN '00000' ELSE state END;
END
$$;
-- What a statement returns under a role.
CREATE FUNCTION pg_temp.run(role text, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	EXECUTE format('SET LOCAL ROLE %I', role);
	EXECUTE statement INTO result;
	RESET ROLE;
	RETURN result;
END
$$;
-- What REST gets of a call by somebody.
CREATE FUNCTION pg_temp.rest(who text, role text, statement text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	result jsonb;
BEGIN
	PERFORM api.enter(who, NULL, role, NULL, 'viewer', 'test');
	result := pg_temp.run('coldfleet_api', format('SELECT (%s).body', statement));
	PERFORM set_config('coldfleet.actor', '', true), set_config('coldfleet.reason', '', true);
	RETURN result;
END
$$;
-- A decision or change by somebody: a function of api about what has that number.
CREATE FUNCTION pg_temp.ask(who text, role text, what text, id text, body text DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$
	SELECT pg_temp.rest(who, role, format('api.%s(%L, %L%s)', what, id, body, CASE what WHEN 'request_edit' THEN ', ''*''' END)) $$;
CREATE FUNCTION pg_temp.digest(digest text) RETURNS text LANGUAGE sql AS $$ SELECT json_build_object('request_sha256', digest)::text $$;
CREATE TEMP TABLE runtime (role) AS VALUES
	('coldfleet_ingest'), ('coldfleet_bridge'), ('coldfleet_signer'), ('coldfleet_api'), ('coldfleet_analyst');
CREATE TEMP TABLE life (state, place) AS VALUES
	('awaiting_approval', 'held'), ('approved', 'queued'), ('refused', NULL), ('signed', 'ready'), ('waiting', 'ready'), ('sent', 'wire'),
	('accepted', 'wire'), ('succeeded', NULL), ('failed', NULL), ('rejected', NULL), ('expired', NULL), ('cancelled', NULL);

-- Two requests, one approved and one refused, with a command in each state on a device of its own.

CREATE SCHEMA lab;
CREATE TABLE lab.one AS SELECT state, decision, gen_random_uuid() AS id, fleet.register_device(concat('life-', state, '-', decision), 't', 't', '') AS device
FROM life, unnest(ARRAY['approved', 'refused']) AS decision;
SELECT fleet.register_device('life-new', 't', 't', '') AS new_device \gset
INSERT INTO command.request (request_id, operation, class, arguments, not_before, expires_at, target, device_count, requested_by, canonical,
	request_sha256, state)
SELECT gen_random_uuid(), 'enable', 3, '{}', now(), now() + interval '1 h', jsonb_build_object('of', decision), 13, 'asker', decision::bytea,
	sha256(decision::bytea), 'awaiting_approval' FROM unnest(ARRAY['approved', 'refused']) AS decision;
INSERT INTO command.approval (request_id, requester, approver, decision, request_sha256)
SELECT request_id, 'asker', 'other', target ->> 'of', request_sha256 FROM command.request;
INSERT INTO command.target SELECT request_id, device FROM command.request, lab.one WHERE decision = target ->> 'of';
INSERT INTO command.target SELECT request_id, :new_device FROM command.request;
INSERT INTO command.device SELECT device_id FROM command.target GROUP BY 1;
ALTER TABLE command.command DISABLE TRIGGER USER;
INSERT INTO command.command (command_id, request_id, requested_at, expires_at, device_id, class, urgency, operation, state, place, counter, sent_at, sends)
SELECT id, request_id, now(), now() + interval '1 h', device, 3, 2, 'enable', o.state, place,
	CASE WHEN o.state NOT IN ('awaiting_approval', 'approved', 'refused') THEN 1 END,
	CASE WHEN o.state NOT IN ('awaiting_approval', 'approved', 'refused', 'signed', 'waiting', 'cancelled') THEN now() END,
	CASE WHEN o.state = 'sent' THEN 1 ELSE 0 END
FROM lab.one AS o JOIN life USING (state) JOIN command.request AS r ON decision = r.target ->> 'of';
ALTER TABLE command.command ENABLE TRIGGER USER;
INSERT INTO command.message (command_id, counter, kid, message) SELECT id, 1, '\x0000000000000000', 'x' FROM lab.one;

-- Changes a state with all that belongs to it, for whatever role calls; only the trigger is left to refuse.
CREATE FUNCTION lab.change(was text, becomes text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	of CONSTANT text := CASE becomes WHEN 'refused' THEN 'refused' ELSE 'approved' END;
	its_place CONSTANT text := (SELECT place FROM pg_temp.life WHERE state = becomes);
BEGIN
	IF was = 'requested' THEN
		INSERT INTO command.command (command_id, request_id, requested_at, expires_at, device_id, class, urgency, operation, state, place, counter, sent_at)
		SELECT gen_random_uuid(), request_id, now(), now() + interval '1 h', (SELECT device_id FROM fleet.device WHERE serial = 'life-new'),
			CASE becomes WHEN 'approved' THEN 1 ELSE 3 END, 3, 'enable', becomes, its_place,
			CASE WHEN becomes <> 'approved' THEN 1 END, CASE WHEN becomes IN ('sent', 'accepted') THEN now() END
		FROM command.request WHERE target ->> 'of' = of;
		RETURN;
	END IF;
	UPDATE command.command AS c SET state = becomes, place = its_place, generation = c.generation + 1,
		sends = CASE WHEN becomes IN ('waiting', 'approved', 'cancelled') THEN 0 ELSE c.sends + (becomes = 'sent')::int END,
		counter = CASE WHEN becomes NOT IN ('approved', 'awaiting_approval') THEN 1 END,
		sent_at = CASE WHEN becomes IN ('sent', 'accepted', 'succeeded', 'failed', 'rejected') THEN now() END,
		expires_at = now() + interval '1 h' * CASE becomes WHEN 'expired' THEN -1 ELSE 1 END, late = was IN ('expired', 'cancelled'), detail = 'x'
	FROM lab.one AS o WHERE o.state = was AND o.decision = of AND c.command_id = o.id;
END
$$;
GRANT USAGE ON SCHEMA lab TO PUBLIC;
GRANT EXECUTE ON FUNCTION lab.change(text, text) TO PUBLIC;

CREATE TEMP TABLE tried AS
SELECT was, becomes, role, pg_temp.try_as(role, format('SELECT lab.change(%L, %L)', was, becomes)) AS code
FROM (SELECT state FROM life UNION ALL VALUES ('requested')) AS w (was), (SELECT state FROM life) AS b (becomes),
	(SELECT role FROM runtime UNION ALL VALUES ('coldfleet_owner'), ('coldfleet_api_definer'), ('postgres')) AS r
WHERE was <> becomes;

-- Written out, so that a rule that is added or lost by mistake is seen.
SELECT results_eq($$ SELECT was, becomes, role FROM tried WHERE code = '00000' ORDER BY 1, 2, 3 $$, $$
	SELECT * FROM (
		SELECT was, becomes, 'coldfleet_api' FROM (VALUES ('requested', 'awaiting_approval'), ('requested', 'approved'),
			('awaiting_approval', 'approved'), ('awaiting_approval', 'refused'), ('signed', 'approved'), ('waiting', 'approved'),
			('awaiting_approval', 'cancelled'), ('approved', 'cancelled'), ('signed', 'cancelled'), ('waiting', 'cancelled')) AS a (was, becomes)
		UNION ALL SELECT 'approved', becomes, 'coldfleet_signer' FROM unnest(ARRAY['signed', 'refused']) AS becomes
		UNION ALL SELECT was, becomes, 'coldfleet_bridge' FROM (VALUES ('signed', 'sent'), ('waiting', 'sent'), ('sent', 'waiting'), ('sent', 'approved'),
			('sent', 'cancelled'), ('signed', 'approved'), ('waiting', 'approved')) AS b (was, becomes)
		UNION ALL SELECT was, 'expired', 'coldfleet_bridge'
			FROM unnest(ARRAY['awaiting_approval', 'approved', 'signed', 'waiting', 'sent', 'accepted']) AS was
		UNION ALL SELECT was, becomes, 'coldfleet_bridge' FROM unnest(ARRAY['waiting', 'sent', 'expired', 'cancelled']) AS was,
			unnest(ARRAY['accepted', 'succeeded', 'failed', 'rejected']) AS becomes
		UNION ALL SELECT 'accepted', becomes, 'coldfleet_bridge' FROM unnest(ARRAY['succeeded', 'failed', 'rejected']) AS becomes
	) AS allowed (was, becomes, role) ORDER BY 1, 2, 3
$$, 'test_exactly_the_meant_changes_of_state_go_through_and_each_for_one_role');
SELECT is((SELECT count(*) FROM tried), 12 * 12 * 8::bigint, 'test_every_pair_of_states_was_tried_by_every_role');
SELECT is_empty($$ SELECT * FROM tried WHERE code NOT IN ('00000', '23000') $$, 'test_all_other_changes_are_refused_as_such_and_not_for_another_reason');
SELECT is_empty($$
	SELECT role, code FROM (SELECT role, pg_temp.try_as(role, format('UPDATE command.command SET state = %L WHERE command_id = %L', becomes, id)) AS code
		FROM runtime, lab.one AS o, (SELECT state FROM life) AS b (becomes) WHERE o.decision = 'approved') AS t WHERE code <> '42501'
$$, 'test_no_runtime_role_changes_a_state_but_through_functions');

-- What a rule demands besides

CREATE FUNCTION pg_temp.spoiled(role text, was text, becomes text, spoil text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('CREATE OR REPLACE FUNCTION lab.spoil() RETURNS trigger LANGUAGE plpgsql AS %L', format('BEGIN %s; RETURN new; END', spoil));
	CREATE TRIGGER spoil BEFORE INSERT OR UPDATE ON command.command FOR EACH ROW EXECUTE FUNCTION lab.spoil();
	BEGIN
		RETURN pg_temp.try_as(role, format('SELECT lab.change(%L, %L)', was, becomes));
	END;
END
$$;
CREATE FUNCTION pg_temp.check_spoiled(role text, was text, becomes text, spoil text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	code text;
BEGIN
	code := pg_temp.spoiled(role, was, becomes, spoil);
	DROP TRIGGER spoil ON command.command;
	RETURN code;
END
$$;
SELECT is(pg_temp.check_spoiled('coldfleet_' || role, was, becomes, spoil), '23000', concat('test_', was, '_does_not_become_', becomes, '_if_', spoil))
FROM (VALUES ('api', 'requested', 'approved', 'new.class := 3'), ('api', 'requested', 'awaiting_approval', 'new.class := 2'),
	('signer', 'approved', 'signed', 'new.counter := 2'), ('signer', 'approved', 'refused', 'new.detail := NULL'),
	('bridge', 'signed', 'sent', 'new.generation := old.generation'), ('bridge', 'waiting', 'sent', 'new.expires_at := now()'),
	('bridge', 'sent', 'waiting', 'new.sends := 1'), ('bridge', 'signed', 'approved', 'new.generation := old.generation'),
	('api', 'waiting', 'cancelled', 'new.sends := 1'), ('bridge', 'sent', 'expired', 'new.expires_at := now() + interval ''1 s'''),
	('bridge', 'expired', 'succeeded', 'new.late := false'), ('bridge', 'cancelled', 'succeeded', 'new.counter := NULL')) AS v (role, was, becomes, spoil);
SELECT is(pg_temp.check_spoiled('coldfleet_' || role, 'accepted', 'accepted', 'new.sends := old.sends + 1; new.generation := old.generation + ' || by), code,
	format('test_%s_sends_an_accepted_command_again_with_generation_plus_%s_%s', role, by, code))
FROM (VALUES ('bridge', 1, '00000'), ('bridge', 0, '23000'), ('api', 1, '23000'), ('signer', 1, '23000')) AS v (role, by, code);
UPDATE command.request SET canonical = 'edited', request_sha256 = sha256('edited');
SELECT is(pg_temp.try_as('coldfleet_api', format('SELECT lab.change(''awaiting_approval'', %L)', becomes)), '23000',
	'test_a_decision_to_have_it_' || becomes || '_is_void_after_an_edit') FROM unnest(ARRAY['approved', 'refused']) AS becomes;

-- What nobody changes

CREATE TEMP TABLE evidence (target) AS VALUES ('command.history'), ('command.approval'), ('command.reply'), ('command.message'), ('command.target');
INSERT INTO command.reply (received_at, serial, verdict, raw) VALUES (now(), 'x', 'unreadable', 'x');
SELECT is(pg_temp.try_as(role, format(statement, target)), '42501', format('test_%s_cannot_%s_%s', role, split_part(statement, ' ', 1), target))
FROM (SELECT role FROM runtime UNION ALL VALUES ('coldfleet_api_definer')) AS r, evidence, unnest(ARRAY['DELETE FROM %s', 'TRUNCATE %s']) AS statement;
SELECT is_empty($$
	SELECT r.role, target FROM (SELECT role FROM runtime UNION ALL VALUES ('coldfleet_api_definer')) AS r, evidence
	WHERE has_any_column_privilege(r.role, target, 'UPDATE')
$$, 'test_no_role_may_update_what_is_kept');
SELECT is(pg_temp.try_as('coldfleet_owner', format(statement, target)), '23000', format('test_the_owner_cannot_%s_%s', split_part(statement, ' ', 1), target))
FROM evidence, unnest(ARRAY['DELETE FROM %s', 'TRUNCATE %s CASCADE']) AS statement;
SELECT is(pg_temp.try_as('coldfleet_owner', format('UPDATE %s SET %I = %2$I', target, (SELECT attname FROM pg_attribute
	WHERE attrelid = target::regclass AND attnum > 0 AND attidentity = '' LIMIT 1))), '23000', 'test_the_owner_cannot_update_' || target) FROM evidence;
SELECT is(pg_temp.try_as('coldfleet_owner', statement), '23000', 'test_the_owner_cannot_' || statement)
FROM unnest(ARRAY['DELETE FROM command.command', 'DELETE FROM command.request', 'TRUNCATE command.command CASCADE']) AS statement;

-- Four eyes

SELECT fleet.register_device('q-' || n, 't', 't', '') FROM generate_series(1, 6) AS n;
SELECT pg_temp.rest('anna', 'operator', $$ api.command_make('q-1', '{"operation": "disable", "arguments": {"mode": "halt"}}') $$) AS made \gset
SELECT :'made'::jsonb ->> 'request_id' AS request, :'made'::jsonb ->> 'id' AS command \gset
SELECT encode(request_sha256, 'hex') AS digest FROM command.request WHERE request_id = :'request' \gset
SELECT throws_ok(format('SELECT pg_temp.ask(''anna'', %L, ''request_approve'', %L, pg_temp.digest(%L))', role, :'request', :'digest'), 'CF403', NULL,
	'test_the_requester_does_not_approve_as_' || role) FROM unnest(ARRAY['approver', 'admin']) AS role;
SELECT is(pg_temp.try_as('coldfleet_api_definer', format($$ SELECT set_config('coldfleet.scope', '*', true); INSERT INTO command.approval (request_id,
	requester, approver, decision, request_sha256) VALUES (%L, 'anna', 'anna', 'approved', decode(%L, 'hex')) $$, :'request', :'digest')), '23514',
	'test_the_own_approval_is_refused_by_the_table_too');
SELECT is(pg_temp.try_as('coldfleet_api_definer', format($$ SELECT set_config('coldfleet.scope', '*', true); INSERT INTO command.approval (request_id,
	requester, approver, decision, request_sha256) VALUES (%L, 'bert', 'anna', 'approved', decode(%L, 'hex')) $$, :'request', :'digest')), '23503',
	'test_the_own_approval_is_refused_under_another_requester_too');
SELECT fleet.create_token('first helper', 'admin'), fleet.create_token('second helper', 'approver'), fleet.create_token('anna', 'operator');
UPDATE fleet.token SET created_by = CASE name WHEN 'first helper' THEN 'anna' WHEN 'second helper' THEN 'first helper' ELSE 'boss' END
WHERE name IN ('first helper', 'second helper', 'anna');
SELECT throws_ok(format('SELECT pg_temp.ask(%L, ''admin'', ''request_approve'', %L, pg_temp.digest(%L))', who, :'request', :'digest'), 'CF403', NULL,
	'test_' || who || '_does_not_approve_what_anna_asked_for_as_one_of_them_made_the_others_token')
FROM unnest(ARRAY['first helper', 'second helper', 'boss']) AS who;
SELECT throws_ok(format('SELECT pg_temp.ask(''bert'', ''approver'', ''request_approve'', %L, pg_temp.digest(%L))', :'request', repeat('0', 64)),
	'CF409', NULL, 'test_what_is_approved_is_what_was_shown');
SELECT throws_ok(format('SELECT pg_temp.ask(''bert'', ''approver'', ''request_approve'', %L)', :'request'), 'CF409', NULL,
	'test_nothing_is_approved_without_saying_what');
SELECT lives_ok(format($$ SELECT pg_temp.ask('anna', 'operator', 'request_edit', %L, '{"arguments": {"mode": "radio-off"}}') $$, :'request'),
	'test_the_requester_edits_what_awaits_approval');
SELECT throws_ok(format($$ SELECT pg_temp.ask('bert', 'operator', 'request_edit', %L, '{"arguments": {"mode": "halt"}}') $$, :'request'),
	'CF403', NULL, 'test_nobody_else_edits_it');
SELECT throws_ok(format('SELECT pg_temp.ask(''bert'', ''approver'', ''request_approve'', %L, pg_temp.digest(%L))', :'request', :'digest'),
	'CF409', NULL, 'test_an_approval_of_what_it_was_before_an_edit_is_refused');
SELECT encode(request_sha256, 'hex') AS digest FROM command.request WHERE request_id = :'request' \gset
SELECT isnt(encode(sha256(command.canonical('disable', 3, '{"mode": "halt"}', now(), now(), '{a,b}', NULL)), 'hex'),
	encode(sha256(command.canonical('disable', 3, '{"mode": "halt"}', now(), now(), '{a,c}', NULL)), 'hex'), 'test_other_devices_make_another_digest');
SELECT is(command.canonical('locate', 1, '{}', now(), now(), '{a,b}', NULL), command.canonical('locate', 1, '{}', now(), now(), '{b,a}', NULL),
	'test_the_order_of_devices_makes_none');

-- Queues: q-1 has a locate that is signed, and gets a disable

SELECT pg_temp.rest('anna', 'operator', $$ api.command_make('q-1', '{"operation": "locate"}') $$) ->> 'id' AS locate \gset
CREATE TABLE lab.taken (n int, command_id uuid, generation int, serial text, counter bigint, canonical bytea, approver text);
CREATE TABLE lab.claimed (n int, command_id uuid, generation int, serial text, message bytea);
GRANT ALL ON lab.taken, lab.claimed TO PUBLIC;
CREATE FUNCTION pg_temp.take_all(n int) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
	SET LOCAL ROLE coldfleet_signer;
	INSERT INTO lab.taken SELECT n, t.command_id, t.generation, t.serial, t.counter, t.canonical, t.approver FROM command.take_to_sign(100) AS t;
	RESET ROLE;
	RETURN (SELECT count(*) FROM lab.taken AS t WHERE t.n = take_all.n);
END
$$;
CREATE FUNCTION pg_temp.store(of int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	SET LOCAL ROLE coldfleet_signer;
	SELECT string_agg(s.stored::text, ',') INTO result FROM command.store_signed(ARRAY(SELECT t.command_id FROM lab.taken AS t WHERE t.n = of ORDER BY serial),
		ARRAY(SELECT t.generation FROM lab.taken AS t WHERE t.n = of ORDER BY serial), ARRAY(SELECT 'signed'::bytea FROM lab.taken AS t WHERE t.n = of),
		'\x0102030405060708') AS s;
	RESET ROLE;
	RETURN result;
END
$$;
CREATE FUNCTION pg_temp.claim(of int, present text[] DEFAULT '{}') RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	SET LOCAL ROLE coldfleet_bridge;
	INSERT INTO lab.claimed SELECT of, c.command_id, c.generation, c.serial, c.message FROM command.claim(100, present) AS c;
	RESET ROLE;
	RETURN (SELECT string_agg(c.serial, ',' ORDER BY c.serial) FROM lab.claimed AS c WHERE c.n = of);
END
$$;
CREATE FUNCTION pg_temp.reply(id text, status text, from_serial text DEFAULT NULL, its_counter bigint DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	c command.command := (SELECT u FROM command.command AS u WHERE u.command_id = id::uuid);
	serial CONSTANT text := coalesce(from_serial, (SELECT d.serial FROM fleet.device AS d WHERE d.device_id = c.device_id));
BEGIN
	SET LOCAL ROLE coldfleet_bridge;
	PERFORM command.record_replies(ARRAY[serial], ARRAY[id::uuid], ARRAY[coalesce(its_counter, c.counter)], ARRAY[status], ARRAY[NULL], ARRAY[NULL::jsonb],
		ARRAY[now()], ARRAY[1::bigint], ARRAY[c.generation::bigint], ARRAY['raw'::bytea], ARRAY[now()]);
	RESET ROLE;
	RETURN (SELECT r.verdict FROM command.reply AS r ORDER BY r.reply_id DESC LIMIT 1);
END
$$;
CREATE FUNCTION pg_temp.unreachable(of int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	SET LOCAL ROLE coldfleet_bridge;
	PERFORM command.unreachable(ARRAY(SELECT c.command_id FROM lab.claimed AS c WHERE c.n = of), ARRAY(SELECT c.generation FROM lab.claimed AS c WHERE c.n = of));
	RESET ROLE;
END
$$;
CREATE FUNCTION pg_temp.stands(id text) RETURNS text LANGUAGE sql AS $$
	SELECT concat_ws(' ', state, place, CASE WHEN late THEN 'late' END) FROM command.command WHERE command_id = id::uuid $$;

SELECT is(pg_temp.take_all(1), 1::bigint, 'test_a_command_that_needs_no_approval_is_taken_and_one_that_awaits_it_is_not');
SELECT is((SELECT serial FROM lab.taken), 'q-1', 'test_the_signer_is_told_the_serial');
SELECT is(pg_temp.take_all(2), 0::bigint, 'test_what_was_taken_is_not_taken_again_at_once');
UPDATE command.command SET taken_at = now() - interval '11 s' WHERE command_id = :'locate';
SELECT is(pg_temp.take_all(3), 1::bigint, 'test_what_was_taken_and_not_signed_is_taken_again_later');
SELECT is(pg_temp.store(1), 'false', 'test_bytes_of_a_stale_generation_are_void');
SELECT is(pg_temp.store(3), 'true', 'test_bytes_of_the_last_generation_are_kept');
SELECT is(pg_temp.stands(:'locate'), 'signed ready', 'test_what_is_signed_is_to_be_sent');
SELECT lives_ok(format('SELECT pg_temp.ask(''bert'', ''approver'', ''request_approve'', %L, pg_temp.digest(%L))', :'request', :'digest'),
	'test_somebody_else_approves');
SELECT is(concat_ws('; ', pg_temp.stands(:'command'), pg_temp.stands(:'locate')), 'approved front; approved queued',
	'test_a_disable_goes_before_what_was_signed_and_not_sent');
SELECT is(pg_temp.claim(1), NULL, 'test_a_void_signature_is_not_sent');
SELECT is(pg_temp.take_all(4), 1::bigint, 'test_the_disable_is_taken');
SELECT is((SELECT approver FROM lab.taken WHERE n = 4), 'bert', 'test_the_signer_is_told_who_approved');
SELECT cmp_ok((SELECT counter FROM lab.taken WHERE n = 4), '>', (SELECT max(counter) FROM lab.taken WHERE n < 4), 'test_counters_rise');
SELECT is(pg_temp.store(4), 'true', 'test_the_disable_is_signed');
SELECT is(pg_temp.claim(2), 'q-1', 'test_what_is_signed_is_claimed_once');
SELECT is(pg_temp.claim(3, '{q-1}'), NULL, 'test_and_not_by_another_at_the_same_time');
SELECT is(pg_temp.stands(:'locate'), 'approved front', 'test_what_gave_way_is_next_once_the_other_is_sent');
SELECT throws_ok(format($$ SELECT pg_temp.ask('anna', 'operator', 'command_cancel', %L) $$, :'command'), 'CF409', NULL,
	'test_what_is_sent_is_not_cancelled');
SELECT pg_temp.unreachable(2);
SELECT is(concat_ws('; ', pg_temp.stands(:'command'), pg_temp.stands(:'locate')), 'waiting ready; approved queued',
	'test_what_reached_nobody_waits_before_all_others');
SELECT is(pg_temp.claim(4), NULL, 'test_what_waits_is_not_tried_without_its_device');
SELECT is(pg_temp.claim(5, '{q-1,q-2}'), 'q-1', 'test_a_device_that_appears_gets_what_waits');
SELECT pg_temp.unreachable(2);
SELECT is(pg_temp.stands(:'command'), 'sent wire', 'test_a_stale_call_gives_nothing_back');
SELECT is(pg_temp.reply(:'command', 'accepted', 'q-2'), 'foreign', 'test_a_reply_of_another_device_is_kept_and_not_applied');
SELECT is(pg_temp.reply(gen_random_uuid()::text, 'accepted', 'q-2'), 'unknown', 'test_a_reply_about_no_command_is_kept');
SELECT is(pg_temp.reply(:'command', 'accepted', NULL, 999999), 'unexpected', 'test_a_reply_to_a_counter_that_was_never_signed_is_not_applied');
SELECT is(pg_temp.stands(:'command'), 'sent wire', 'test_none_of_these_changed_the_command');
SELECT is(pg_temp.reply(:'command', 'accepted'), 'applied', 'test_an_acceptance_is_applied');
SELECT is(pg_temp.reply(:'command', 'succeeded'), 'applied', 'test_a_result_is_applied');
SELECT is(pg_temp.reply(:'command', 'succeeded'), 'repeated', 'test_a_result_said_twice_is_kept_as_such');
SELECT is(pg_temp.reply(:'command', 'failed'), 'contradicts', 'test_another_result_afterwards_does_not_undo_the_first');
SELECT is(pg_temp.stands(:'command'), 'succeeded', 'test_a_success_stays_one');
SELECT is((SELECT state FROM fleet.device WHERE serial = 'q-1'), 'disabled', 'test_a_disable_that_succeeded_disables_the_device');
SELECT is(api.device('q-1')::jsonb #>> '{commands,switched,operation}', 'disable', 'test_a_device_tells_the_last_switch_that_it_carried_out')
FROM set_config('coldfleet.scope', '*', true);
SELECT is(api.device('q-1')::jsonb #> '{commands,open}', '1', 'test_and_how_many_commands_are_open');
SELECT results_eq(format('SELECT from_state || '' '' || to_state FROM command.history WHERE command_id = %L ORDER BY history_id', :'command'), $$
	VALUES ('requested awaiting_approval'), ('awaiting_approval approved'), ('approved signed'), ('signed sent'), ('sent waiting'), ('waiting sent'),
		('sent accepted'), ('accepted succeeded') $$, 'test_history_tells_every_step');

-- Resending, expiry, late replies

SELECT pg_temp.take_all(6), pg_temp.store(6), pg_temp.claim(6);
UPDATE command.command SET since = now() - interval '1 s' WHERE command_id = :'locate';
SELECT is(pg_temp.claim(7, '{q-1}'), 'q-1', 'test_what_was_not_answered_is_sent_again');
SELECT is((SELECT count(DISTINCT message) FROM lab.claimed WHERE n IN (6, 7)), 1::bigint, 'test_and_are_the_same_bytes');
SELECT cmp_ok((SELECT generation FROM lab.claimed WHERE n = 7), '>', (SELECT generation FROM lab.claimed WHERE n = 6), 'test_under_a_new_generation');
SELECT pg_temp.unreachable(7);
SELECT is(pg_temp.stands(:'locate'), 'sent wire', 'test_what_may_have_arrived_before_stays_sent');
UPDATE command.request SET expires_at = not_before + interval '1 us' WHERE request_id = (SELECT request_id FROM command.command WHERE command_id = :'locate');
UPDATE command.command SET expires_at = now() - interval '1 s' WHERE command_id = :'locate';
SELECT pg_temp.run('coldfleet_bridge', 'SELECT command.sweep()');
SELECT is(pg_temp.stands(:'locate'), 'expired', 'test_what_was_sent_and_not_answered_expires');
SELECT isnt((SELECT sent_at FROM command.command WHERE command_id = :'locate'), NULL, 'test_and_still_says_when_it_was_sent');
SELECT is(pg_temp.reply(:'locate', 'succeeded'), 'applied', 'test_a_late_reply_is_applied');
SELECT is(pg_temp.stands(:'locate'), 'succeeded late', 'test_and_shown_as_late');

-- Accepted, and then nothing

SELECT pg_temp.rest('anna', 'operator', $$ api.command_make('q-5', '{"operation": "locate"}') $$) ->> 'id' AS slow \gset
SELECT pg_temp.take_all(20), pg_temp.store(20), pg_temp.claim(20), pg_temp.reply(:'slow', 'accepted');
UPDATE command.request SET not_before = now() - interval '9 min', expires_at = now() - interval '8 min'
WHERE request_id = (SELECT request_id FROM command.command WHERE command_id = :'slow');
UPDATE command.command SET expires_at = now() - interval '8 min', since = now() - interval '59 min' WHERE command_id = :'slow';
SELECT pg_temp.run('coldfleet_bridge', 'SELECT command.sweep()');
SELECT is(pg_temp.stands(:'slow'), 'accepted wire', 'test_what_was_accepted_has_time_for_its_result');
UPDATE command.command SET expires_at = now() - interval '61 min' WHERE command_id = :'slow';
UPDATE command.command SET since = now() - interval '61 min' WHERE command_id = :'slow';
SELECT pg_temp.run('coldfleet_bridge', 'SELECT command.sweep()');
SELECT is(pg_temp.stands(:'slow'), 'expired', 'test_and_expires_when_none_comes');
SELECT is((SELECT open FROM command.request JOIN command.command USING (request_id) WHERE command_id = :'slow'), false, 'test_a_request_without_open_commands_is_closed');
SELECT is(pg_temp.reply(:'slow', 'failed'), 'applied', 'test_its_result_is_taken_even_then');

-- Accepted, and its result was lost on the way

SELECT pg_temp.rest('anna', 'operator', $$ api.command_make('q-4', '{"operation": "locate"}') $$) ->> 'id' AS lost \gset
SELECT pg_temp.take_all(30), pg_temp.store(30), pg_temp.claim(30), pg_temp.reply(:'lost', 'accepted');
SELECT is(pg_temp.claim(31, '{q-4}'), NULL, 'test_what_was_just_accepted_has_time_for_its_result');
UPDATE command.command SET retry_at = now() WHERE command_id = :'lost';
SELECT is(pg_temp.claim(31), NULL, 'test_also_when_it_is_looked_at_earlier');
SELECT is((SELECT retry_at = since FROM command.command WHERE command_id = :'lost'), true, 'test_and_it_is_looked_at_again_when_that_is_over');
UPDATE command.command SET since = now(), retry_at = now() WHERE command_id = :'lost';
SELECT is(pg_temp.claim(32), 'q-4', 'test_without_a_result_it_is_sent_again_whether_its_device_was_heard_or_not');
UPDATE command.command SET since = now(), retry_at = now() WHERE command_id = :'lost';
SELECT is(pg_temp.claim(41), 'q-4', 'test_and_again');
SELECT is((SELECT retry_at - now() FROM command.command WHERE command_id = :'lost'), interval '20 s', 'test_the_time_between_two_sendings_doubles');
SELECT pg_temp.unreachable(41);
SELECT pg_temp.run('coldfleet_bridge', 'SELECT command.sweep()');
SELECT is(pg_temp.claim(42), NULL, 'test_when_nobody_listens_it_waits_for_its_device');
UPDATE command.command SET since = now() - interval '1 s' WHERE command_id = :'lost';
INSERT INTO telemetry.device_state (device_id, received_at) SELECT device_id, now() FROM fleet.device WHERE serial = 'q-4'
ON CONFLICT (device_id) DO UPDATE SET received_at = excluded.received_at;
SELECT pg_temp.run('coldfleet_bridge', 'SELECT command.sweep()');
SELECT is(pg_temp.claim(33), 'q-4', 'test_an_accepted_command_without_a_result_is_sent_again_when_its_device_is_heard');
SELECT is(pg_temp.stands(:'lost'), 'accepted wire', 'test_and_stays_accepted');
SELECT is((SELECT count(DISTINCT message) FROM lab.claimed WHERE n IN (30, 33)), 1::bigint, 'test_and_are_the_bytes_that_were_accepted');
SELECT cmp_ok((SELECT generation FROM lab.claimed WHERE n = 33), '>', (SELECT generation FROM lab.claimed WHERE n = 30), 'test_an_accepted_one_too_under_a_new_generation');
SELECT pg_temp.unreachable(33);
SELECT is(pg_temp.stands(:'lost'), 'accepted wire', 'test_that_a_later_sending_reached_nobody_takes_no_acceptance_back');
UPDATE command.command SET since = now() - interval '1 s' WHERE command_id = :'lost';
SELECT is(pg_temp.claim(34, '{q-4}'), 'q-4', 'test_a_device_that_says_hello_gets_it_again_too');
UPDATE command.command SET since = now() - interval '1 s' WHERE command_id = :'lost';
SAVEPOINT forgotten;
SELECT pg_temp.rest('anna', 'operator', $$ api.command_make('q-4', '{"operation": "locate"}') $$) FROM generate_series(1, 32);
ALTER TABLE command.command DISABLE TRIGGER USER;
UPDATE command.command SET state = 'succeeded', place = NULL, counter = 7, sent_at = now(), ended_at = now()
WHERE command_id <> :'lost' AND device_id = (SELECT device_id FROM fleet.device WHERE serial = 'q-4');
SELECT is(pg_temp.claim(35, '{q-4}'), NULL, 'test_after_thirty_two_others_the_device_is_not_asked_about_what_it_no_longer_knows');
UPDATE command.command SET retry_at = now() WHERE command_id = :'lost';
SELECT is(pg_temp.claim(35), NULL, 'test_nor_when_its_time_is_over');
SELECT is((SELECT retry_at FROM command.command WHERE command_id = :'lost'), 'infinity', 'test_and_it_is_not_looked_at_again_and_again');
ROLLBACK TO forgotten;
UPDATE command.request SET not_before = now() - interval '9 min', expires_at = now() WHERE request_id = (SELECT request_id FROM command.command WHERE command_id = :'lost');
UPDATE command.command SET expires_at = now() WHERE command_id = :'lost';
SELECT is(pg_temp.claim(36, '{q-4}'), NULL, 'test_what_is_over_is_not_sent_again');
SELECT is(pg_temp.reply(:'lost', 'succeeded'), 'applied', 'test_the_result_that_comes_after_all_is_applied');

-- Said twice, after a connection was lost in the middle of saying it

SELECT pg_temp.rest('anna', 'operator', $$ api.command_make('q-5', '{"operation": "reboot"}') $$) ->> 'id' AS twice \gset
SELECT pg_temp.take_all(20), pg_temp.store(20), pg_temp.claim(20);
UPDATE command.command SET since = now() - interval '1 s' WHERE command_id = :'twice';
SELECT is(pg_temp.claim(21, '{q-5}'), 'q-5', 'test_it_is_on_the_wire_for_the_second_time');
SELECT pg_temp.unreachable(21), pg_temp.unreachable(21);
SELECT is(pg_temp.stands(:'twice'), 'sent wire', 'test_that_a_second_sending_reached_nobody_takes_nothing_from_the_first_however_often_it_is_said');
SELECT is(pg_temp.reply(:'twice', 'succeeded'), 'applied', 'test_and_the_first_one_is_answered');

-- A batch in which others speak about the command first

CREATE FUNCTION pg_temp.batch(id uuid, variadic said text[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	its_counter CONSTANT bigint := (SELECT c.counter FROM command.command AS c WHERE c.command_id = id);
	many CONSTANT int := cardinality(said);
BEGIN
	SET LOCAL ROLE coldfleet_bridge;
	PERFORM command.record_replies(ARRAY(SELECT split_part(s, ' ', 1) FROM unnest(said) AS s), array_fill(id, ARRAY[many]),
		ARRAY(SELECT its_counter + split_part(s, ' ', 3)::int FROM unnest(said) AS s), ARRAY(SELECT split_part(s, ' ', 2) FROM unnest(said) AS s),
		array_fill(NULL::text, ARRAY[many]), array_fill(NULL::jsonb, ARRAY[many]), array_fill(now(), ARRAY[many]), array_fill(1::bigint, ARRAY[many]),
		array_fill(NULL::bigint, ARRAY[many]), array_fill('raw'::bytea, ARRAY[many]), array_fill(now(), ARRAY[many]));
	RESET ROLE;
	RETURN (SELECT string_agg(verdict, ' ' ORDER BY reply_id) FROM (SELECT r.reply_id, r.verdict FROM command.reply AS r ORDER BY r.reply_id DESC LIMIT many) AS v);
END
$$;
SELECT pg_temp.rest('anna', 'operator', $$ api.command_make('q-6', '{"operation": "reboot"}') $$) ->> 'id' AS crowd \gset
SELECT pg_temp.take_all(22), pg_temp.store(22), pg_temp.claim(22);
SELECT is(pg_temp.batch(:'crowd', 'q-5 failed 0', 'q-6 rejected 77', 'q-6 accepted 0', 'q-6 succeeded 0', 'q-6 failed 0'),
	'foreign unexpected applied applied contradicts', 'test_what_is_worth_nothing_in_a_batch_stands_in_nobodys_way');
SELECT is(pg_temp.stands(:'crowd'), 'succeeded', 'test_and_the_device_itself_has_the_word');

-- A tracker that floods

UPDATE command.setting SET idle_replies = 3;
TRUNCATE command.idle_reply;
SELECT pg_temp.rest('anna', 'operator', $$ api.command_make('q-6', '{"operation": "reboot"}') $$) ->> 'id' AS crowd \gset
SELECT pg_temp.take_all(28), pg_temp.store(28), pg_temp.claim(28);
SELECT count(*) AS replies FROM command.reply \gset
SELECT pg_temp.batch(:'crowd', 'q-5 failed 0', 'q-5 failed 0', 'q-6 accepted 77', 'q-5 failed 0', 'q-5 failed 0', 'q-6 succeeded 0', 'q-5 failed 0');
SELECT is((SELECT count(*) FROM command.reply) - :replies, 5::bigint, 'test_of_replies_that_change_nothing_as_many_are_kept_as_may_be');
SELECT is(pg_temp.stands(:'crowd'), 'succeeded', 'test_and_what_changes_something_is_applied_whatever_floods');
SELECT pg_temp.run('coldfleet_bridge', $$ SELECT command.bad_replies('{q-5,q-6,q-6,q-6,nobody}', '{a,a,a,a,a}', '{b,b,b,b,b}', array_fill(now(), '{5}')) $$);
SELECT is((SELECT count(*) FROM command.reply) - :replies, 8::bigint, 'test_unreadable_ones_count_with_them');
SELECT results_eq('SELECT serial, many FROM command.idle_reply ORDER BY 1', $$ VALUES ('nobody', 1), ('q-5', 6), ('q-6', 4) $$, 'test_all_are_counted');
UPDATE command.idle_reply SET hour = hour - interval '1 h';
SELECT pg_temp.run('coldfleet_bridge', $$ SELECT command.bad_replies('{q-5}', '{a}', '{b}', array_fill(now(), '{1}')) $$);
SELECT is((SELECT count(*) FROM command.reply) - :replies, 9::bigint, 'test_the_next_hour_begins_anew');
UPDATE command.setting SET idle_replies = DEFAULT;

-- Stopped while it was on its way to nobody

SELECT pg_temp.rest('anna', 'operator', $$ api.commands_make('{"operation": "locate", "target": {"serials": ["q-5", "q-6"]}}') $$) ->> 'id' AS stopped \gset
SELECT pg_temp.take_all(23), pg_temp.store(23);
UPDATE command.command SET retry_at = 'infinity' WHERE request_id = :'stopped' AND device_id = (SELECT device_id FROM fleet.device WHERE serial = 'q-6');
SELECT is(pg_temp.claim(23), 'q-5', 'test_one_of_two_is_sent');
SELECT is(pg_temp.ask('anna', 'operator', 'request_cancel', :'stopped') -> 'progress', '{"sent": 1, "cancelled": 1}', 'test_the_other_is_cancelled');
SELECT pg_temp.unreachable(23);
SELECT is((SELECT count(*) FROM command.command WHERE request_id = :'stopped' AND state = 'cancelled' AND sent_at IS NULL), 2::bigint,
	'test_a_command_of_a_cancelled_request_that_had_reached_nobody_is_cancelled');
SELECT is(pg_temp.claim(24, '{q-5,q-6}'), NULL, 'test_and_is_never_sent');
SELECT pg_temp.rest('anna', 'operator', $$ api.commands_make('{"operation": "locate", "target": {"serials": ["q-5"]}}') $$) ->> 'id' AS stopped \gset
SELECT pg_temp.take_all(25), pg_temp.store(25), pg_temp.claim(25), pg_temp.ask('anna', 'operator', 'request_pause', :'stopped'), pg_temp.unreachable(25);
SELECT is(pg_temp.claim(26, '{q-5}'), NULL, 'test_a_command_of_a_paused_request_that_had_reached_nobody_is_held');
SELECT pg_temp.ask('anna', 'operator', 'request_resume', :'stopped'), pg_temp.take_all(27), pg_temp.store(27);
SELECT is(pg_temp.claim(27), 'q-5', 'test_until_it_is_resumed');

-- Cancelled while it waits

SELECT pg_temp.rest('anna', 'operator', $$ api.command_make('q-2', '{"operation": "report-now"}') $$) ->> 'id' AS report \gset
SELECT pg_temp.take_all(8), pg_temp.store(8), pg_temp.claim(8), pg_temp.unreachable(8);
SELECT is(pg_temp.stands(:'report'), 'waiting ready', 'test_a_command_waits_for_its_device');
SELECT lives_ok(format($$ SELECT pg_temp.ask('anna', 'operator', 'command_cancel', %L) $$, :'report'), 'test_what_waits_is_cancelled');
SELECT is(pg_temp.claim(9, '{q-2}'), NULL, 'test_what_is_cancelled_is_never_sent');

-- Signer refuses

SELECT pg_temp.rest('anna', 'operator', $$ api.command_make('q-2', '{"operation": "reboot"}') $$) ->> 'id' AS reboot \gset
SELECT pg_temp.take_all(10);
SELECT is(pg_temp.run('coldfleet_signer', format('SELECT refused FROM command.refuse_to_sign(ARRAY[%L::uuid], ARRAY[0], ARRAY[''no''])', :'reboot')), 'false',
	'test_a_stale_refusal_changes_nothing');
SELECT is(pg_temp.run('coldfleet_signer', format('SELECT refused FROM command.refuse_to_sign(ARRAY[%L::uuid], ARRAY[%s], ARRAY[''no''])', :'reboot',
	(SELECT generation FROM lab.taken WHERE n = 10))), 'true', 'test_the_signer_refuses_what_it_took');
SELECT is((SELECT state || ' ' || detail FROM command.command WHERE command_id = :'reboot'), 'refused the signer: no', 'test_and_everybody_sees_why');

-- Many devices: pause, resume, rate, not_before

SELECT pg_temp.rest('anna', 'operator', $$ api.commands_make('{"operation": "locate", "target": {"filter": {"q": "q-"}}, "rate": 2}') $$) AS many \gset
SELECT :'many'::jsonb ->> 'id' AS many_id \gset
SELECT is((:'many'::jsonb ->> 'device_count')::int, 6, 'test_a_filter_is_frozen_into_devices_and_counted');
SELECT is((SELECT count(*) FROM command.command WHERE request_id = :'many_id' AND place = 'held'), 6::bigint, 'test_with_a_rate_all_are_held_at_first');
UPDATE command.request SET filled_at = now() - interval '1 s' WHERE request_id = :'many_id';
SELECT pg_temp.run('coldfleet_bridge', 'SELECT command.sweep()');
SELECT is((SELECT count(*) FROM command.command WHERE request_id = :'many_id' AND place = 'held'), 4::bigint, 'test_a_second_lets_as_many_through_as_the_rate_says');
SELECT pg_temp.ask('anna', 'operator', 'request_pause', :'many_id');
SELECT is(pg_temp.take_all(11), 0::bigint, 'test_a_paused_request_is_not_signed');
SELECT pg_temp.ask('anna', 'operator', 'request_resume', :'many_id');
UPDATE command.request SET filled_at = now() - interval '9 s' WHERE request_id = :'many_id';
SELECT pg_temp.run('coldfleet_bridge', 'SELECT command.sweep()');
SELECT is(pg_temp.take_all(12), 2::bigint, 'test_a_bucket_never_holds_more_than_a_second');
SELECT is(pg_temp.ask('anna', 'operator', 'request_cancel', :'many_id') -> 'progress', '{"cancelled": 6}', 'test_all_that_is_not_sent_is_cancelled');
SELECT is(pg_temp.store(12), 'false,false', 'test_what_was_cancelled_while_the_signer_had_it_is_not_stored');
SELECT pg_temp.rest('anna', 'operator', format($$ api.command_make('q-3', '{"operation": "locate", "not_before": "%s"}') $$, now() + interval '1 h')) ->> 'request_id' AS later \gset
SELECT pg_temp.run('coldfleet_bridge', 'SELECT command.sweep()');
SELECT is(pg_temp.take_all(13), 0::bigint, 'test_nothing_is_signed_before_its_time');
UPDATE command.request SET not_before = now() WHERE request_id = :'later';
SELECT pg_temp.run('coldfleet_bridge', 'SELECT command.sweep()');
SELECT is(pg_temp.take_all(14), 1::bigint, 'test_it_is_once_that_has_come');

-- Whose turn it is not

SELECT fleet.register_device('turn-' || n, 't', 't', '') FROM generate_series(1, 2) AS n;
SELECT pg_temp.rest('anna', 'operator', $$ api.command_make('turn-1', '{"operation": "locate"}') $$) ->> 'id' AS before \gset
SELECT pg_temp.take_all(60), pg_temp.store(60), pg_temp.claim(60);
SELECT pg_temp.rest('anna', 'operator', $$ api.command_make('turn-1', '{"operation": "report-now"}') $$) ->> 'id' AS after \gset
SELECT pg_temp.take_all(61), pg_temp.store(61);
UPDATE command.command SET retry_at = now() - interval '1 s' WHERE command_id = :'after';
SELECT pg_temp.rest('anna', 'operator', $$ api.command_make('turn-2', '{"operation": "locate"}') $$) ->> 'id' AS other \gset
SELECT pg_temp.take_all(62), pg_temp.store(62);
SELECT pg_temp.run('coldfleet_bridge', $$ SELECT count(*) FROM command.claim(1, '{}') $$) FROM generate_series(1, 2);
SELECT is(concat_ws('; ', pg_temp.stands(:'after'), pg_temp.stands(:'other')), 'signed ready; sent wire',
	'test_what_lets_an_earlier_command_be_answered_does_not_keep_other_devices_from_theirs');
SELECT is((SELECT retry_at FROM command.command WHERE command_id = :'after'), (SELECT since FROM command.command WHERE command_id = :'before'),
	'test_it_is_looked_at_when_the_time_of_the_earlier_one_is_over');
SELECT pg_temp.reply(:'before', 'succeeded'), pg_temp.claim(63);
SELECT is(pg_temp.stands(:'after'), 'sent wire', 'test_or_as_soon_as_that_one_is_answered');

SELECT is((SELECT count(*) FROM command.operation), 11::bigint, 'test_there_are_eleven_operations');
SELECT throws_ok(format($$ SELECT pg_temp.rest('anna', 'operator', 'api.command_make(''q-4'', ''%s'')') $$, body), 'CF422', NULL, 'test_refused_is_' || body)
FROM unnest(ARRAY['{"operation": "explode"}', '{"operation": "disable"}', '{"operation": "disable", "arguments": {"mode": "soft"}}',
	'{"operation": "locate", "arguments": {"x": 1}}', '{"operation": "resend", "arguments": {"first": 5, "last": 4}}',
	'{"operation": "resend", "arguments": {"first": 1.5, "last": 4}}', '{"operation": "resend", "arguments": {"first": 1.0, "last": 4.0}}',
	'{"operation": "disable", "arguments": {"mode": "halt", "until": 1800000000.0}}',
	'{"operation": "update-firmware", "arguments": {"release": "' || repeat('a', 64) || '", "version": "1\n2"}}', '{"operation": "locate", "expires_at": "2020-01-01T00:00:00Z"}',
	'{"operation": "set-config", "arguments": {"version": 1, "config": {}}}', '{"operation": "update-firmware", "arguments": {"release": "abc"}}']) AS body;

SELECT * FROM finish();
ROLLBACK;
