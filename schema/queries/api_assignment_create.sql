-- Has a probe watch a lot; the answer is kept for a repetition with the same Idempotency-Key.
-- $1 number of the shipment, $2 body
SELECT r.* FROM api.assignment_create($1::int, $2::jsonb) AS f, api.remember(f) AS r
