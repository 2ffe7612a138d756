-- Makes the partitions for readings of these moments where there is none yet.
--   $1 ts
-- Rows: name text, of those that were made. A moment before the retention or over 400 days ahead: SQLSTATE 22008.
SELECT made AS name FROM unnest($1::timestamptz[]) AS ts CROSS JOIN telemetry.ensure_partition(ts) AS made WHERE made IS NOT NULL
