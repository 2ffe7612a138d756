-- Takes a rule of alarms away. That for all devices: SQLSTATE CF409.
-- $1 number, $2 reason or NULL
SELECT * FROM api.alarm_rule_delete($1::int, $2::text)
