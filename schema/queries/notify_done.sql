-- What became of deliveries, arrays of equal length.
--   $1 delivery_id  $2 HTTP status or NULL  $3 what went wrong or NULL  $4 seconds that the receiver asked for or NULL
--   $5 true: trying again is of no use
SELECT coldchain.deliveries_done($1::bigint[], $2::int[], $3::text[], $4::double precision[], $5::boolean[])
