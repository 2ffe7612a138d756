-- A page of devices by serial number, as JSON text.
-- $1 how many at most, $2 cursor or NULL
SELECT api.devices($1::int, $2::text)
