-- Lets the first request with an Idempotency-Key pass; a repetition ends with SQLSTATE CF208, its detail the answer.
-- $1 the key, $2 SHA-256 of method, target and body. Another request under the same key: SQLSTATE CF422.
SELECT api.idempotency($1::text, $2::bytea)
