-- A chunk of a device's readings, or of buckets of them, a JSON object a line.
-- $1 to $7 as of api_readings, $8 key of the chunk or NULL. Columns: body, next (key of the next chunk or NULL).
SELECT body, next FROM api.readings_chunk($1::text, $2::timestamptz, $3::timestamptz, $4::int, $5::text, $6::text::interval,
					   coalesce($7::text, 'ndjson'), $8::text)
