-- A stretch of the audit trail, to be verified.
--   $1 after this number  $2 up to this number  $3 at most so many
-- Rows in the order of the chain: number, previous_hash, hash, canonical
SELECT number, previous_hash, hash, canonical FROM audit.entry
WHERE number > $1::bigint AND number <= $2::bigint ORDER BY number LIMIT $3::int
