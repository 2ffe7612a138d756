-- Makes a rule of alarms. There is one: SQLSTATE CF409.
-- $1 body
SELECT r.* FROM api.alarm_rule_create($1::jsonb) AS f, api.remember(f) AS r
