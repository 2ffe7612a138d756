-- A page of the sample numbers of a device that were passed over, as JSON text. Unknown serial: SQLSTATE CF404.
-- $1 serial, $2 how many at most, $3 cursor or NULL, $4 open, closed or all
SELECT api.device_gaps($1::text, $2::int, $3::text, $4::text) AS body
