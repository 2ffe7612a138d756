-- SPDX-License-Identifier: Apache-2.0
-- Drops what was added by name, so that an object it does not know stops the revert.
BEGIN;

DROP FUNCTION api.alarm_rule_delete(int, text);
DROP FUNCTION api.alarm_rule_patch(int, jsonb, text);
DROP FUNCTION api.alarm_rule_lock(int);
DROP FUNCTION api.alarm_rule_create(jsonb);
DROP FUNCTION api.alarm_rule_of_body(coldchain.alarm_rule, jsonb);
DROP FUNCTION api.alarm_rule_get(int);
DROP FUNCTION api.alarm_rules(int, text, text, text);
DROP FUNCTION api.alarm_rule_answer(int, int);
DROP FUNCTION api.json_alarm_rule(coldchain.alarm_rule);

COMMIT;
