-- Evaluates devices that are due, for excursions.
--   $1 most devices
-- Rows: one, done int4: how many.
SELECT coldchain.evaluate($1::int) AS done
