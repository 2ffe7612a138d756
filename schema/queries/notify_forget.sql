-- Deletes old notices and their deliveries.
--   $1 days that they are kept  $2 most of them
-- Rows: one, gone int4: how many.
SELECT coldchain.notices_forget($1::int, $2::int) AS gone
