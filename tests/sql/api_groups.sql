-- SPDX-License-Identifier: Apache-2.0
-- Groups, configuration, tags and history: what they answer, what they refuse, and to whom.
BEGIN;
SET search_path = pgtap, public;
SELECT plan(31);

SELECT fleet.register_device('g-' || n, 'Maker', 'G', '') FROM generate_series(1, 3) AS n;
SELECT api.begin(sha256(convert_to(fleet.create_token('olga', 'operator'), 'UTF8')), 'operator', 'req-9');

-- Groups

SELECT (f).* FROM api.group_create('{"name": "south", "description": "depots", "reason": "new region"}') AS f \gset g_
SELECT :'g_body'::jsonb ->> 'id' AS south \gset
SELECT is(:'g_body'::jsonb - 'id' - 'created_at',
	'{"name": "south", "description": "depots", "filter": null, "members": 0}', 'test_a_new_group_is_told');
SELECT is(:'g_location', '/v1/groups/' || :'south', 'test_a_new_group_has_a_location');
SELECT throws_ok($$ SELECT api.group_create('{"name": "south"}') $$, 'CF409', NULL, 'test_two_groups_of_one_name_are_refused');
SELECT throws_ok(format('SELECT api.group_create(%L)', json_build_object('name', 'dyn', 'filter', filter)), 'CF422', NULL,
	'test_a_dynamic_group_with_filter_' || filter || '_is_refused')
FROM unnest(ARRAY['{}', '{"group": "south"}', '{"state": "lost"}', '{"state": null}', '{"colour": "red"}']::json[]) AS filter;
SELECT is((api.group_create('{"name": "dyn", "filter": {"tag": "fridge", "battery_below": 20}}')).body::jsonb -> 'members', 'null',
	'test_a_dynamic_group_has_no_list_of_members');
SELECT is((api.group_member_set(:south, 'g-1', true, 'moved')).status, 204, 'test_a_device_joins_a_group');
SELECT is((api.group_member_set(:south, 'g-1', true, NULL)).status, 204, 'test_joining_twice_changes_nothing');
SELECT is((api.group_get(:south)).body::jsonb -> 'members', '1', 'test_members_are_counted');
SELECT is(api.devices(10, NULL, 'serial', '{"group": "south"}')::jsonb #>> '{items,0,serial}', 'g-1', 'test_a_group_filters_devices');
SELECT is(api.device('g-1')::jsonb -> 'groups', '["south"]', 'test_a_device_tells_its_groups');
SELECT throws_ok(format('SELECT api.group_member_set(%s, ''g-1'', true, NULL)', group_id), 'CF409', NULL,
	'test_nobody_is_put_into_a_dynamic_group') FROM fleet.device_group WHERE name = 'dyn';
SELECT throws_ok(format($$ SELECT api.group_patch(%s, '{"name": "x"}', '"1"') $$, :'south'), 'CF412', NULL,
	'test_a_group_that_was_changed_meanwhile_is_not_edited');
SELECT is((api.group_patch(:south, '{"description": null}', format('"%s"', :'g_etag'))).body::jsonb -> 'description', 'null',
	'test_a_group_is_edited');
SELECT throws_ok('SELECT api.group_get(2147483647)', 'CF404', NULL, 'test_an_unknown_group_is_not_found');

UPDATE fleet.token SET groups = ARRAY[:south] WHERE token_id = fleet.setting('token_id')::int;
SELECT throws_ok(format('SELECT api.group_member_set(%s, ''g-2'', true, NULL)', :'south'), 'CF403', NULL,
	'test_an_operator_does_not_widen_the_scope_of_a_token');
SELECT throws_ok(format('SELECT api.group_delete(%s, NULL) FROM set_config(''coldfleet.role'', ''admin'', true)', :'south'), 'CF409', NULL,
	'test_the_scope_of_a_token_is_not_deleted');
SELECT set_config('coldfleet.role', 'admin', true), set_config('coldfleet.scope', :'south', true);
SELECT is(jsonb_array_length(api.groups(10, NULL)::jsonb -> 'items'), 1, 'test_a_scope_sees_its_own_groups_alone');
SELECT throws_ok(format('SELECT api.group_member_set(%s, ''g-1'', false, NULL)', :'south'), 'CF403', NULL,
	'test_a_token_with_a_scope_changes_no_group');
SELECT set_config('coldfleet.scope', '*', true);
UPDATE fleet.token SET groups = NULL WHERE token_id = fleet.setting('token_id')::int;
SELECT is((api.group_delete(:south, 'closed')).status, 204, 'test_a_group_is_deleted');

-- Configuration

SELECT is((api.config_get('g-1')).body, '{"desired":null,"reported":null,"difference":null}', 'test_nothing_is_wanted_at_first');
SELECT is((api.config_put('g-1', '{"config": {"interval_s": 300, "probes": 2}, "reason": "summer"}', '"0"')).etag, '1',
	'test_a_configuration_gets_a_version');
SELECT throws_ok($$ SELECT api.config_put('g-1', '{"config": {}}', '"0"') $$, 'CF412', NULL,
	'test_of_two_that_edit_the_same_version_the_second_is_refused');
INSERT INTO fleet.config_report (device_id, version, body, reported_at)
SELECT device_id, 1, '{"interval_s": 600, "probes": 2, "led": true}', now() FROM fleet.device WHERE serial = 'g-1';
SELECT is((api.config_get('g-1')).body::jsonb -> 'difference',
	'{"interval_s": {"desired": 300, "reported": 600}, "led": {"desired": null, "reported": true}}', 'test_the_difference_is_told');
SELECT api.config_put('g-1', '{"config": {"interval_s": 60}}', '*');
SELECT is((SELECT jsonb_agg(jsonb_build_array(v -> 'version', v -> 'reason', v -> 'actor'))
	FROM jsonb_array_elements(api.config_history('g-1', 10, NULL)::jsonb -> 'items') AS v),
	'[[2, null, "olga"], [1, "summer", "olga"]]', 'test_versions_are_kept_with_who_and_why');

-- Tags and history

SELECT is((api.tags_put('g-2', '{"tags": ["b", "a", "b"], "reason": "sorted"}', '*')).body::jsonb -> 'tags', '["a", "b"]',
	'test_tags_are_sorted_and_told_once');
SELECT throws_ok($$ SELECT api.tags_put('g-2', '{"tags": ["a b"]}', '*') $$, 'CF422', NULL, 'test_a_tag_with_a_space_is_refused');
SELECT is((api.device_history('g-2', 1, NULL)::jsonb #> '{items,0}') - '{id,at}'::text[], '{"object": "device", "key": "g-2", "field": "tags",
	"old": [], "new": ["a", "b"], "actor": "olga", "reason": "sorted", "request_id": "req-9"}', 'test_history_tells_who_what_and_why');

SELECT * FROM finish();
ROLLBACK;
