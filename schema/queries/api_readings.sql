-- A page of a device's readings, oldest first, or of buckets of them, as JSON text. Unknown serial: SQLSTATE CF404.
-- $1 serial, $2 from (included) or NULL, $3 to (excluded) or NULL, $4 how many at most or NULL, $5 cursor or NULL,
-- $6 width of a bucket or NULL, $7 format, which chose this statement
SELECT api.readings_page($1::text, $2::timestamptz, $3::timestamptz, $4::int, $5::text, $6::text::interval) AS body
WHERE coalesce($7::text, 'json') = 'json'
