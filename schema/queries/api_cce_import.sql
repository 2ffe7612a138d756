-- Takes a transfer of cce-interop; the answer is kept for a repetition with the same Idempotency-Key.
-- $1 the transfer, JSON, $2 its bytes
SELECT r.* FROM api.cce_import($1::jsonb, $2::bytea) AS f, api.remember(f) AS r
