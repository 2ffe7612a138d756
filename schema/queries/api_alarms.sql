-- A page of alarms, as JSON text.
-- $1 how many at most, $2 cursor or NULL, $3 states, $4 kind, $5 serial, $6 shipment; NULL: any
SELECT api.alarms($1::int, $2::text, $3::text, $4::text, $5::text, $6::int) AS body
