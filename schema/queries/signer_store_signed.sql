-- Keeps what was signed.
--   $1 command ids  $2 their generations  $3 messages  $4 key id, 8 bytes
-- Rows: command_id, stored (false: given back, ended or taken again since; the bytes are void)
SELECT command_id, stored FROM command.store_signed($1::uuid[], $2::int[], $3::bytea[], $4::bytea)
