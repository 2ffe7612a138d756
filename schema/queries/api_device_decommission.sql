-- Takes a device out of service for good; the answer is kept for a repetition with the same Idempotency-Key.
-- $1 serial, $2 body
SELECT r.* FROM api.device_decommission($1::text, $2::jsonb) AS f, api.remember(f) AS r
