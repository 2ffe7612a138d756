-- Cancels what is not sent of a request; the answer is kept for a repetition with the same Idempotency-Key.
-- $1 id, $2 body
SELECT r.* FROM api.request_cancel($1::text, $2::jsonb) AS f, api.remember(f) AS r
