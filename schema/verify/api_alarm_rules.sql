-- SPDX-License-Identifier: Apache-2.0
-- REST can ask for rules of alarms and edit them. Rolled back.
BEGIN;

DO $$
BEGIN
	PERFORM api.enter('verify', NULL, 'admin', NULL, 'admin', NULL);
	ASSERT (api.alarm_rule_patch((api.alarm_rules(1, NULL, 'door', NULL)::jsonb #>> '{items,0,id}')::int, '{"after_s": 60}', '*')).body::jsonb @> '{"after_s": 60}',
		'expected the rule as it was edited';
	ASSERT has_function_privilege('coldfleet_api', 'api.alarm_rule_create(jsonb)', 'EXECUTE'), 'coldfleet_api cannot make rules';
END
$$;

ROLLBACK;
