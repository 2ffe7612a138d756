-- Takes rows for an import; the answer is kept for a repetition with the same Idempotency-Key.
-- $1 reason or NULL, $2 ndjson or csv, $3 the rows
SELECT r.* FROM api.devices_import($1::text, $2::text, $3::text) AS f, api.remember(f) AS r
