-- SPDX-License-Identifier: Apache-2.0
-- Drops what was added by name, so that an object it does not know stops the revert.
BEGIN;

REVOKE EXECUTE ON FUNCTION coldchain.evaluate(int) FROM coldfleet_notify;
DROP FUNCTION coldchain.watch_silence(int);
DROP FUNCTION coldchain.watch(int);
DROP FUNCTION coldchain.watch_news(pg_snapshot);
DROP FUNCTION coldchain.watch_rules(int);
DROP FUNCTION coldchain.watch_due(int);
DROP FUNCTION coldchain.watch_devices(int[]);
DROP TRIGGER conditions_end_with_service ON fleet.device;
DROP FUNCTION coldchain.conditions_end_with_service();
DROP FUNCTION coldchain.condition_ends(text, int, smallint, timestamptz);
DROP FUNCTION coldchain.condition_begins(text, int, smallint, timestamptz, jsonb);
DROP FUNCTION coldchain.condition_due(text, int, timestamptz, jsonb);
DROP FUNCTION coldchain.condition_alarm(coldchain.condition);
DROP FUNCTION coldchain.shipment_of(int, timestamptz);
DROP FUNCTION coldchain.condition_key(smallint, timestamptz);
DROP TABLE coldchain.condition, coldchain.watched, coldchain.watch_state;
ALTER TABLE coldchain.alarm_rule DROP COLUMN wake;

COMMIT;
