-- Looks at devices whose state has changed, and raises alarms that are due.
--   $1 most devices
-- Rows: one, again int4: 1: call it again at once.
SELECT coldchain.watch($1::int) AS again
