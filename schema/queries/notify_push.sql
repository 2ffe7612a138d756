-- Makes the transfers of devices with new readings.
--   $1 most devices
-- Rows: one, done int4: how many.
SELECT coldchain.transfers_deal($1::int) AS done
