-- Computes hours and days of devices with new readings.
--   $1 most devices
-- Rows: one, done int4: how many.
SELECT analytics.refresh($1::int) AS done
