-- Refuses a request as it was shown; the answer is kept for a repetition with the same Idempotency-Key.
-- $1 id, $2 body
SELECT r.* FROM api.request_refuse($1::text, $2::jsonb) AS f, api.remember(f) AS r
