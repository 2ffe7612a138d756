-- Desired and reported configuration of a device.
-- $1 serial
SELECT * FROM api.config_get($1::text)
