-- Keeps a file of a data logger; the answer is kept for a repetition with the same Idempotency-Key.
-- $1 serial, $2 zone or NULL, $3 reason or NULL, $4 what the file says, as JSON, $5 its bytes
SELECT r.* FROM api.logger_import($1::text, $2::text, $3::text, $4::jsonb, $5::bytea) AS f, api.remember(f) AS r
