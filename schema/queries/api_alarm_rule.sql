-- A rule of alarms, its ETag. Unknown: SQLSTATE CF404.
-- $1 number
SELECT * FROM api.alarm_rule_get($1::int)
