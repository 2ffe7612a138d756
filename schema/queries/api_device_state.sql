-- The latest of each channel of a device, as an answer. Unknown serial: SQLSTATE CF404.
-- $1 serial
SELECT * FROM api.device_state($1::text)
