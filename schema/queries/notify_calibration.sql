-- Finds probes whose calibration is due soon.
--   $1 most probes
-- Rows: one, again int4: 1: call it again at once.
SELECT coldchain.watch_calibration($1::int) AS again
