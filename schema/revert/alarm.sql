-- SPDX-License-Identifier: Apache-2.0
-- Drops what was added by name, so that an object it does not know stops the revert.
BEGIN;

DROP POLICY alarm_rule ON audit.entry;
DROP FUNCTION coldchain.alarm_escalate(int);
DROP FUNCTION coldchain.alarm_acknowledge(bigint, text, text);
DROP FUNCTION coldchain.alarm_clear(text, int, text, timestamptz);
DROP FUNCTION coldchain.alarm_raise(text, int, bigint, smallint, text, timestamptz, boolean, jsonb);
DROP FUNCTION coldchain.alarm_rule_of(text, int);
DROP FUNCTION coldchain.alarm_tell(coldchain.alarm, text);
DROP FUNCTION coldchain.alarm_json(coldchain.alarm);
DROP FUNCTION coldchain.json_time(timestamptz);
DROP TABLE coldchain.notice, coldchain.alarm, coldchain.alarm_rule, coldchain.alarm_kind;
DROP FUNCTION coldchain.alarm_kept();
DELETE FROM fleet.event_type WHERE type = 'alarm';

COMMIT;
