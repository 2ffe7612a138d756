-- SPDX-License-Identifier: Apache-2.0
-- Rules of alarms as REST sees them: which one counts for a device, what may be said of which kind, who may change whose.
BEGIN;
SET search_path = pgtap, public;
SELECT plan(34);

SELECT fleet.register_device('rules-1', 'rules', 'one', '') AS a \gset
SELECT fleet.register_device('rules-2', 'rules', 'one', '') AS b \gset
INSERT INTO fleet.device_group (name, description) VALUES ('rules-g', ''), ('rules-h', '');
SELECT group_id AS g FROM fleet.device_group WHERE name = 'rules-g' \gset
SELECT group_id AS h FROM fleet.device_group WHERE name = 'rules-h' \gset
INSERT INTO fleet.device_group (name, description, filter) VALUES ('rules-d', '', '{"state": "active"}') RETURNING group_id AS d \gset
INSERT INTO fleet.group_member (device_id, group_id) VALUES (:a, :g), (:a, :h), (:b, :h);

-- The SQLSTATE that a call ends with; NULL when it goes well, and then it stays.
CREATE FUNCTION pg_temp.refused(call text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE 'SELECT ' || call;
	RETURN NULL;
EXCEPTION WHEN OTHERS THEN
	RETURN sqlstate;
END
$$;
CREATE FUNCTION pg_temp.counts(serial text) RETURNS numeric LANGUAGE sql AS $$
	SELECT (api.alarm_rules(100, NULL, 'door', serial)::jsonb #>> '{items,0,after_s}')::numeric
$$;
SELECT api.enter('rules', NULL, 'admin', NULL, 'admin', NULL);
SELECT (api.alarm_rules(1, NULL, 'door', NULL)::jsonb #>> '{items,0,id}')::int AS door \gset
SELECT (api.alarm_rules(1, NULL, 'excursion', NULL)::jsonb #>> '{items,0,id}')::int AS excursion \gset

SELECT is(jsonb_array_length(api.alarm_rules(100, NULL, NULL, 'rules-1')::jsonb -> 'items'), (SELECT count(*)::int FROM coldchain.alarm_kind),
	'test_one_rule_of_each_kind_counts_for_a_device');
SELECT is(pg_temp.counts('rules-1'), 300::numeric, 'test_that_for_all_devices');
SELECT is(pg_temp.refused('api.alarm_rule_create(''{"kind": "door", "after_s": 1}'')'), 'CF422', 'test_which_is_edited_and_not_made');
SELECT is(pg_temp.refused('api.alarm_rule_create(''{"kind": "door", "after_s": 301, "model": {"manufacturer": "rules", "name": "one"}}'')'), NULL,
	'test_a_model_gets_a_rule_of_its_own');
SELECT is(pg_temp.counts('rules-1'), 301::numeric, 'test_which_goes_before_it');
SELECT is(pg_temp.refused(format('api.alarm_rule_create(''{"kind": "door", "after_s": 303, "group": %s}'')', :h)), NULL, 'test_a_group_does_too');
SELECT is(pg_temp.counts('rules-2'), 303::numeric, 'test_which_goes_before_the_model');
SELECT is(pg_temp.refused(format('api.alarm_rule_create(''{"kind": "door", "after_s": 302, "group": %s}'')', :g)), NULL, 'test_another_group');
SELECT is(pg_temp.counts('rules-1'), 302::numeric, 'test_of_two_groups_the_one_made_first_counts');
SELECT (api.alarm_rule_create('{"kind": "door", "device": "rules-1", "enabled": false, "escalate_after_s": null}')).body::jsonb AS made \gset
SELECT is(:'made'::jsonb - 'id', '{"kind": "door", "model": null, "group": null, "device": "rules-1", "enabled": false, "after_s": 302, "below": null,
	"quiet_s": 600, "escalate_after_s": null, "wake_s": null}', 'test_what_is_not_said_is_as_it_was_for_the_device');
SELECT is(coldchain.alarm_raise('door', :a, NULL, NULL, 'rules', now(), false, NULL), NULL, 'test_which_then_does_not_alarm');
SELECT is(pg_temp.refused('api.alarm_rule_create(''{"kind": "door", "device": "rules-1"}'')'), 'CF409', 'test_one_of_a_kind');

-- What does not fit

SELECT is(pg_temp.refused(call), state, 'test_' || state || '_' || call) FROM (VALUES
	('api.alarm_rule_create(''{"kind": "door", "device": "nobody"}'')', 'CF404'),
	('api.alarm_rule_create(''{"kind": "door", "group": 2147483647}'')', 'CF422'),
	('api.alarm_rule_create(''{"kind": "door", "model": {"manufacturer": "rules", "name": "none"}}'')', 'CF422'),
	(format('api.alarm_rule_patch(%s, ''{"below": 10}'', ''*'')', :door), 'CF422'),
	(format('api.alarm_rule_patch(%s, ''{"wake_s": 10}'', ''*'')', :door), 'CF422'),
	(format('api.alarm_rule_patch(%s, ''{"after_s": 10}'', ''*'')', :excursion), 'CF422'),
	(format('api.alarm_rule_patch(%s, ''{"after_s": 10}'', ''"0"'')', :door), 'CF412'),
	(format('api.alarm_rule_delete(%s, NULL)', :door), 'CF409'),
	('api.alarm_rule_delete(2147483647, NULL)', 'CF404')) AS t (call, state);
SELECT is(pg_temp.refused(format('api.alarm_rule_create(''{"kind": "door", "group": %s}'')', :d)), 'CF422', 'test_a_dynamic_group_has_no_members');

-- A token with a scope

SELECT set_config('coldfleet.scope', :'h', true);
SELECT is(pg_temp.refused('api.alarm_rule_create(''{"kind": "door", "model": {"manufacturer": "rules", "name": "one"}}'')'), 'CF403',
	'test_a_scope_makes_none_for_a_model');
SELECT is(pg_temp.refused(format('api.alarm_rule_patch(%s, ''{"after_s": 10}'', ''*'')', :door)), 'CF403', 'test_nor_edits_that_for_all');
SELECT is(pg_temp.refused(format('api.alarm_rule_create(''{"kind": "power", "group": %s}'')', :g)), 'CF422', 'test_nor_makes_one_for_a_group_that_it_does_not_see');
SELECT is(pg_temp.refused('api.alarm_rule_create(''{"kind": "battery", "device": "rules-2", "below": 35}'')'), NULL, 'test_it_makes_one_for_its_device');
SELECT is((SELECT count(*) FROM jsonb_array_elements(api.alarm_rules(100, NULL, 'door', NULL)::jsonb -> 'items') AS r WHERE r ->> 'group' = :'g'), 0::bigint,
	'test_rules_of_other_groups_are_not_listed');
SELECT set_config('coldfleet.scope', '*', true);

-- Silence looks at all devices at once, and comes to the same

UPDATE fleet.device SET state = 'active' WHERE device_id IN (:a, :b);
SELECT telemetry.ensure_partition(now());
INSERT INTO telemetry.device_state (device_id, received_at) VALUES (:a, now() - interval '3 hours'), (:b, now())
ON CONFLICT (device_id) DO UPDATE SET received_at = excluded.received_at;
SELECT api.alarm_rule_create(format('{"kind": "silence", "group": %s, "after_s": 14400}', :g)::jsonb);
SELECT coldchain.watch_silence(100);
SELECT is((SELECT count(*) FROM coldchain.condition WHERE device_id = :a), 0::bigint, 'test_silence_asks_the_rule_of_the_group');
DELETE FROM fleet.device_group WHERE group_id = :g;
SELECT coldchain.watch_silence(100);
SELECT is((SELECT count(*) FROM coldchain.condition WHERE device_id = :a), 1::bigint, 'test_which_goes_with_the_group');

-- Who did it

SET CONSTRAINTS audit.chain IMMEDIATE;
SELECT is((SELECT count(*) FROM (SELECT convert_from(canonical, 'UTF8')::jsonb AS c FROM audit.entry WHERE kind = 'alarm_rule') AS e
	WHERE c ->> 'action' = 'removed' AND c #>> '{old,after}' = '04:00:00'), 1::bigint, 'test_the_trail_has_what_went');

-- A scope sees what is done to rules of its groups, and to those of its devices; of others nothing, nor what moves in from them.
SELECT rule_id AS of_h FROM coldchain.alarm_rule WHERE group_id = :h \gset
SELECT pg_temp.refused(format('api.alarm_rule_patch(%s, ''{"after_s": 310}'', ''*'')', :of_h));
INSERT INTO fleet.device_group (name, description) VALUES ('rules-i', '') RETURNING group_id AS i \gset
SELECT (api.alarm_rule_create(format('{"kind": "tamper", "group": %s, "after_s": 7}', :i)::jsonb)).body::jsonb ->> 'id' AS of_i \gset
UPDATE coldchain.alarm_rule SET group_id = :h WHERE rule_id = :of_i;
UPDATE coldchain.alarm_rule SET after = '8 s' WHERE rule_id = :of_i;
SELECT api.alarm_rule_delete(:of_h, NULL);
CREATE FUNCTION pg_temp.audited(groups int[]) RETURNS text[] LANGUAGE sql AS $$
	SELECT set_config('coldfleet.scope', array_to_string(groups, ','), true);
	SELECT array_agg(concat_ws(' ', e ->> 'action', e ->> 'id', coalesce(e #>> '{new,after}', e #>> '{old,after}')) ORDER BY (e ->> 'number')::bigint)
	FROM jsonb_array_elements(api.audit('{"kind": "alarm_rule"}', 1000, NULL)::jsonb -> 'items') AS e WHERE e ->> 'device' IS NULL
$$;
SELECT is(pg_temp.audited(ARRAY[:h]), ARRAY['created ' || :of_h || ' 00:05:03', 'changed ' || :of_h || ' 00:05:10', 'changed ' || :of_i || ' 00:00:08',
	'removed ' || :of_h || ' 00:05:10'], 'test_a_scope_sees_the_trail_of_rules_of_its_group');
SELECT is(pg_temp.audited(ARRAY[:i]), ARRAY['created ' || :of_i || ' 00:00:07'], 'test_and_not_what_became_of_them_elsewhere');
SELECT is(pg_temp.audited(ARRAY[2147483647]), NULL, 'test_others_see_none_of_it');
SELECT set_config('coldfleet.scope', :'h', true);
SELECT is((SELECT string_agg(DISTINCT e ->> 'kind', ' ') FROM jsonb_array_elements(api.audit('{}', 1000, NULL)::jsonb -> 'items') AS e WHERE e ->> 'device' IS NULL),
	'alarm_rule', 'test_nor_anything_else_without_a_device');

SELECT * FROM finish();
ROLLBACK;
