-- Keeps messages that could not be stored; the same topic and payload again only counts up.
--   $1 device_id (NULL: unknown)  $2 topic  $3 payload  $4 content_type (NULL: none)  $5 received_at
--   $6 reason (see telemetry.quarantine.reason)  $7 detail
-- One row, one empty column.
SELECT telemetry.quarantine_store($1::int4[], $2::text[], $3::bytea[], $4::text[], $5::timestamptz[], $6::text[], $7::text[])
