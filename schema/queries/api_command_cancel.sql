-- Cancels a command that is not sent; the answer is kept for a repetition with the same Idempotency-Key.
-- $1 id, $2 body
SELECT r.* FROM api.command_cancel($1::text, $2::jsonb) AS f, api.remember(f) AS r
