-- Finds devices that should have been heard.
--   $1 most devices
-- Rows: one, again int4: 1: call it again at once.
SELECT coldchain.watch_silence($1::int) AS again
