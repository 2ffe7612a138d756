-- Takes what trackers say about themselves, in any order and any number of times.
--   $1 device_id  $2 received_at  $3 body (JSON text, as in docs/protocol.md)
-- Rows: stored int4, one: how many were newer than the latest of their device so far.
SELECT telemetry.store_status($1::int4[], $2::timestamptz[], $3::text[]::jsonb[]) AS stored
