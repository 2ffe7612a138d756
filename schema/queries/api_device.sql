-- One device, as an answer: status, body, etag, location. Unknown serial: SQLSTATE CF404.
-- $1 serial
SELECT * FROM api.device_get($1::text)
