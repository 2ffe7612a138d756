-- Keeps replies that could not be read.
--   $1 serials  $2 raw bytes  $3 why  $4 received_at
SELECT command.bad_replies($1::text[], $2::bytea[], $3::text[], $4::timestamptz[])
