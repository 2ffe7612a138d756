-- A page of the logger files of a device, the latest first, as JSON text. Unknown serial: SQLSTATE CF404.
-- $1 serial, $2 how many at most, $3 cursor or NULL
SELECT api.logger_files($1::text, $2::int, $3::text) AS body
