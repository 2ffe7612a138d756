-- Approves a request as it was shown; the answer is kept for a repetition with the same Idempotency-Key.
-- $1 id, $2 body
SELECT r.* FROM api.request_approve($1::text, $2::jsonb) AS f, api.remember(f) AS r
