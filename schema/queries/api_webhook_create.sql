-- Makes a webhook; a repetition with the same Idempotency-Key is answered without the secret, which is shown once.
-- $1 body
SELECT r.* FROM api.webhook_create($1::jsonb) AS f, api.remember(f, api.without_webhook_secret((f).body)) AS r
