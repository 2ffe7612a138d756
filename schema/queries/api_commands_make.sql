-- Asks for a command to many devices; the answer is kept for a repetition with the same Idempotency-Key.
-- $1 body
SELECT r.* FROM api.commands_make($1::jsonb) AS f, api.remember(f) AS r
