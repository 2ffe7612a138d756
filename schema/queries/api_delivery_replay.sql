-- Sends a delivery once more; the answer is kept for a repetition with the same Idempotency-Key.
-- $1 number
SELECT r.* FROM api.delivery_replay($1::bigint) AS f, api.remember(f) AS r
