-- Keeps a signed checkpoint.
--   $1 number  $2 hash  $3 when it was signed, Unix seconds  $4 key id  $5 COSE_Sign1
-- One row: stored (false: the trail has no such entry)
SELECT audit.store_checkpoint($1::bigint, $2::bytea, to_timestamp($3::bigint), $4::bytea, $5::bytea) AS stored
