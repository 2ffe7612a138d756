-- The newest signed checkpoint of the audit trail.
-- Rows: number int8, message bytea; none when there is no checkpoint.
SELECT number, message FROM audit.checkpoint ORDER BY number DESC, checkpoint_id DESC LIMIT 1
