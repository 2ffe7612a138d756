-- Makes a token; a repetition with the same Idempotency-Key is answered without the token, which is shown once.
-- $1 body
SELECT r.* FROM api.token_create($1::jsonb) AS f, api.remember(f, api.without_secret((f).body)) AS r
