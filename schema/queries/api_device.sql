-- One device, as JSON text. Unknown serial: SQLSTATE CF404.
-- $1 serial
SELECT api.device($1::text)
