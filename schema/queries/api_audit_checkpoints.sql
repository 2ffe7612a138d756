-- A page of the signed checkpoints of the audit trail, the latest first, as JSON text.
-- $1 how many at most, $2 cursor or NULL
SELECT api.audit_checkpoints($1::int, $2::text) AS body
