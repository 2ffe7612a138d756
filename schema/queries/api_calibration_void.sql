-- Voids a record of a calibration; the answer is kept for a repetition with the same Idempotency-Key.
-- $1 number, $2 body
SELECT r.* FROM api.calibration_void($1::int, $2::jsonb) AS f, api.remember(f) AS r
