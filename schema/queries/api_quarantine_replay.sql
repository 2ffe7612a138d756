-- Has a quarantined message decoded anew; the answer is kept for a repetition with the same Idempotency-Key.
-- $1 id. Unknown: SQLSTATE CF404.
SELECT r.* FROM api.quarantine_replay($1::bigint) AS f, api.remember(f) AS r
