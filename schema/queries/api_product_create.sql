-- Makes a product; the answer is kept for a repetition with the same Idempotency-Key.
-- $1 body
SELECT r.* FROM api.product_create($1::jsonb) AS f, api.remember(f) AS r
