-- Records what a calibration certificate says of a probe; the answer is kept for a repetition with the same Idempotency-Key.
-- $1 serial, $2 body
SELECT r.* FROM api.calibration_create($1::text, $2::jsonb) AS f, api.remember(f) AS r
