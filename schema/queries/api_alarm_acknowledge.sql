-- Acknowledges an alarm; the answer is kept for a repetition with the same Idempotency-Key.
-- $1 number, $2 body
SELECT r.* FROM api.alarm_acknowledge($1::bigint, $2::jsonb) AS f, api.remember(f) AS r
