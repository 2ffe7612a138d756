-- A page of a device's readings, oldest first, as JSON text. Unknown serial: SQLSTATE CF404.
-- $1 serial, $2 from (included) or NULL, $3 to (excluded) or NULL, $4 how many at most, $5 cursor or NULL
SELECT api.readings($1::text, $2::timestamptz, $3::timestamptz, $4::int, $5::text)
