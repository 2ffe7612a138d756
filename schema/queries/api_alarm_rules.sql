-- A page of rules of alarms, as JSON text.
-- $1 how many at most, $2 cursor or NULL, $3 kind, $4 serial of a device that they count for; NULL: any
SELECT api.alarm_rules($1::int, $2::text, $3::text, $4::text) AS body
