-- A page of the records of calibrations of a device, those that begin last first, as JSON text. Unknown serial: SQLSTATE CF404.
-- $1 serial, $2 how many at most, $3 cursor or NULL, $4 probe; NULL: any
SELECT api.device_calibrations($1::text, $4::int, $2::int, $3::text) AS body
