-- Does what time alone makes due of alarms.
--   $1 most of each kind of step
-- Rows: one, done int4: how many.
SELECT coldchain.alarm_escalate($1::int) AS done
