-- What was changed of a device, the latest first, as JSON text.
-- $1 serial, $2 how many at most, $3 cursor or NULL
SELECT api.device_history($1::text, $2::int, $3::text) AS body
