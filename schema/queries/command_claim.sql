-- Commands to publish now; sent from the commit on.
--   $1 how many at most  $2 serials of devices that appeared
-- Rows: command_id, generation, serial, message, expires_at (Unix seconds)
SELECT command_id, generation, serial, message, extract(epoch FROM expires_at)::bigint AS expires_at
FROM command.claim($1::int, $2::text[])
