-- A record of a calibration. Unknown: SQLSTATE CF404.
-- $1 number
SELECT * FROM api.calibration_get($1::int)
