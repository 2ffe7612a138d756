-- A page of the newest records of probes, those that are due first first, as JSON text.
-- $1 how many at most, $2 cursor or NULL, $3 due by then; NULL: any
SELECT api.calibrations($3::timestamptz, $1::int, $2::text) AS body
