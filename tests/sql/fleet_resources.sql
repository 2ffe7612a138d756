-- SPDX-License-Identifier: Apache-2.0
-- Tags, groups, configuration and history as tables: what they keep, what they refuse, and the steps of latest state.
BEGIN;
SET search_path = pgtap, public;
SELECT plan(18);

SELECT fleet.register_device('res-1', 'Maker', 'R1', 'A', '490154203237518', '8949000000000000001') AS device \gset
SELECT set_config('coldfleet.actor', 'anna', true), set_config('coldfleet.reason', 'spring cleaning', true),
	set_config('coldfleet.request_id', 'req-1', true);

-- Tags

UPDATE fleet.device SET tags = '{a,b}' WHERE device_id = :device;
SELECT results_eq('SELECT tag COLLATE "default" FROM fleet.device_tag WHERE device_id = ' || :device || ' ORDER BY tag', ARRAY['a', 'b'],
	'test_a_tag_finds_its_device');
UPDATE fleet.device SET tags = '{b,c}' WHERE device_id = :device;
SELECT results_eq('SELECT tag COLLATE "default" FROM fleet.device_tag WHERE device_id = ' || :device || ' ORDER BY tag', ARRAY['b', 'c'],
	'test_a_tag_that_is_taken_off_finds_it_no_more');
SELECT throws_ok(format('UPDATE fleet.device SET tags = %L WHERE device_id = %s', bad, :device), '23514', NULL,
	'test_tags_' || what || '_are_refused')
FROM (VALUES ('{b,a}'::text[], 'out_of_order'), ('{a,a}', 'given_twice'), ('{"a b"}', 'with_spaces'), ('{""}', 'without_a_letter'),
	(array_fill('x'::text, ARRAY[33]), 'beyond_32'), ('{NULL}', 'of_nothing')) AS v (bad, what);

-- History

SELECT results_eq(format($$ SELECT old, new, actor, reason, request_id FROM fleet.history
	WHERE device_id = %s AND field = 'tags' ORDER BY history_id $$, :device),
	$$ VALUES ('[]'::jsonb, '["a", "b"]'::jsonb, 'anna', 'spring cleaning', 'req-1'),
		('["a", "b"]', '["b", "c"]', 'anna', 'spring cleaning', 'req-1') $$,
	'test_history_has_old_new_who_and_why');
SELECT results_eq(format($$ SELECT object, field, new FROM fleet.history WHERE device_id = %s AND actor = session_user
	ORDER BY object, field $$, :device),
	$$ VALUES ('device', 'hardware_revision', '"A"'::jsonb), ('device', 'model', '"Maker R1"'), ('device', 'serial', '"res-1"'),
		('device', 'state', '"active"'), ('module', 'imei', '"490154203237518"'), ('sim', 'device_id', to_jsonb($$ || :device || $$)),
		('sim', 'iccid', '"8949000000000000001"') $$,
	'test_a_new_device_has_its_first_values_in_the_history');
UPDATE fleet.device SET state = 'disabled' WHERE device_id = :device;
SELECT results_eq(format($$ SELECT old, new FROM fleet.history WHERE device_id = %s AND field = 'state' AND old IS NOT NULL $$,
	:device), $$ VALUES ('"active"'::jsonb, '"disabled"'::jsonb) $$, 'test_the_life_of_a_device_is_its_history_of_state');
SELECT count(*) AS before FROM fleet.history \gset
UPDATE fleet.device SET revision = DEFAULT WHERE device_id = :device;
SELECT is((SELECT count(*) FROM fleet.history), :before::bigint, 'test_a_new_revision_alone_is_no_change');
SELECT throws_ok('UPDATE fleet.history SET actor = NULL', '23000', NULL, 'test_history_cannot_be_changed_by_its_owner_either');
SELECT throws_ok('DELETE FROM fleet.history', '23000', NULL, 'test_history_cannot_be_deleted');
SELECT throws_ok('TRUNCATE fleet.history', '23000', NULL, 'test_history_cannot_be_truncated');
INSERT INTO fleet.config (device_id, version, body, actor) VALUES (:device, 1, '{"interval_s": 300}', 'anna');
SELECT throws_ok($$ UPDATE fleet.config SET body = '{}' $$, '23000', NULL, 'test_a_version_of_a_configuration_never_changes');

-- Groups

INSERT INTO fleet.device_group (name) VALUES ('north') RETURNING group_id AS north \gset
INSERT INTO fleet.group_member (group_id, device_id) VALUES (:north, :device);
SELECT is((SELECT count(*) FROM fleet.history WHERE object = 'group_member' AND device_id = :device AND new = to_jsonb(:device)),
	1::bigint, 'test_joining_a_group_is_in_the_history');
DELETE FROM fleet.device_group WHERE group_id = :north;
SELECT is((SELECT count(*) FROM fleet.history WHERE object = 'group_member' AND device_id = :device AND old = to_jsonb(:device)),
	1::bigint, 'test_the_end_of_a_group_is_in_the_history_of_its_members');

SELECT * FROM finish();
ROLLBACK;
