-- A shipment is cancelled; the answer is kept for a repetition with the same Idempotency-Key.
-- $1 number, $2 body
SELECT r.* FROM api.shipment_step($1::int, $2::jsonb, 'cancel') AS f, api.remember(f) AS r
