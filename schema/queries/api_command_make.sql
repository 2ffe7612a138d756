-- Asks for a command to one device; the answer is kept for a repetition with the same Idempotency-Key.
-- $1 serial, $2 body
SELECT r.* FROM api.command_make($1::text, $2::jsonb) AS f, api.remember(f) AS r
